"""Serves a model over HTTP."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn

from slicewise.errors import UsageError
from slicewise.file_names import nearest_path
from slicewise.progress import SILENT, Progress
from slicewise.tracking.request_scans import DEFAULT_MEGAVOXELS, ScanLimits
from slicewise.tracking.run_index import find_model
from slicewise.tracking.serving.connections import LARGEST_HEADERS_BYTES, PatientProtocol
from slicewise.tracking.serving.host_guard import LOOPBACK, HostGuard
from slicewise.tracking.serving.memory import give_memory_back
from slicewise.tracking.serving.request_limits import Limits
from slicewise.tracking.serving.service import (
    ChildScoring,
    build_application,
    save_model,
    service_folder,
)
from slicewise.workflows.ports import SERVE_PORT, listen

_SECONDS_FOR_RUNNING_REQUESTS = 3


@dataclass(frozen=True)
class ServeOptions:
    """Which model to serve, where, and within which limits.

    Attributes:
        model: a folder or checkpoint of a training, a run id or a ``models:/`` address.
        host: address to listen at.
        port: port to listen at.
        names: further host names under which clients may call the service.
        max_megabytes: largest request, in 10^6 bytes.
        max_megavoxels: largest scan, in 10^6 voxels.
        max_memory_gigabytes: memory of a prediction, in 10^9 bytes; None takes what is free.
        timeout_seconds: longest wait for an answer.
        at_once: concurrent predictions; further requests queue.
        allow_paths: requests may name scans below this folder by path; None permits none.
        work: whose store is asked.
    """

    model: str
    host: str = "127.0.0.1"
    port: int = SERVE_PORT
    names: tuple[str, ...] = ()
    max_megabytes: float = 64
    max_megavoxels: float = DEFAULT_MEGAVOXELS
    max_memory_gigabytes: float | None = None
    timeout_seconds: float = 120
    at_once: int = 2
    allow_paths: Path | None = None
    work: Path = Path("work")


@dataclass(frozen=True)
class Service:
    """A model that is ready to be served.

    Attributes:
        url: of the service.
        application: answers requests.
        scoring: the processes that predict.
        listening: socket of the service; clients can connect already.
        folder: private, for this service.
    """

    url: str
    application: HostGuard
    scoring: ChildScoring
    listening: socket.socket
    folder: Path

    def run(self) -> None:
        """Answer requests until a signal stops it; running requests have seconds to finish."""
        config = uvicorn.Config(
            self.application,
            log_level="warning",
            lifespan="off",
            ws="none",
            http=PatientProtocol,
            h11_max_incomplete_event_size=LARGEST_HEADERS_BYTES,
            timeout_graceful_shutdown=_SECONDS_FOR_RUNNING_REQUESTS,
            server_header=False,
        )
        try:
            with _ended_by_signals(self.close):
                uvicorn.Server(config).run(sockets=[self.listening])
        finally:
            self.close()

    def close(self) -> None:
        """End its processes, and remove its files."""
        self.listening.close()
        self.scoring.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def _ended_by_signals(close: Callable[[], None]) -> Iterator[None]:
    """Close before uvicorn, which has finished by then, lets a signal end this process."""

    def end(number: int, _: FrameType | None) -> None:
        close()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    def hang_up(_: int, __: FrameType | None) -> None:
        signal.raise_signal(signal.SIGTERM)

    handlers = {signal.SIGTERM: end, signal.SIGHUP: hang_up}
    before = {
        number: signal.signal(number, handler)
        for number, handler in handlers.items()
        # Under `nohup` it stays ignored.
        if signal.getsignal(number) != signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve(options: ServeOptions, progress: Progress = SILENT) -> Service:
    """Load a model and listen for requests; ``Service.run`` answers them.

    Raises:
        UsageError: no such folder of permitted paths, a host name with a wildcard, or a port that
            is taken.
        ModelError, CheckpointError: no such model, or a damaged one.
        WorkerError: no process for predictions can be started.
        OutputError: the work folder cannot be written.
    """
    if options.allow_paths is not None and not options.allow_paths.is_dir():
        raise UsageError(
            f"`allow_paths` {options.allow_paths}",
            expected="a folder of scans",
            found="no such folder",
            remedy=nearest_path(options.allow_paths) or "correct the path",
        )
    limits = Limits(
        options.max_megabytes,
        options.max_megavoxels,
        options.max_memory_gigabytes,
        options.timeout_seconds,
        options.at_once,
        LOOPBACK | {options.host, *options.names},
    )
    scan_limits = ScanLimits(options.allow_paths, options.max_megavoxels)
    # Before the model is loaded, which takes seconds.
    listening = listen(options.host, options.port)
    with ExitStack() as undone:
        undone.callback(listening.close)
        give_memory_back()
        folder = service_folder(options.work)
        undone.callback(shutil.rmtree, folder, ignore_errors=True)
        scoring = ChildScoring(folder, limits, scan_limits)
        undone.callback(scoring.close)
        description = save_model(find_model(options.model, options.work), folder)
        scoring.start()
        application = build_application(scoring, limits, folder, description)
        undone.pop_all()
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{host}:{options.port}"
    progress.message(f"serving {options.model} at {url}")
    return Service(url, application, scoring, listening, folder)
