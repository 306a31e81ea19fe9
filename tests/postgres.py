"""A real PostgreSQL cluster on loopback, for tests that shall see what a group sees."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.servers import free_port

NO_POSTGRES = "PostgreSQL (Debian: postgresql) is not installed"
PATIENCE_SECONDS = 120.0
_ACCOUNT = "postgres"


@dataclass(frozen=True)
class Postgres:
    """A running cluster, which a role with a password owns.

    Attributes:
        port: on loopback.
        role: its superuser.
        password: of that role.
    """

    port: int
    role: str
    password: str
    programs: Path

    def uri(self, database: str) -> str:
        """Address of a database, as SQLAlchemy takes it."""
        return f"postgresql://{self.role}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database; returns its address."""
        command = [str(self.programs / "createdb"), "--host=127.0.0.1", f"--port={self.port}"]
        command += [f"--username={self.role}", "--no-password", name]
        environment = {**os.environ, "PGPASSWORD": self.password}
        subprocess.run(command, env=environment, check=True, timeout=PATIENCE_SECONDS)
        return self.uri(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One cluster for all tests; each makes a database of its own."""
    programs = _postgres_programs()
    if programs is None:
        pytest.skip(NO_POSTGRES)
    account = _account()
    # Not below pytest's folder, which the account of the database cannot enter.
    folder = Path(tempfile.mkdtemp(prefix="slicewise-postgres-"))
    try:
        if account:
            shutil.chown(folder, account, account)
        with _cluster(folder, programs, account) as running:
            yield running
    finally:
        shutil.rmtree(folder)


@contextmanager
def _cluster(folder: Path, programs: Path, account: str | None) -> Iterator[Postgres]:
    data, log = folder / "data", folder / "postgres.log"
    running = Postgres(free_port(), "slicewise", "a-secret-of-the-tests", programs)
    (folder / "password").write_text(running.password + "\n")
    subprocess.run(
        [
            *(str(programs / "initdb"), "--pgdata", str(data), "--username", running.role),
            *("--pwfile", str(folder / "password"), "--auth", "scram-sha-256"),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        ],
        cwd=folder,
        user=account,
        group=account,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=PATIENCE_SECONDS,
    )
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(running.port)]
    command += ["-h", "127.0.0.1", "-k", str(folder), "-F"]
    ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(running.port)]
    with _process(command, log, account) as process:
        _wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, process, log)
        yield running


@contextmanager
def _process(
    command: Sequence[str],
    log: Path,
    account: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its children, which are gone when the context is left."""
    with log.open("ab") as stream:
        process = subprocess.Popen(
            command,
            cwd=log.parent,
            user=account,
            group=account,
            stdout=stream,
            stderr=subprocess.STDOUT,
            # A group of its own: workers end with their parent.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    # An interrupt is what PostgreSQL calls a fast shutdown, and what Ctrl-C sends.
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            pytest.fail(f"{log.name}: {log.read_text(errors='replace')[-4000:]}")
        time.sleep(0.1)


def _postgres_programs() -> Path | None:
    """The folder of the newest installed version; Debian keeps it off the path."""
    found = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    return max((path.parent for path in found), key=lambda p: int(p.parent.name), default=None)


def _account() -> str | None:
    """The account that runs PostgreSQL, which refuses root; none where we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_ACCOUNT).pw_name
    except KeyError:
        pytest.skip(NO_POSTGRES)
