"""Work on scans on a Dask cluster: the same results, and plain words where it cannot be used."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed import Client, LocalCluster, Security

from slicewise.dataset import cluster as cluster_module
from slicewise.dataset import cluster_connection, cluster_futures, path_states
from slicewise.dataset.cluster import Cluster
from slicewise.dataset.workers import chosen_workers, run_on_scans
from slicewise.errors import ScanError, UsageError, WorkerError

# Workers import what they run by name: see test_workers.py.
DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
MISSING = (
    "__import__('slicewise.imaging.nifti.reading', fromlist=['x'])"
    ".read_nifti(__import__('pathlib').Path('absent.nii'))"
)
FEW = {"distributed.scheduler.allowed-failures": 1}
LOCAL: dict[str, Any] = {
    "threads_per_worker": 1,
    "host": "127.0.0.1",
    "dashboard_address": "127.0.0.1:0",
    "memory_limit": 0,
}


@pytest.fixture(scope="module")
def _two_workers() -> Iterator[LocalCluster]:
    with dask.config.set(FEW), LocalCluster(n_workers=2, **LOCAL) as local:
        yield local


@pytest.fixture
def address(_two_workers: LocalCluster) -> str:
    """A scheduler with two workers; of those that a test has killed, one is there again."""
    _two_workers.wait_for_workers(1, timeout=60)
    return str(_two_workers.scheduler_address)


def kill(mark: Path, times: int) -> str:
    """An expression that kills its process a few times; each time a letter goes into a file."""
    opened = f"__import__('os').open({str(mark)!r}, 1025 | 64)"
    count = f"__import__('os').path.getsize({str(mark)!r})"
    return f"(__import__('os').write({opened}, b'x'), {DIE} if {count} <= {times} else 'alive')[1]"


def test_results_are_those_of_processes(address: str) -> None:
    items = [MISSING, *(f"{number} + 1" for number in range(30))]
    here, there = (dict(run_on_scans(eval, items, chosen_workers(w))) for w in ("2", address))
    assert str(here.pop(MISSING)) == str(there.pop(MISSING))
    assert here == there


def test_work_is_done_by_the_workers(address: str) -> None:
    process = "__import__('os').getpid()"
    found = dict(run_on_scans(eval, [process, f"{process} "], Cluster(address)))
    assert os.getpid() not in found.values()


def test_paths_may_be_relative(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scan.txt").write_text("voxels")
    monkeypatch.chdir(tmp_path)
    read = "open('scan.txt').read()"
    assert dict(run_on_scans(eval, [read], Cluster(address))) == {read: "voxels"}


def test_our_own_mistakes_are_not_swallowed(address: str) -> None:
    with pytest.raises(ZeroDivisionError):
        list(run_on_scans(eval, ["1 / 0", "1 + 1"], Cluster(address)))


def test_a_caller_may_stop_early(address: str) -> None:
    items = [f"{number} + 1" for number in range(1000)]
    for _ in run_on_scans(eval, items, Cluster(address)):
        break
    with Client(address) as client:
        assert not client.processing() or not any(client.processing().values())


@pytest.mark.parametrize(
    "text", ["two", "tcp://127.0.0.1", "http://127.0.0.1:8786", "tcp://:8786", "tls://host:x"]
)
def test_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="copy the address"):
        chosen_workers(text)


@pytest.mark.parametrize("host", ["10.0.0.5", "node-7", "[2001:db8::5]"])
def test_another_machine_needs_certificates_or_a_word(host: str) -> None:
    with pytest.raises(UsageError, match="tls://") as caught:
        chosen_workers(f"tcp://{host}:8786")
    assert f"insecure+tcp://{host}:8786" in caught.value.remedy
    for address in (f"tls://{host}:8786", f"insecure+tcp://{host}:8786"):
        assert chosen_workers(address) == Cluster(address)
    for loopback in ("localhost", "127.0.0.1", "127.9.9.9", "[::1]"):
        chosen_workers(f"tcp://{loopback}:8786")


def refusal(address: str, item: object = "1") -> WorkerError:
    with pytest.raises(WorkerError) as caught:
        list(run_on_scans(eval, [item], Cluster(address)))
    return caught.value


def test_a_scheduler_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_connection, "ANSWER_SECONDS", 0.5)
    error = refusal("tcp://127.0.0.1:9")
    assert (error.expected, error.found) == (
        "a Dask scheduler that answers within 0.5 s",
        "no answer",
    )


ASK = """
import sys, dask
from slicewise.dataset import cluster_connection
from slicewise.errors import WorkerError
cluster_connection.ANSWER_SECONDS = 0.3
with dask.config.set(eval(sys.argv[1])):
    for address in sys.argv[2:]:
        try:
            with cluster_connection.connected(address, address):
                print("connected")
        except WorkerError as error:
            print(error.found)
"""


def test_other_servers(tmp_path: Path) -> None:
    """Asked by another process: Dask leaves its end of a connection to the garbage collector."""

    def serve(listening: socket.socket, greeting: bytes) -> None:
        with suppress(OSError), ExitStack() as taken:
            while True:
                connection, _ = listening.accept()
                taken.enter_context(connection)
                connection.sendall(greeting)

    with ExitStack() as running:
        addresses = []
        for greeting in (b"", b"HTTP/1.0 400 Bad Request\r\n\r\n"):
            server = running.enter_context(socket.create_server(("127.0.0.1", 0)))
            thread = threading.Thread(target=serve, args=(server, greeting))
            thread.start()
            running.callback(thread.join)
            running.callback(server.shutdown, socket.SHUT_RDWR)
            port = server.getsockname()[1]
            addresses += [f"{scheme}://127.0.0.1:{port}" for scheme in ("tcp", "tls")]
        asked = subprocess.run(
            [sys.executable, "-c", ASK, repr(certificates_of(tmp_path)), *addresses],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    silent, silent_tls, speaking, speaking_tls = asked.stdout.splitlines()
    assert {silent, silent_tls, speaking} == {"no answer"}
    assert speaking_tls in ("no answer", "a scheduler without encryption")


def test_the_address_of_a_worker(address: str) -> None:
    with Client(address) as client:
        worker = next(iter(client.scheduler_info()["workers"]))
    assert refusal(worker).found == "the address of a worker"


def test_a_worker_that_stands_still(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_connection, "WORKERS_SECONDS", 1.0)
    process = "__import__('os').getpid()"
    stopped = dict(run_on_scans(eval, [process], Cluster(address)))[process]
    assert isinstance(stopped, int)
    os.kill(stopped, signal.SIGSTOP)
    try:
        error = refusal(address)
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert (error.expected, error.found) == ("an answer within 1 s", "no answer")
    assert error.where.startswith("worker tcp://127.0.0.1:")


def test_a_cluster_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_connection, "ANSWER_SECONDS", 0.5)
    with LocalCluster(n_workers=0, **LOCAL) as empty:
        assert "dask worker" in refusal(empty.scheduler_address).remedy


def test_workers_of_several_threads() -> None:
    with LocalCluster(n_workers=1, **LOCAL | {"threads_per_worker": 2}) as wide:
        assert "--nthreads 1" in refusal(wide.scheduler_address).remedy


def test_other_versions_on_the_workers(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Client.get_versions

    async def other(client: Client, **more: Any) -> Any:
        versions = await real(client, **more)
        versions["client"]["packages"]["torch"] = "1.0"
        return versions

    monkeypatch.setattr(Client, "get_versions", other)
    assert "torch 1.0, as here" in refusal(address).expected


def test_a_path_that_the_workers_do_not_see(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = tmp_path / "scan.nii"
    scan.write_bytes(b"voxels")
    real = path_states.states_of

    def ours(paths: set[Path]) -> Any:
        found = real(paths)
        scan.write_bytes(b"other voxels")
        return found

    monkeypatch.setattr(cluster_module, "states_of", ours)
    # Sent to the workers by its name.
    monkeypatch.setattr(ours, "__module__", path_states.__name__, raising=False)
    monkeypatch.setattr(ours, "__qualname__", "states_of")
    error = refusal(address, ("1", [scan, tmp_path / "made later"]))
    assert str(scan) in error.expected
    assert error.found == "another one"


def certificates_of(folder: Path, days: int = 1) -> dict[str, Any]:
    """Dask's configuration with a certificate of its own, which is valid for so many days."""
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "slicewise")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, form, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    (folder / "cluster.pem").write_bytes(certificate.public_bytes(pem))
    return known_files(folder / "cluster.pem", folder / "key.pem")


def known_files(certificate: Path, key: Path) -> dict[str, Any]:
    tls = "distributed.comm.tls"
    return {
        f"{tls}.ca-file": str(certificate),
        f"{tls}.client.cert": str(certificate),
        f"{tls}.client.key": str(key),
    }


def test_certificates_that_are_missing_or_expired(tmp_path: Path) -> None:
    """Told without a connection: nobody listens at port 9."""
    address, absent = "tls://127.0.0.1:9", tmp_path / "absent.pem"
    assert "ca-file in Dask's configuration" in refusal(address).found
    with dask.config.set(known_files(absent, absent)):
        assert refusal(address).found == (
            f"the certificate {absent}, which cannot be read: No such file or directory"
        )
    with dask.config.set(certificates_of(tmp_path, days=-2)):
        found = refusal(address).found
    assert str(tmp_path / "cluster.pem") in found
    assert "expired on" in found


def test_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, others = Security.temporary(), Security.temporary()

    def known(security: Security) -> dict[str, Any]:
        client = security.get_tls_config_for_role("client")
        return {
            "distributed.comm.tls.ca-file": client["ca_file"],
            "distributed.comm.tls.client.cert": client["cert"],
            "distributed.comm.tls.client.key": client["key"],
        }

    with LocalCluster(n_workers=1, security=ours, protocol="tls://", **LOCAL) as local:
        address = local.scheduler_address
        assert address.startswith("tls://")
        with dask.config.set(known(ours)):
            assert dict(run_on_scans(eval, ["1 + 1"], Cluster(address))) == {"1 + 1": 2}
        monkeypatch.setattr(cluster_connection, "ANSWER_SECONDS", 2)
        with dask.config.set(known(ours)):
            assert refusal("tls://127.0.0.1:9").found == "no answer"
        with dask.config.set(known(others)):
            assert "certificates" in refusal(address).found


def test_a_disk_of_a_worker_that_is_full(address: str) -> None:
    write = "open('/dev/full', 'wb', 0).write(b'mask')"
    with pytest.raises(WorkerError, match="No space left on device") as caught:
        list(run_on_scans(eval, ["1 + 1", write], Cluster(address)))
    assert f"on the worker {socket.gethostname()}" in caught.value.where


@pytest.mark.slow
def test_a_worker_with_less_memory_than_a_scan_needs() -> None:
    """Dask ends it before the machine has no memory left; all other scans are done."""
    large = "(bytearray(b'x') * 3_000_000_000, __import__('time').sleep(30))"
    with (
        dask.config.set(FEW),
        LocalCluster(n_workers=2, **LOCAL | {"memory_limit": "1GB"}) as small,
    ):
        items = [large, *(f"{number} + 1" for number in range(20))]
        found = dict(run_on_scans(eval, items, Cluster(small.scheduler_address)))
    death = found.pop(large)
    assert isinstance(death, ScanError)
    assert "perhaps because memory ran out" in death.found
    assert found == {f"{number} + 1": number + 1 for number in range(20)}


def test_a_cluster_that_loses_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_futures, "SECONDS_WITHOUT_WORKERS", 0.5)
    with LocalCluster(n_workers=1, **LOCAL) as local:
        results = run_on_scans(
            eval, ["1", "__import__('time').sleep(60)"], Cluster(local.scheduler_address)
        )
        assert next(results) == ("1", 1)
        local.scale(0)
        with pytest.raises(WorkerError, match="repeat the command") as caught:
            next(results)
    assert caught.value.found == "none for 0.5 s"


# The last ones: it takes a moment until workers are there again.
@pytest.mark.fault(110, "Q")
def test_the_death_of_a_worker_costs_a_retry(address: str, tmp_path: Path) -> None:
    once, always = kill(tmp_path / "once", 1), kill(tmp_path / "always", 100)
    items = [once, always, *(f"{number} + 1" for number in range(20))]
    results = list(run_on_scans(eval, items, Cluster(address)))
    assert sorted(item for item, _ in results) == sorted(items)
    found = dict(results)
    assert found[once] == "alive"
    assert found["7 + 1"] == 8
    death = found[always]
    assert isinstance(death, ScanError)
    assert "ended" in death.found


def test_workers_that_are_killed_in_the_middle(address: str) -> None:
    items = [f"({number}, __import__('os').getpid())" for number in range(150)]
    found, killed = [], []
    for item, (number, process) in run_on_scans(eval, items, Cluster(address)):
        found.append((item, number))
        if len(found) in (20, 60, 100):
            killed.append(process)
            # It may have ended since, and another one have taken its place.
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    assert len(killed) == 3
    # Nothing is missing, nothing is there twice.
    assert sorted(number for _, number in found) == list(range(150))
    assert all(item.startswith(f"({number},") for item, number in found)
