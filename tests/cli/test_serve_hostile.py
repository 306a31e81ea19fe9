"""Hostile requests among good ones: every good one is answered, and memory does not grow."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import pytest
import requests
from tests.servers import served

MEGABYTE = 1 << 20
LEAKS = ("/tmp", "Traceback", "Error", "Exception", "site-packages", ".py")

pytestmark = pytest.mark.slow


def row(content: bytes) -> bytes:
    encoded = base64.b64encode(content).decode()
    return json.dumps({"dataframe_records": [{"nifti": encoded}]}).encode()


def zeros(shape: tuple[int, int, int], size: int) -> bytes:
    """A gzip stream of zeros after a NIfTI header."""
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape(shape)
    header.set_sform(np.eye(4), 1)
    header["vox_offset"] = 352
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(header.binaryblock + bytes(4))]
    parts += [packer.compress(bytes(MEGABYTE)) for _ in range(size // MEGABYTE)]
    return b"".join([*parts, packer.flush()])


class Client:
    """Sends requests of every kind."""

    def __init__(self, url: str, scan: Path) -> None:
        self.url = url
        self.place = url.removeprefix("http://")
        self.good = row(scan.read_bytes())
        bombs = {
            "many voxels": row(zeros((30000, 30000, 1), 900_000_000)),
            "long tail": row(zeros((64, 64, 64), 1_000_000_000)),
            "DICOM": row(bytes(128) + b"DICM" + bytes(800)),
            "deep": b"[" * 3_000_000,
            "wide": b'{"dataframe_records": [' + b'{"a":1},' * 300_000 + b'{"a":1}]}',
            "broken": b'{"dataframe_records": [',
            "path": b'{"dataframe_records": [{"path": "/etc/passwd"}]}',
        }
        self.hostile: list[Callable[[], object]] = [
            *(lambda body=body: self.refused(body, 400) for body in bombs.values()),
            lambda: self.refused(b" " * 6_000_000, 413),
            lambda: self.refused(self.good, 415, {"content-type": "text/csv"}),
            lambda: self.raw(b"GET /ping HTTP/1.1\r\nX: " + b"a" * 200_000, b""),
            lambda: self.raw(self.head(b"a b", 0), b""),
            lambda: self.raw(self.head(self.place.encode(), 900_000), b'{"da'),
            lambda: self.raw(self.head(self.place.encode(), len(self.good)), self.good),
            lambda: self.raw(self.head(self.place.encode(), 900), b"{", slow_seconds=5),
        ]

    def head(self, host: bytes, length: int) -> bytes:
        lines = [b"POST /invocations HTTP/1.1", b"Host: " + host]
        lines += [b"Content-Type: application/json", b"Content-Length: %d" % length]
        return b"\r\n".join([*lines, b"", b""])

    def mask(self) -> str:
        """Ask until there is a place; a good request has no other answer than its mask."""
        while (answer := self.post(self.good)).status_code == 503:
            time.sleep(0.2)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["predictions"][0]["mask"])

    def refused(self, body: bytes, status: int, headers: dict[str, str] | None = None) -> None:
        answer = self.post(body, headers)
        assert answer.status_code in (status, 503), answer.text
        assert not any(leak in answer.text for leak in LEAKS), answer.text

    def raw(self, head: bytes, body: bytes, slow_seconds: float = 0) -> None:
        """Send bytes and hang up."""
        host, port = self.place.split(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))) as sending:
            sending.sendall(head + body)
            end = time.monotonic() + slow_seconds
            while time.monotonic() < end:
                time.sleep(0.5)
                sending.sendall(b" ")

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> requests.Response:
        given = headers or {"content-type": "application/json"}
        url = f"{self.url}/invocations"
        return requests.post(url, data=body, headers=given, timeout=120)


def memory_bytes(process_id: int) -> int:
    service = psutil.Process(process_id)
    return sum(item.memory_info().rss for item in (service, *service.children(recursive=True)))


@pytest.mark.fault(118, "E")
@pytest.mark.parametrize("at_once", [2, 8])
def test_good_requests_among_hostile_ones(
    model: Path, work: Path, scans: Path, tmp_path: Path, at_once: int
) -> None:
    with served(model, work, tmp_path, "--max-megabytes", "5") as (url, service):
        client = Client(url, scans / "images" / "case2.nii.gz")
        with ThreadPoolExecutor(at_once) as threads:
            masks = set(threads.map(lambda _: client.mask(), range(8)))
            before = memory_bytes(service.pid)
            hostile = [threads.submit(ask) for ask in client.hostile]
            masks |= set(threads.map(lambda _: client.mask(), range(16)))
            for future in hostile:
                future.result()
        assert len(masks) == 1
        # What was ended is replaced.
        deadline = time.monotonic() + 15
        while memory_bytes(service.pid) - before > 50e6 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert memory_bytes(service.pid) - before < 50e6
    assert "Traceback" not in (tmp_path / "serve.log").read_text()
