"""The service keeps its limits, and answers every mistake in words of ours."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import re
import socket
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from tests.planted_tokens import leaks, write_nifti, write_study

from slicewise.config import Config
from slicewise.errors import CheckpointError, ModelError, ScanError, UsageError, WorkerError
from slicewise.imaging.child_processes.child import ChildEndedError
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.registry import synthetic_example
from slicewise.tracking.request_scans import (
    ALLOWED_FOLDER,
    DEFAULT_MEGAVOXELS,
    MAX_MEGAVOXELS,
    ScanLimits,
    read_row,
)
from slicewise.tracking.serving import scoring, uploads
from slicewise.tracking.serving.client import RemoteModel
from slicewise.tracking.serving.host_guard import HostGuard
from slicewise.tracking.serving.request_limits import Limits, Scoring
from slicewise.tracking.serving.service import build_application, save_model

HEADERS = {"host": "127.0.0.1:5001", "content-type": "application/json"}


async def ask_async(
    limiter: HostGuard,
    body: bytes,
    path: str = "/invocations",
    parts: int = 1,
    leaves: asyncio.Event | None = None,
    stops: bool = False,
    **headers: str,
) -> tuple[int, Any]:
    """Send a request in several parts; header names have _ for -.

    The client hangs up when it ``leaves``; a body that ``stops`` does not come to its end.
    """
    given = HEADERS | {key.replace("_", "-"): value for key, value in headers.items()}
    size = max(1, -(-len(body) // parts))
    chunks = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    messages = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]
    if stops:
        messages[-1]["more_body"] = True
    sent: list[Any] = []

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        await (leaves or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        **{"type": "http", "http_version": "1.1", "method": "POST", "path": path, "scheme": "http"},
        **{"query_string": b"", "root_path": "", "server": ("127.0.0.1", 5001)},
        "headers": [(key.encode(), value.encode("latin-1")) for key, value in given.items()],
    }
    if path != "/invocations":
        scope["method"] = "GET"
    await limiter(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent)
    if not sent:
        return 0, ""
    try:
        return sent[0]["status"], json.loads(content)
    except ValueError:
        return sent[0]["status"], content.decode()


def ask(limiter: HostGuard, body: object = b"", **more: Any) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(ask_async(limiter, raw, **more))


def row(content: bytes) -> dict[str, Any]:
    return {"dataframe_records": [{"nifti": base64.b64encode(content).decode()}]}


class ScoringHere:
    """Answers in this process."""

    def __init__(self, model: Path) -> None:
        self.model = model

    async def answer(self, body: Path) -> bytes:
        return await asyncio.to_thread(scoring.answer, self.model, body)


@pytest.fixture
def service(
    files: ModelFiles,
    threshold_predictor: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> HostGuard:
    """A service of a threshold."""
    del threshold_predictor
    # Children have a folder of temporary files for each request.
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())
    description = save_model(files, tmp_path)
    limits = Limits(max_megabytes=1)
    return build_application(ScoringHere(tmp_path / "model"), limits, tmp_path, description)


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., HostGuard]:
    """Build a service of any scoring, with any limits."""

    def build(answers: Scoring, **limits: Any) -> HostGuard:
        return build_application(answers, Limits(**limits), tmp_path, "")

    return build


def test_a_scan_gets_its_mask_and_the_service_its_name(service: HostGuard, tmp_path: Path) -> None:
    status, answer = ask(service, row(synthetic_example()))
    assert status == 200
    (found,) = answer["predictions"]
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(base64.b64decode(found["mask"]))
    mask = nib.load(path)
    assert mask.shape == (40, 36, 12)
    volume = json.loads(found["volumes_ml"])["left part (a)"]
    assert volume == pytest.approx(np.count_nonzero(np.asarray(mask.dataobj)) * 0.003)
    status, text = ask(service, path="/description")
    assert status == 200
    assert "left part (a): 1" in text
    # Folders of the machine stay here.
    assert "/somewhere" not in text


def four_dimensional(tmp_path: Path) -> bytes:
    path = tmp_path / "four.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), np.eye(4)), path)
    return path.read_bytes()


def bomb(tmp_path: Path) -> bytes:
    """A header that promises 32767 cubed voxels."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header["dim"] = [3, 32767, 32767, 32767, 1, 1, 1, 1]
    header["vox_offset"] = 352
    path = tmp_path / "bomb.nii"
    path.write_bytes(header.binaryblock + bytes(4) + bytes(100))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"", "request"),
        (b"{", "request"),
        (b"[" * 5000, "request"),
        (b"[]", "request"),
        ({"rows": []}, "request"),
        ({"dataframe_records": []}, "request"),
        (b"3", "JSON without a table"),
        (b'{"dataframe_records": 3}', "dataframe_records that is no table"),
        (b'{"dataframe_records": [1, [2]]}', "request"),
        (b'{"dataframe_split": {"columns": 3}}', "dataframe_split that is no table"),
        (b'{"inputs": {"nifti": [[1], [2, 3]]}}', "request"),
        (b'{"instances": ["x"]}', "request"),
        (b'{"instances": [], "inputs": []}', "several tables"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "no table"),
        (b"\xff\xfe{}", "request"),
        (b'{"dataframe_records": [{"nifti": ' + b"9" * 5000 + b"}]}", "request"),
        ({"dataframe_records": [{"path": "a\x00b"}]}, "does not permit"),
        ({"dataframe_records": [{"nifti": "\ud800"}]}, "request"),
        ({"dataframe_records": [{"image": "x"}]}, "request"),
        ({"dataframe_records": [{"nifti": 3}]}, "neither"),
        ({"dataframe_records": [{"nifti": "no base64!"}]}, "not base64"),
        ({"dataframe_records": [{"nifti": ""}]}, "row 1, nifti"),
        ({"dataframe_records": [{"path": "/etc/passwd"}]}, "does not permit"),
        ({"dataframe_records": [{"nifti": "", "path": "x"}]}, "both"),
    ],
)
def test_a_mistake_is_told_in_four_lines(service: HostGuard, body: object, found: str) -> None:
    status, answer = ask(service, body)
    assert status == 400, answer
    assert found in answer["message"]
    assert answer["message"].count("\n") == 3
    assert "Traceback" not in json.dumps(answer)
    assert "stack" not in json.dumps(answer)
    assert not re.search(r"Error|Exception|<class|/tmp", json.dumps(answer))
    assert set(answer["error"]) == {"where", "expected", "found", "remedy"}


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda _: b"no NIfTI at all, but long enough for a header" * 20, "row 1, nifti"),
        (four_dimensional, "2 volumes in one file"),
        (bomb, "row 1, nifti"),
        (lambda _: synthetic_example()[:-40], "row 1, nifti"),
    ],
)
def test_a_bad_scan_gets_the_reason(
    service: HostGuard, tmp_path: Path, make: Any, found: str
) -> None:
    status, answer = ask(service, row(make(tmp_path)))
    assert status == 400
    assert found in answer["message"]
    assert str(tmp_path) not in answer["message"]
    assert "/tmp" not in answer["message"]


@pytest.mark.parametrize("parts", [1, 5])
@pytest.mark.parametrize("stated", [True, False])
def test_a_body_over_the_limit_is_refused(service: HostGuard, parts: int, stated: bool) -> None:
    body = b" " * 1_000_001
    more = {"content_length": str(len(body))} if stated else {}
    status, answer = ask(service, body, parts=parts, **more)
    assert status == 413
    assert "at most 1 MB" in answer["message"]


def test_another_kind_of_content_is_refused(service: HostGuard) -> None:
    status, answer = ask(service, b"nifti\nx", content_type="text/csv")
    assert status == 415
    assert "application/json" in answer["message"]


@pytest.mark.fault(94, "E")
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "localhost.evil.example"},
        {"host": "evil.example:5001"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://[::1"},
        {"origin": ""},
    ],
)
@pytest.mark.parametrize("path", ["/invocations", "/ping"])
def test_a_foreign_host_or_origin_is_forbidden(
    service: HostGuard, headers: dict[str, str], path: str
) -> None:
    status, answer = ask(service, row(synthetic_example()), path=path, **headers)
    assert status == 403
    assert "header" in answer["message"]


@pytest.mark.fault(118, "E")
@pytest.mark.parametrize(
    "host",
    ["", " ", "a b", "127.0.0.1:port", "127.0.0.1:999999", "[::1", "me@127.0.0.1", "h\xe4", "a/b"],
)
def test_a_broken_host_is_a_bad_request(service: HostGuard, host: str) -> None:
    status, answer = ask(service, path="/ping", host=host)
    assert status == 400
    assert "header host" in answer["message"]


@pytest.mark.parametrize("host", ["localhost:5001", "LOCALHOST", "127.0.0.1", "[::1]:5001"])
def test_names_of_this_machine_are_known(service: HostGuard, host: str) -> None:
    assert ask(service, path="/ping", host=host, origin="http://localhost:5001")[0] == 200


@pytest.mark.parametrize("host", ["*", "*.example.org"])
def test_a_wildcard_host_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="whole names"):
        Limits(hosts=frozenset({host}))


def voxels_without_end(shape: tuple[int, int, int], spacing_mm: float = 1.0) -> bytes:
    """A small file of many zero voxels."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header.set_zooms((spacing_mm,) * 3)
    header["vox_offset"] = 352
    header.set_sform(np.diag([spacing_mm] * 3 + [1.0]), 1)
    packer = zlib.compressobj(9, wbits=31)
    content = packer.compress(header.binaryblock + bytes(4))
    for _ in range(-(-int(np.prod(shape)) >> 20)):
        content += packer.compress(bytes(1 << 20))
    return content + packer.flush()


@pytest.mark.fault(118, "E")
def test_voxels_are_counted_before_memory_is_asked_for(service: HostGuard) -> None:
    # The header alone is read; its voxels are not there.
    content = voxels_without_end((1024, 1024, 32))[:2000]
    patched = bytearray(zlib.decompressobj(31).decompress(content, 352))
    patched[42:48] = np.array([30000, 30000, 1], np.int16).tobytes()
    status, answer = ask(service, row(zlib.compress(bytes(patched), wbits=31)))
    assert status == 400
    assert "30000 x 30000 x 1 voxels" in answer["message"]
    assert f"at most {DEFAULT_MEGAVOXELS:g} million voxels" in answer["message"]


@pytest.mark.fault(118, "E")
def test_voxels_of_the_spacing_of_the_model_are_counted(tmp_path: Path) -> None:
    config = Config.defaults("a")
    grid = config.preprocessing.model_copy(update={"spacing_mm": (1.0, 1.0, 1.0)})
    content = voxels_without_end((64, 64, 64), 20.0)
    asked = {"nifti": base64.b64encode(content).decode()}
    with pytest.raises(ScanError, match="2,097,152,000 voxels at the spacing of the model"):
        read_row(asked, 1, tmp_path, config, [lambda _: grid], ScanLimits())
    (volume,) = read_row(asked, 1, tmp_path, config, [lambda _: config.preprocessing], ScanLimits())
    assert volume.shape == (64, 64, 64)


@pytest.mark.parametrize("text", ["0", "-3", "many", "nan", "inf", "", " "])
def test_a_limit_of_voxels_is_a_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(MAX_MEGAVOXELS, text)
    with pytest.raises(UsageError, match=MAX_MEGAVOXELS) as caught:
        ScanLimits.from_environment()
    assert caught.value.found == text.strip() or caught.value.found == "an empty text"


@pytest.mark.parametrize("text", [" ", "5", "/nowhere", "a\nb"])
def test_the_folder_of_requests_exists(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(ALLOWED_FOLDER, text)
    with pytest.raises(UsageError, match=ALLOWED_FOLDER):
        ScanLimits.from_environment()
    monkeypatch.setenv(ALLOWED_FOLDER, "")
    assert ScanLimits.from_environment().allowed_folder is None


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("localhost", "write http://localhost, with its port after a colon; "),
        ("localhost:5001", "write http://localhost:5001; "),
        (" 10.0.0.1:80/x", "write http://10.0.0.1:80/x; "),
        ("gpu:5001", "write http://gpu:5001; "),
        ("", "write http://127.0.0.1:5001; "),
        ("5001", "write http://127.0.0.1:5001; "),
        ("http://", "write http://127.0.0.1:5001; "),
        ("ftp://localhost", "write http://127.0.0.1:5001; "),
        ("models:/m@champion", "write http://127.0.0.1:5001; "),
    ],
)
def test_an_address_without_scheme_is_corrected(url: str, remedy: str) -> None:
    with pytest.raises(UsageError, match="begins with http:// or https://") as caught:
        RemoteModel(url)
    assert caught.value.remedy == f"{remedy}`slicewise serve` shows the address"


@pytest.mark.parametrize("url", ["http://localhost:99999", "http://a b:1", "https://[::1"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ModelError, match="no address of a service"):
        RemoteModel(url)


@pytest.mark.fault(118, "E")
def test_only_regular_files_are_opened_by_path(
    service: HostGuard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    ScanLimits(allowed).to_environment()
    monkeypatch.setenv(ALLOWED_FOLDER, str(allowed))
    os.mkfifo(allowed / "pipe.nii")
    (allowed / "device.nii").symlink_to("/dev/zero")
    (allowed / "loop.nii").symlink_to("loop.nii")
    (allowed / "folder.nii").mkdir()
    (tmp_path / "outside.nii.gz").write_bytes(synthetic_example())
    (allowed / "link.nii.gz").symlink_to(tmp_path / "outside.nii.gz")
    (allowed / "scan.nii.gz").write_bytes(synthetic_example())
    (allowed / "within.nii.gz").symlink_to("scan.nii.gz")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(allowed)
        listening.bind("socket.nii")
        for name in [path.name for path in allowed.iterdir()]:
            good = name in ("scan.nii.gz", "within.nii.gz")
            asked = {"dataframe_records": [{"path": str(allowed / name)}]}
            status, answer = ask(service, asked)
            assert status == (200 if good else 400), (name, answer)
            assert good or str(tmp_path) not in answer["message"]
    for name in ("absent.nii", "a\x00b", "x" * 300, "\ud800", "../outside.nii.gz", ""):
        status, answer = ask(service, {"dataframe_records": [{"path": f"{allowed}/{name}"}]})
        assert status == 400, (name, answer)
        assert answer["error"]["where"] in ("row 1, nifti", "request")


class Held:
    """Answers when it is let; knows how many it holds at a time, and how many were ended."""

    def __init__(self) -> None:
        self.now = self.most = self.ended = 0
        self.release: asyncio.Event = asyncio.Event()

    async def answer(self, body: Path) -> bytes:
        assert body.is_file()
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.ended += 1
            raise
        finally:
            self.now -= 1
        return b"{}"


async def until(condition: Callable[[], bool]) -> None:
    """Let the others go on until something is so."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


Serve = Callable[..., HostGuard]


def test_two_are_answered_at_a_time_and_others_wait(serve: Serve) -> None:
    async def five() -> list[int]:
        held = Held()
        limiter = serve(held, at_once=2)
        tasks = [asyncio.create_task(ask_async(limiter, b"{}")) for _ in range(5)]
        await until(lambda: held.now == 2)
        held.release.set()
        statuses = [status for status, _ in await asyncio.gather(*tasks)]
        assert held.most == 2
        return statuses

    assert asyncio.run(five()) == [200] * 5


@pytest.mark.fault(118, "E")
def test_a_prediction_ends_with_its_request_and_gives_its_place_back(serve: Serve) -> None:
    async def late() -> None:
        held = Held()
        limiter = serve(held, at_once=1, timeout_seconds=0.05)
        status, answer = await ask_async(limiter, b"{}")
        assert status == 503
        assert "no answer within 0.05 s" in answer["message"]
        await until(lambda: held.ended == 1)
        held.release.set()
        assert (await ask_async(limiter, b"{}"))[0] == 200

    asyncio.run(late())


@pytest.mark.fault(118, "E")
@pytest.mark.parametrize("waiting", [False, True], ids=["in prediction", "in the queue"])
def test_a_client_that_is_gone_gives_its_place_back(serve: Serve, waiting: bool) -> None:
    async def gone() -> None:
        held = Held()
        limiter = serve(held, at_once=1)
        first = asyncio.create_task(ask_async(limiter, b"{}")) if waiting else None
        if first is not None:
            await until(lambda: held.now == 1)
        left = asyncio.Event()
        task = asyncio.create_task(ask_async(limiter, b"{}", leaves=left))
        await asyncio.sleep(0.01)
        left.set()
        assert await task == (0, "")
        assert held.ended == (0 if waiting else 1)
        held.release.set()
        assert first is None or (await first)[0] == 200
        assert (await ask_async(limiter, b"{}"))[0] == 200

    asyncio.run(gone())


def test_a_long_queue_is_refused_at_once(serve: Serve) -> None:
    async def many() -> list[int]:
        held = Held()
        limiter = serve(held, at_once=1)
        tasks = [asyncio.create_task(ask_async(limiter, b"{}")) for _ in range(12)]
        # One is answered, eight wait for it.
        await until(lambda: sum(task.done() for task in tasks) == 3)
        held.release.set()
        return [status for status, _ in await asyncio.gather(*tasks)]

    statuses = asyncio.run(many())
    assert (statuses.count(200), statuses.count(503)) == (9, 3)


@pytest.mark.fault(118, "E")
def test_slow_bodies_do_not_keep_others_out(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(uploads, "_LONGEST_SILENCE_SECONDS", 5.0)

    async def crowd() -> list[int]:
        held = Held()
        held.release.set()
        limiter = serve(held, at_once=1)
        slow = [asyncio.create_task(ask_async(limiter, b"{}", stops=True)) for _ in range(80)]
        # The oldest have made room already.
        await until(lambda: sum(task.done() for task in slow) == 16)
        assert (await ask_async(limiter, b"{}"))[0] == 200
        for task in slow:
            task.cancel()
        return [task.result()[0] for task in slow if task.done()]

    assert set(asyncio.run(crowd())) == {408}
    assert not list((tmp_path / "requests").iterdir())


@pytest.mark.parametrize("limit", ["_LONGEST_SILENCE_SECONDS", "timeout"])
def test_a_body_that_stops_arriving_is_given_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    more: dict[str, Any] = {}
    if limit == "timeout":
        more["timeout_seconds"] = 0.05
    else:
        monkeypatch.setattr(uploads, limit, 0.05)
    status, answer = ask(serve(Held(), **more), b"{}", stops=True)
    assert status == 408
    assert "too long" in answer["message"]


def test_a_client_that_hangs_up_in_its_body_is_no_fault_of_the_service(serve: Serve) -> None:
    async def hung_up() -> tuple[int, Any]:
        left = asyncio.Event()
        left.set()
        return await ask_async(serve(Held()), b"{}", leaves=left, stops=True)

    assert asyncio.run(hung_up())[0] == 400


class Failing:
    """Fails as often as it is told, in one way."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error, self.times = error, times

    async def answer(self, body: Path) -> bytes:
        del body
        self.times -= 1
        if self.times >= 0:
            raise self.error
        return b"{}"


@pytest.mark.fault(74, "Q")
@pytest.mark.parametrize(("deaths", "expected"), [(1, 200), (2, 400)])
def test_a_child_that_dies_is_tried_again(serve: Serve, deaths: int, expected: int) -> None:
    status, answer = ask(serve(Failing(ChildEndedError("died of SIGSEGV"), deaths)), b"{}")
    assert status == expected
    assert status == 200 or "2 processes that died of SIGSEGV" in answer["message"]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("secret detail"),
        CheckpointError("/secret/best.pt", expected="weights", found="NaN", remedy="train"),
    ],
)
def test_a_fault_of_the_service_is_no_stack_trace(serve: Serve, error: Exception) -> None:
    status, answer = ask(serve(Failing(error, 1)), b"{}")
    assert status == 500
    assert "secret" not in json.dumps(answer)
    assert "its log says more" in answer["message"]


@pytest.mark.fault(110, "E")
def test_a_service_without_processes_says_so(serve: Serve) -> None:
    error = WorkerError("child processes", expected="a", found="b", remedy="c")
    status, answer = ask(serve(Failing(error, 1)), b"{}")
    assert status == 503
    assert "no process for predictions" in answer["message"]


@pytest.mark.parametrize(("path", "status"), [("/docs", 404), ("/openapi.json", 404), ("/", 404)])
def test_nothing_else_is_there(service: HostGuard, path: str, status: int) -> None:
    assert ask(service, path=path)[0] == status


def test_no_answer_holds_a_planted_token(
    service: HostGuard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither of the scan, nor of the places and names of files that the request does not name."""
    open_to_requests = tmp_path / "ZUTOKEN" / "ZPTOKEN studies"
    study = open_to_requests / "study"
    monkeypatch.setenv(ALLOWED_FOLDER, str(open_to_requests))
    write_study(open_to_requests / "whole", 1)
    write_study(open_to_requests / "damaged", 4, is_damaged=True)
    study.mkdir()
    scan, cut = study / "ZPTOKEN.nii.gz", study / "ZPTOKEN cut.nii.gz"
    write_nifti(scan)
    cut.write_bytes(scan.read_bytes()[:-200])
    (tmp_path / "ZPTOKEN outside.nii.gz").write_bytes(scan.read_bytes())
    monkeypatch.chdir(open_to_requests)
    for name, target in {
        "whole.nii.gz": scan,
        "cut.nii.gz": cut,
        "outside.nii.gz": tmp_path / "ZPTOKEN outside.nii.gz",
        "absent.nii.gz": study / "ZPTOKEN absent",
    }.items():
        Path(name).symlink_to(target)
    named = ["whole", "damaged", "study", ".", "nowhere", "whole.nii.gz", "cut.nii.gz"]
    named += ["outside.nii.gz", "absent.nii.gz", "../../.."]
    bodies: dict[str, object] = {
        name: {"dataframe_records": [{"path": name}]} for name in (*named, "/", "~", "a\0b")
    }
    bodies |= {path.name: row(path.read_bytes()) for path in (scan, cut)}
    dicom = next(path for path in (open_to_requests / "whole").rglob("*.dcm") if path.is_file())
    bodies["one slice"] = row(dicom.read_bytes())
    bodies["nothing"] = b""
    answers = {name: ask(service, body) for name, body in bodies.items()}
    paths = ("/ping", "/health", "/version", "/description", "/invocations/", "/metrics")
    answers |= {path: ask(service, path=path) for path in paths}
    shown = {name: leaks(json.dumps(answer).encode()) for name, answer in answers.items()}
    assert {name: tokens for name, tokens in shown.items() if tokens} == {}
    assert not [name for name, answer in answers.items() if str(tmp_path) in json.dumps(answer)]
    for name in (scan.name, "whole.nii.gz"):
        status, answer = answers[name]
        assert status == 200
        mask = gzip.decompress(base64.b64decode(answer["predictions"][0]["mask"]))
        assert leaks(mask) == []
