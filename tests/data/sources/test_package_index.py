"""Where an archive is looked for, and what is said when it is nowhere."""

from pathlib import Path

import pytest
import requests

from grads.config.sources import Archive
from grads.data.sources.addresses import without_password, without_passwords
from grads.data.sources.package_index import PipSettings, local_path, locate, open_session, parse_settings
from grads.runtime.errors import GradsError

FILE = "some_data-1.0-py3-none-any.whl"
ARCHIVE = Archive(package="Some.Data", version="1.0", file=FILE, sha256="0" * 64)
OTHER = "f" * 64


def folder_index(root: Path, links: str) -> str:
    """Write an index in files that has one project, and return its address."""
    (root / "some-data").mkdir(parents=True)
    (root / "some-data" / "index.html").write_text(links, encoding="utf-8")
    return root.as_uri()


def look(*indexes: str, links: tuple[str, ...] = ()) -> str:
    return locate(ARCHIVE, PipSettings(indexes, links), requests.Session())


def test_a_link_page_is_read_and_its_links_are_relative_to_it(tmp_path: Path) -> None:
    page = tmp_path / "links.html"
    page.write_text(f'<a href="wheels/{FILE}">x</a> <a href="wheels/other-{FILE}">y</a>', encoding="utf-8")
    assert look(links=(page.as_uri(),)) == (tmp_path / "wheels" / FILE).as_uri()


def test_link_folders_come_before_indexes_and_indexes_in_their_order(tmp_path: Path) -> None:
    first = folder_index(tmp_path / "first", f'<a href="a/{FILE}">{FILE}</a>')
    second = folder_index(tmp_path / "second", f'<a href="b/{FILE}">{FILE}</a>')
    assert "/first/" in look(first, second)
    assert "/second/" in look(second, first)
    (tmp_path / FILE).write_bytes(b"")
    assert look(first, links=(str(tmp_path),)) == str(tmp_path / FILE)


@pytest.mark.parametrize("name", ["some-data", "Some_Data", "SOME.data", "some__data", "Some-._Data"])
def test_a_project_has_one_folder_however_its_name_is_written(tmp_path: Path, name: str) -> None:
    """PEP 503: runs of hyphens, underscores and dots are one hyphen."""
    index = folder_index(tmp_path / "index", f'<a href="a/{FILE}">{FILE}</a>')
    archive = ARCHIVE.model_copy(update={"package": name})
    assert locate(archive, PipSettings((index,), ()), requests.Session()).endswith(f"/some-data/a/{FILE}")


def test_a_project_that_an_index_has_not_is_said(tmp_path: Path) -> None:
    index = folder_index(tmp_path / "index", '<a href="a/other.whl">other.whl</a>')
    with pytest.raises(GradsError, match=r"does not have it with this SHA-256; .*none does not have it"):
        look(index, (tmp_path / "none").as_uri())


def test_without_any_place_that_is_said() -> None:
    with pytest.raises(GradsError, match=rf"{FILE} was not found: pip is configured to use no index\. Fix"):
        look()


def test_a_folder_of_links_without_the_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / f"other-{FILE}").touch()
    index = folder_index(tmp_path / "index", f'<a href="a/{FILE}">{FILE}</a>')
    assert "/index/" in look(index, links=(str(tmp_path / "wheels"),))


def test_the_environment_wins_over_download_and_that_over_global() -> None:
    lines = ["global.index-url='a'", "download.index-url='b'", ":env:.index-url='c'", "install.index-url='d'"]
    lines += ["global.extra-index-url='x y\\nz'", "global.timeout='60'", "not a setting"]
    for end, first in ((1, "a"), (2, "b"), (3, "c"), (7, "c")):
        assert parse_settings("\n".join(lines[:end])).indexes[0] == first
    assert parse_settings("\n".join(lines)).indexes == ("c", "x", "y", "z")
    assert parse_settings("\n".join(lines)).links == ()


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("file:///wheels/a%20b", Path("/wheels/a b")),
        ("/wheels", Path("/wheels")),
        ("wheels/here", Path("wheels/here")),
        ("~/wheels", Path("~/wheels").expanduser()),
        ("https://pypi.org/simple", None),
        ("http://127.0.0.1/simple", None),
    ],
)
def test_addresses_on_this_machine(address: str, path: Path | None) -> None:
    assert local_path(address) == path


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:secret@host:8080/simple/?q=1", "https://host:8080/simple/"),
        ("http://host/files/wn-1.tar.gz?token=sekret3", "http://host/files/wn-1.tar.gz"),
        ("http://host/a#sha256=secret", "http://host/a"),
        ("http://user:secret@[::1]:9/a?b=c", "http://[::1]:9/a"),
        ("ftp://user:secret@host/a", "ftp://host/a"),
        ("https://user:secret@[host/a?b", "https://..."),
        ("https://token@host/simple", "https://host/simple"),
        ("https://user:p%40ss@word@host/", "https://host/"),
        ("https://host/a@b", "https://host/a@b"),
        ("/wheels/a@b", "/wheels/a@b"),
    ],
)
def test_addresses_as_they_are_printed(address: str, shown: str) -> None:
    assert without_password(address) == shown


def test_addresses_in_another_librarys_words_are_cleaned_too() -> None:
    said = "403 for url: https://u:secret@cdn.host/f?X-Amz-Signature=secret (Request ID: 1)"
    assert without_passwords(said) == "403 for url: https://cdn.host/f (Request ID: 1)"


def test_a_file_of_another_hash_is_passed_over(tmp_path: Path) -> None:
    wrong = folder_index(tmp_path / "wrong", f'<a href="a/{FILE}#sha256={OTHER}">{FILE}</a>')
    right = folder_index(tmp_path / "right", f'<a href="a/{FILE}#sha256={ARCHIVE.sha256}">{FILE}</a>')
    assert "/right/" in look(wrong, right)
    with pytest.raises(GradsError, match=rf"{FILE} was not found: .*wrong does not have it with this SHA-256"):
        look(wrong)


def test_one_place_that_fails_does_not_hide_the_next(tmp_path: Path) -> None:
    good = folder_index(tmp_path / "good", f'<a href="a/{FILE}">{FILE}</a>')
    assert "/good/" in look("http://127.0.0.1:9/simple", good)


def test_a_password_is_never_printed(tmp_path: Path) -> None:
    with pytest.raises(GradsError) as caught:
        look("http://user:secret@127.0.0.1:9/simple?token=secret#secret")
    assert "127.0.0.1:9/simple failed (ConnectionError)" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("value", ["1", "true", "Yes", "on"])
def test_no_index_leaves_the_links(value: str) -> None:
    settings = parse_settings(f"global.no-index={value!r}\nglobal.find-links='/wheels'\n")
    assert (settings.indexes, settings.links) == ((), ("/wheels",))
    assert parse_settings("global.no-index='false'\n").indexes == ("https://pypi.org/simple/",)


def test_certificates_and_proxy_are_those_of_pip() -> None:
    session = open_session(parse_settings("global.cert='/ca.pem'\nglobal.proxy='http://proxy:3128'\n"))
    assert session.verify == "/ca.pem"
    assert session.proxies == {"http": "http://proxy:3128", "https": "http://proxy:3128"}
    assert open_session(parse_settings("")).verify is True
