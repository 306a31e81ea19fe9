"""Downloads against a server on this machine that misbehaves on request; archives built by hand."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.recorded_progress import RecordedProgress

from slicewise.dataset import archives, downloads
from slicewise.dataset.downloads import download_hippocampus, fetch_archive, unpack_tar
from slicewise.errors import DataError, DownloadError, OutputError
from slicewise.imaging.locking import LOCK

CONTENT = bytes(range(256)) * 4096  # 1 MiB
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves one file; remembers what was asked and how much it sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.drop_after: list[int] = []
        self.statuses: list[int] = []
        self.ignores_ranges = False
        self.ranges: list[str | None] = []
        self.sent: list[int] = []

    def address(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.server.statuses:
            self.send_error(self.server.statuses.pop(0))
            return
        content = self.server.content
        start = 0
        if asked and not self.server.ignores_ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.drop_after:
            body = body[: self.server.drop_after.pop(0)]
        # Noted first: the client may finish before this thread runs again.
        self.server.sent.append(len(body))
        # A client with a full disk hangs up early.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloads, "FIRST_PAUSE_SECONDS", 0.001)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_whole_file_arrives_and_progress_ends_at_the_total(server: Server, tmp_path: Path) -> None:
    progress = RecordedProgress()
    path = fetch_archive(server.address("set.tar"), MD5, tmp_path / "new", progress)
    assert path == tmp_path / "new" / "set.tar"
    assert path.read_bytes() == CONTENT
    (task,) = progress.tasks
    assert task.completed[-1] == task.total == len(CONTENT)
    assert [item.name for item in path.parent.iterdir()] == ["set.tar"]


def test_verified_file_is_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        fetch_archive(server.address("set.tar"), MD5.upper(), tmp_path)
    assert len(server.ranges) == 1


def test_dropped_connection_goes_on_with_the_rest_only(server: Server, tmp_path: Path) -> None:
    kept = 6 * downloads.CHUNK_BYTES
    server.drop_after = [kept + 10]
    path = fetch_archive(server.address("set.tar"), MD5, tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={kept}-"]
    assert server.sent == [kept + 10, len(CONTENT) - kept]


def test_part_of_an_earlier_session_is_used(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set.tar.part").write_bytes(CONTENT[:1000])
    progress = RecordedProgress()
    fetch_archive(server.address("set.tar"), MD5, tmp_path, progress)
    assert server.ranges == ["bytes=1000-"]
    (task,) = progress.tasks
    assert min(task.completed) > 1000
    assert task.completed[-1] == task.total == len(CONTENT)


def test_server_that_ignores_ranges_makes_a_new_start(server: Server, tmp_path: Path) -> None:
    server.ignores_ranges = True
    server.drop_after = [5000]
    path = fetch_archive(server.address("set.tar"), MD5, tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.sent == [5000, len(CONTENT)]


@pytest.mark.parametrize("surplus", [b"", b"too long"])
def test_part_that_is_complete_or_too_long(server: Server, tmp_path: Path, surplus: bytes) -> None:
    (tmp_path / "set.tar.part").write_bytes(CONTENT + surplus)
    path = fetch_archive(server.address("set.tar"), MD5, tmp_path)
    assert path.read_bytes() == CONTENT
    assert server.sent == ([len(CONTENT)] if surplus else [])


def test_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    assert fetch_archive(server.address("set.tar"), MD5, tmp_path).exists()
    assert len(server.ranges) == 3


def test_connection_that_never_brings_anything_is_given_up(server: Server, tmp_path: Path) -> None:
    kept = downloads.CHUNK_BYTES
    server.drop_after = [kept] + [0] * 20
    with pytest.raises(DownloadError, match="resumes where it stopped"):
        fetch_archive(server.address("set.tar"), MD5, tmp_path)
    assert (tmp_path / "set.tar.part").stat().st_size == kept
    assert len(server.ranges) == downloads.ATTEMPTS


def test_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=MD5) as caught:
        fetch_archive(server.address("set.tar"), "0" * 32, tmp_path)
    assert caught.value.expected == f"md5 {'0' * 32}"
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_not_asked_for_again(server: Server, tmp_path: Path) -> None:
    server.statuses = [404]
    with pytest.raises(DownloadError) as caught:
        fetch_archive(server.address("set.tar"), MD5, tmp_path)
    assert caught.value.where == server.address("set.tar")
    assert "404" in caught.value.found
    assert "URL" in caught.value.remedy
    assert len(server.ranges) == 1


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/set.tar", "set.tar", "http://127.0.0.1/"])
def test_unusable_address(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="URL"):
        fetch_archive(url, MD5, tmp_path)


def test_full_disk_is_noticed_before_writing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: _Usage(free=10))
    with pytest.raises(OutputError, match="free space"):
        fetch_archive(server.address("set.tar"), MD5, tmp_path)


class _Usage:
    def __init__(self, free: int) -> None:
        self.free = free


def build_tar(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo) -> Path:
    mode = "w:gz" if path.name.endswith("gz") else "w"
    with tarfile.open(path, mode) as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
                continue
            name, content = member
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def files_in(folder: Path) -> set[str]:
    return {str(item.relative_to(folder)) for item in folder.rglob("*") if item.is_file()}


def test_unpacks_files_and_skips_macos_leftovers(tmp_path: Path) -> None:
    archive = build_tar(
        tmp_path / "set.tar.gz",
        ("set/a.txt", b"a"),
        ("set/._a.txt", b"fork"),
        ("._set", b"fork"),
        ("set/.DS_Store", b"x"),
        ("__MACOSX/set/a.txt", b"x"),
        ("set/deep/b.txt", b"b"),
    )
    unpack_tar(archive, tmp_path / "out")
    assert files_in(tmp_path / "out") == {"set/a.txt", "set/deep/b.txt"}


@pytest.mark.fault(88, "E")
@pytest.mark.parametrize(
    "member",
    [
        ("../x", b"x"),
        ("set/../../x", b"x"),
        ("/tmp/x", b"x"),
        ("..\\x", b"x"),
        special("set/out", tarfile.SYMTYPE, "../../elsewhere"),
        special("set/inside", tarfile.SYMTYPE, "a.txt"),
        special("set/hard", tarfile.LNKTYPE, "set/a.txt"),
        special("set/pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda member: member.name if isinstance(member, tarfile.TarInfo) else member[0],
)
def test_dangerous_member_is_named_and_nothing_unpacked(
    tmp_path: Path, member: tuple[str, bytes] | tarfile.TarInfo
) -> None:
    name = member.name if isinstance(member, tarfile.TarInfo) else member[0]
    archive = build_tar(tmp_path / "set.tar", ("set/a.txt", b"a"), member)
    with pytest.raises(DataError) as caught:
        unpack_tar(archive, tmp_path / "out")
    assert caught.value.where == f"{archive}: {name}"
    assert files_in(tmp_path) == {"set.tar"}


@pytest.mark.fault(89, "E")
def test_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "EXPANSION_ALLOWANCE_BYTES", 10_000)
    archive = build_tar(tmp_path / "set.tar.gz", ("small", b"a"), ("zeros", bytes(1_000_000)))
    with pytest.raises(DataError, match="zeros"):
        unpack_tar(archive, tmp_path / "out")
    assert files_in(tmp_path) == {"set.tar.gz"}


@pytest.mark.parametrize("name", ["set.tar", "set.tar.gz"])
def test_truncated_archive(tmp_path: Path, name: str) -> None:
    whole = build_tar(tmp_path / name, ("a", CONTENT), ("b", CONTENT)).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="intact"):
        unpack_tar(tmp_path / name, tmp_path / "out")


def test_something_else_than_an_archive(tmp_path: Path) -> None:
    (tmp_path / "page.tar").write_text("<html>")
    with pytest.raises(DataError, match="intact"):
        unpack_tar(tmp_path / "page.tar", tmp_path / "out")


def serve_tar(server: Server, tmp_path: Path, *members: tuple[str, bytes]) -> str:
    server.content = build_tar(tmp_path / "source.tar", *members).read_bytes()
    return hashlib.md5(server.content, usedforsecurity=False).hexdigest()


def test_hippocampus_ends_with_its_description_and_is_fetched_once(
    server: Server, tmp_path: Path
) -> None:
    md5 = serve_tar(
        server,
        tmp_path,
        ("Task04_Hippocampus/dataset.json", b"{}"),
        ("Task04_Hippocampus/imagesTr/._x.nii.gz", b"fork"),
        ("Task04_Hippocampus/imagesTr/x.nii.gz", b"x"),
    )
    folder = tmp_path / "data"
    for _ in range(2):
        target = download_hippocampus(folder, url=server.address("h.tar"), md5=md5)
    assert target == folder / "Task04_Hippocampus"
    assert files_in(folder) - {LOCK} == {
        "Task04_Hippocampus/dataset.json",
        "Task04_Hippocampus/imagesTr/x.nii.gz",
    }
    assert len(server.ranges) == 1


def test_another_archive_leaves_no_half_data_set(server: Server, tmp_path: Path) -> None:
    md5 = serve_tar(server, tmp_path, ("Task02_Heart/dataset.json", b"{}"))
    with pytest.raises(DataError, match="Task02_Heart"):
        download_hippocampus(tmp_path / "data", url=server.address("h.tar"), md5=md5)
    assert files_in(tmp_path / "data") - {LOCK} == {"h.tar"}


def test_incomplete_data_set_in_the_way_is_not_touched(server: Server, tmp_path: Path) -> None:
    md5 = serve_tar(server, tmp_path, ("Task04_Hippocampus/dataset.json", b"{}"))
    mine = tmp_path / "Task04_Hippocampus" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(OutputError, match="remove this folder"):
        download_hippocampus(tmp_path, url=server.address("h.tar"), md5=md5)
    assert mine.read_text() == "mine"


def test_what_is_no_archive_is_told_without_names_of_python(tmp_path: Path) -> None:
    (tmp_path / "set.tar").write_text("no archive")
    with pytest.raises(DataError) as caught:
        unpack_tar(tmp_path / "set.tar", tmp_path / "out")
    assert caught.value.found == "another or a damaged file"
    with pytest.raises(DataError) as caught:
        unpack_tar(tmp_path / "sets.tar", tmp_path / "out")
    assert caught.value.found == "No such file or directory"
    assert caught.value.remedy == f"did you mean {tmp_path / 'set.tar'}?"
