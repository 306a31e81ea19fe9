"""The service keeps its limits, and answers every mistake in words of ours."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from slicewise.errors import UsageError
from slicewise.tracking.packing import ModelFiles
from slicewise.tracking.registry import synthetic_example
from slicewise.tracking.serving.request_limits import Limits, RequestLimiter
from slicewise.tracking.serving.service import build_service

HEADERS = {"host": "127.0.0.1:5001", "content-type": "application/json"}


async def ask_async(
    limiter: RequestLimiter, body: bytes, path: str = "/invocations", parts: int = 1, **headers: str
) -> tuple[int, Any]:
    """Send a request in several parts; header names have _ for -."""
    given = HEADERS | {key.replace("_", "-"): value for key, value in headers.items()}
    size = max(1, -(-len(body) // parts))
    chunks = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    messages = [
        {"type": "http.request", "body": chunk, "more_body": number < len(chunks) - 1}
        for number, chunk in enumerate(chunks)
    ]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else await asyncio.sleep(3600)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        **{"type": "http", "http_version": "1.1", "method": "POST", "path": path, "scheme": "http"},
        **{"query_string": b"", "root_path": "", "server": ("127.0.0.1", 5001)},
        "headers": [(key.encode(), value.encode()) for key, value in given.items()],
    }
    if path != "/invocations":
        scope["method"] = "GET"
    await limiter(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent)
    try:
        return sent[0]["status"], json.loads(content)
    except ValueError:
        return sent[0]["status"], content.decode()


def ask(limiter: RequestLimiter, body: object = b"", **more: Any) -> tuple[int, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return asyncio.run(ask_async(limiter, raw, **more))


def row(content: bytes) -> dict[str, Any]:
    return {"dataframe_records": [{"nifti": base64.b64encode(content).decode()}]}


@pytest.fixture
def service(files: ModelFiles, threshold_predictor: None) -> RequestLimiter:
    """A service of a threshold."""
    del threshold_predictor
    return build_service(files, Limits(max_megabytes=1))


def test_a_scan_gets_its_mask_and_the_service_its_name(
    service: RequestLimiter, tmp_path: Path
) -> None:
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
        ({"dataframe_records": [{"image": "x"}]}, "request"),
        ({"dataframe_records": [{"nifti": 3}]}, "neither"),
        ({"dataframe_records": [{"nifti": "no base64!"}]}, "in base64"),
        ({"dataframe_records": [{"nifti": ""}]}, "row 1, nifti"),
        ({"dataframe_records": [{"path": "/etc/passwd"}]}, "does not permit"),
        ({"dataframe_records": [{"nifti": "", "path": "x"}]}, "both"),
    ],
)
def test_a_mistake_is_told_in_four_lines(service: RequestLimiter, body: object, found: str) -> None:
    status, answer = ask(service, body)
    assert status == 400, answer
    assert found in answer["message"]
    assert answer["message"].count("\n") == 3
    assert "Traceback" not in json.dumps(answer)
    assert "stack" not in json.dumps(answer)
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
    service: RequestLimiter, tmp_path: Path, make: Any, found: str
) -> None:
    status, answer = ask(service, row(make(tmp_path)))
    assert status == 400
    assert found in answer["message"]
    assert str(tmp_path) not in answer["message"]
    assert "/tmp" not in answer["message"]


@pytest.mark.parametrize("parts", [1, 5])
@pytest.mark.parametrize("stated", [True, False])
def test_a_body_over_the_limit_is_refused(
    service: RequestLimiter, parts: int, stated: bool
) -> None:
    body = b" " * 1_000_001
    more = {"content_length": str(len(body))} if stated else {}
    status, answer = ask(service, body, parts=parts, **more)
    assert status == 413
    assert "at most 1 MB" in answer["message"]


def test_another_kind_of_content_is_refused(service: RequestLimiter) -> None:
    status, answer = ask(service, b"nifti\nx", content_type="text/csv")
    assert status == 415
    assert "application/json" in answer["message"]


@pytest.mark.fault(94, "E")
@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:5001"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"host": ""},
    ],
)
@pytest.mark.parametrize("path", ["/invocations", "/ping"])
def test_a_foreign_host_or_origin_is_forbidden(
    service: RequestLimiter, headers: dict[str, str], path: str
) -> None:
    status, answer = ask(service, row(synthetic_example()), path=path, **headers)
    assert status == 403
    assert "header" in answer["message"]


@pytest.mark.parametrize("host", ["localhost:5001", "127.0.0.1", "[::1]:5001"])
def test_names_of_this_machine_are_known(service: RequestLimiter, host: str) -> None:
    assert ask(service, path="/ping", host=host, origin="http://localhost:5001")[0] == 200


@pytest.mark.parametrize("host", ["*", "*.example.org"])
def test_a_wildcard_host_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="whole names"):
        Limits(hosts=frozenset({host}))


def test_a_client_that_hangs_up_is_no_fault_of_the_service() -> None:
    async def hung_up() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
        scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": headers}
        await RequestLimiter(Slow(), Limits())(scope, receive, send)
        return sent

    assert asyncio.run(hung_up())[0]["status"] == 400


class Slow:
    """Answers when it is let; knows how many it holds at a time."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.now = self.most = self.done = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del scope
        await receive()
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.to_thread(self.release.wait, 10)
        self.now -= 1
        self.done += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def test_two_are_answered_at_a_time_and_others_wait() -> None:
    slow = Slow()

    async def five() -> list[tuple[int, Any]]:
        limiter = RequestLimiter(slow, Limits(at_once=2, timeout_seconds=5))
        tasks = [asyncio.create_task(ask_async(limiter, b"{}")) for _ in range(5)]
        await asyncio.sleep(0.2)
        assert slow.now == 2
        slow.release.set()
        return list(await asyncio.gather(*tasks))

    assert [status for status, _ in asyncio.run(five())] == [200] * 5
    assert slow.most == 2


def test_who_waits_too_long_is_told_and_a_turn_ends_with_its_prediction() -> None:
    slow = Slow()

    async def three() -> tuple[list[int], int, int]:
        limiter = RequestLimiter(slow, Limits(at_once=1, timeout_seconds=0.2))
        begun = time.monotonic()
        answers = await asyncio.gather(*(ask_async(limiter, b"{}") for _ in range(3)))
        assert time.monotonic() - begun < 5
        # The first prediction goes on; it cannot be stopped.
        busy, _ = await ask_async(limiter, b"{}")
        slow.release.set()
        while slow.now:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        after, _ = await ask_async(limiter, b"{}")
        return [status for status, _ in answers], busy, after

    statuses, busy, after = asyncio.run(three())
    assert statuses == [503] * 3
    assert busy == 503
    assert after == 200


def test_a_long_queue_is_refused_at_once() -> None:
    slow = Slow()

    async def many() -> list[int]:
        limiter = RequestLimiter(slow, Limits(at_once=1, timeout_seconds=5))
        tasks = [asyncio.create_task(ask_async(limiter, b"{}")) for _ in range(12)]
        await asyncio.sleep(0.1)
        slow.release.set()
        return [status for status, _ in await asyncio.gather(*tasks)]

    statuses = asyncio.run(many())
    # One is answered, eight wait for it.
    assert statuses.count(200) == 9
    assert statuses.count(503) == 3


def test_a_fault_of_the_service_is_no_stack_trace() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        del scope, receive, send
        raise RuntimeError("secret detail")

    status, answer = ask(RequestLimiter(broken, Limits()), b"{}")
    assert status == 500
    assert "secret" not in json.dumps(answer)
    assert "its log says more" in answer["message"]
