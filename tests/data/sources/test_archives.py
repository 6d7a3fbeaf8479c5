"""Fetching from an index on this machine, and reading archives."""

import hashlib
import io
import random
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from grads.config.sources import Archive
from grads.data.sources.addresses import without_password
from grads.data.sources.archives import fetch, open_member, read_folder, read_member
from grads.data.sources.package_index import PipSettings, local_path, parse_settings, pip_settings
from grads.runtime.errors import GradsError

CONTENT = bytes(range(256)) * 20_000  # 5 MB, several blocks
FILE = "some_data-1.0-py3-none-any.whl"


def archive(content: bytes = CONTENT, **changes: str) -> Archive:
    values = {"package": "Some.Data", "version": "1.0", "file": FILE, "sha256": hashlib.sha256(content).hexdigest()}
    return Archive(**values | changes)


class Server(ThreadingHTTPServer):
    """A package index with one package; `cuts` are the numbers of bytes after which it hangs up, one a request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cuts, self.ranges, self.page = CONTENT, [], [], f'<a href="/files/{FILE}">{FILE}</a>'
        self.understands_ranges = True

    @property
    def index(self) -> str:
        return f"http://user:secret@127.0.0.1:{self.server_port}/simple"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/simple/some-data/":
            self.answer(200, self.server.page.encode(), "text/html")
        elif self.path != f"/files/{FILE}":
            self.answer(404, b"", "text/html")
        else:
            self.send_file()

    def send_file(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.understands_ranges else 0
        if start and start >= len(self.server.content):
            self.answer(416, b"", "text/html", {"Content-Range": f"bytes */{len(self.server.content)}"})
            return
        self.answer(206 if start else 200, self.server.content[start:], "application/octet-stream")

    def answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        is_file = kind == "application/octet-stream"
        self.wfile.write(body[: self.server.cuts.pop(0)] if is_file and self.server.cuts else body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def pip(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Pip's settings are the test's own: the server's index, or none."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CERT", "PIP_PROXY", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("grads.data.sources.archives.time.sleep", lambda _: None)
    if "server" in request.fixturenames:
        monkeypatch.setenv("PIP_INDEX_URL", request.getfixturevalue("server").index)
    else:
        monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_fetch_takes_the_file_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fetch(archive(), tmp_path / "new")
    assert path.read_bytes() == CONTENT
    assert "MiB" in capsys.readouterr().err
    assert fetch(archive(), tmp_path / "new") == path
    assert server.ranges == [None]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("understands_ranges", [True, False])
def test_fetch_goes_on_after_the_server_hung_up(server: Server, tmp_path: Path, understands_ranges: bool) -> None:
    server.cuts, server.understands_ranges = [3_000_000, 100], understands_ranges
    assert fetch(archive(), tmp_path).read_bytes() == CONTENT
    assert server.ranges[0] is None
    assert len(server.ranges) == 3
    assert server.ranges[1].startswith("bytes=")


def test_fetch_goes_on_in_a_later_run(server: Server, tmp_path: Path) -> None:
    server.cuts = [3_000_000, 0, 0, 0, 0]
    with pytest.raises(GradsError, match=r"same command again.*by hand") as failure:
        fetch(archive(), tmp_path)
    assert "secret" not in str(failure.value)
    assert not (tmp_path / FILE).exists()
    assert fetch(archive(), tmp_path).read_bytes() == CONTENT
    assert int(server.ranges[-1].removeprefix("bytes=").rstrip("-")) > 1_000_000


def test_fetch_finishes_a_download_that_was_whole_but_not_renamed(server: Server, tmp_path: Path) -> None:
    (tmp_path / f".{FILE}.{archive().sha256[:12]}.download").write_bytes(CONTENT)
    assert fetch(archive(), tmp_path).read_bytes() == CONTENT


def test_fetch_refuses_another_content(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(GradsError, match=f"the config asks for {archive().sha256}"):
        fetch(archive(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / FILE).write_bytes(b"mine")
    with pytest.raises(GradsError, match="delete the file"):
        fetch(archive(), tmp_path)
    assert (tmp_path / FILE).read_bytes() == b"mine"


def test_fetch_says_where_it_looked(server: Server, tmp_path: Path) -> None:
    with pytest.raises(GradsError, match=r"127\.0\.0\.1.*does not have it.*by hand: .*other") as failure:
        fetch(archive(file="other.whl"), tmp_path)
    assert "secret" not in str(failure.value)
    with pytest.raises(GradsError, match="does not have it"):
        fetch(archive(package="unknown"), tmp_path)
    server.page = f'<a href="/files/{FILE}#sha256={"0" * 64}">{FILE}</a>'
    with pytest.raises(GradsError, match="with this SHA-256"):
        fetch(archive(), tmp_path)


def test_fetch_without_a_reachable_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GradsError, match="configured to use no index"):
        fetch(archive(), tmp_path)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(GradsError, match=r"failed \(ConnectionError\).*network"):
        fetch(archive(), tmp_path)


def test_fetch_refuses_a_file_with_a_folder(tmp_path: Path) -> None:
    with pytest.raises(GradsError, match="without a folder"):
        fetch(archive(file="../up.whl"), tmp_path)


@pytest.mark.parametrize("as_url", [True, False])
def test_fetch_from_a_link_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_url: bool) -> None:
    links = tmp_path / "wheel folder"
    links.mkdir()
    (links / FILE).write_bytes(CONTENT)
    settings = PipSettings(indexes=(), links=(links.as_uri() if as_url else str(links),))
    monkeypatch.setattr("grads.data.sources.archives.pip_settings", lambda: settings)
    assert fetch(archive(), tmp_path / "out").read_bytes() == CONTENT


def test_fetch_from_an_index_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "simple" / "some-data").mkdir(parents=True)
    (tmp_path / "simple" / "some-data" / "index.html").write_text(f'<a href="../../files/{FILE}">{FILE}</a>')
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / FILE).write_bytes(CONTENT)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", (tmp_path / "simple").as_uri())
    assert fetch(archive(), tmp_path / "out").read_bytes() == CONTENT


def test_pip_settings_by_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    listing = "global.index-url='https://a/simple'\nglobal.find-links='/x'\ndownload.find-links='/y\\n/z'\n"
    settings = parse_settings(listing + ":env:.index-url='https://b/simple'\ninstall.index-url='https://c/simple'\n")
    assert settings.indexes == ("https://b/simple",)
    assert settings.links == ("/y", "/z")
    assert parse_settings("").indexes == ("https://pypi.org/simple/",)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "https://d/simple")
    assert pip_settings().indexes == ("https://d/simple",)


def test_addresses() -> None:
    assert without_password("https://user:secret@host:1/simple") == "https://host:1/simple"
    assert local_path("https://host/a") is None
    assert local_path("file:///a/b%20c") == Path("/a/b c")


MEMBERS = {"top/data/a.txt": b"A\r\n", "top/data/b.txt": b"B", "top/data/deep/c.txt": b"C"}


@pytest.fixture(params=["zip", "tar.gz"])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"some.{request.param}"
    if request.param == "zip":
        with zipfile.ZipFile(path, "w") as target:
            target.mkdir("top/data")
            for name, content in MEMBERS.items():
                target.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as target:
        for name, content in MEMBERS.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            target.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("top/data/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        target.addfile(link)
    return path


def test_members_are_read_exactly(container: Path) -> None:
    assert read_member(container, "top/data/a.txt") == b"A\r\n"
    assert read_folder(container, "top/data/") == {"a.txt": b"A\r\n", "b.txt": b"B"}
    with open_member(container, "top/data/deep/c.txt") as handle:
        assert handle.read(1) == b"C"


def test_absent_members_are_named(container: Path) -> None:
    with pytest.raises(GradsError, match=r"no file 'top/data/a.tx' \(the nearest is 'top/data/a.txt'\)"):
        read_member(container, "top/data/a.tx")
    with pytest.raises(GradsError, match=r"no folder 'top/date' .*'top/data'"):
        read_folder(container, "top/date")
    with pytest.raises(GradsError, match="no file 'top/data/link'"):
        read_member(container, "top/data/link")
    with pytest.raises(GradsError, match="no file 'top/data'"):
        read_member(container, "top/data")


def test_damaged_archives_are_refused(container: Path, tmp_path: Path) -> None:
    with pytest.raises(GradsError, match="is not there"):
        read_member(tmp_path / "none.zip", "a")
    container.write_bytes(container.read_bytes()[:60])
    with pytest.raises(GradsError, match="delete it and fetch again"):
        read_member(container, "top/data/a.txt")


def zipped(method: int, flags: int = 0, compressed_as: int | None = None) -> bytes:
    """Return a zip of one member; its header may say that it is encrypted, or compressed in another way."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", method) as target:
        target.writestr("a.jsonl", b'{"text": "x"}\n' * 2000)
    content = bytearray(held.getvalue())
    for header, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.index(header) + at
        content[place] |= flags
        if compressed_as is not None:
            content[place + 2] = compressed_as
    return bytes(content)


def tarred(mode: str) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode=mode) as target:
        info = tarfile.TarInfo("a.jsonl")
        info.size = 60_000
        target.addfile(info, io.BytesIO(random.Random(0).randbytes(60_000)))
    return held.getvalue()


def broken(content: bytes) -> bytes:
    """Return a file with 20 bytes in its middle overwritten."""
    middle = len(content) // 2
    return content[:middle] + b"\xff" * 20 + content[middle + 20 :]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("e.zip", zipped(zipfile.ZIP_STORED, flags=0x1), "'a.jsonl' is encrypted"),
        ("c.zip", zipped(zipfile.ZIP_STORED, compressed_as=97), "'a.jsonl' cannot be unpacked"),
        ("d.zip", broken(zipped(zipfile.ZIP_DEFLATED)), "cannot be read as a zip or tar"),
        ("b.zip", broken(zipped(zipfile.ZIP_BZIP2)), "cannot be read as a zip or tar"),
        ("l.zip", broken(zipped(zipfile.ZIP_LZMA)), "cannot be read as a zip or tar"),
        ("s.zip", broken(zipped(zipfile.ZIP_STORED)), "cannot be read as a zip or tar"),
        ("g.tar.gz", tarred("w:gz")[:9000], "cannot be read as a zip or tar"),
        ("x.tar.xz", broken(tarred("w:xz")), "cannot be read as a zip or tar"),
        ("b.tar.bz2", broken(tarred("w:bz2")), "cannot be read as a zip or tar"),
        ("x.tar.xz", tarred("w:xz")[:9000], "cannot be read as a zip or tar"),
        ("t.tar", tarred("w:")[:3000], "cannot be read as a zip or tar"),
        ("empty.whl", b"", "cannot be read as a zip or tar"),
        ("text.whl", b"not an archive", "cannot be read as a zip or tar"),
    ],
)
def test_what_cannot_be_unpacked_is_one_sentence(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(GradsError, match=f"{name}.*{sentence}") as caught:
        read_member(path, "a.jsonl")
    assert len(caught.value.sentences) == 1
