"""Where the files of packages are: the index, extra indexes and link folders that pip is configured for."""

import ast
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import requests
from packaging.utils import canonicalize_name
from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, ProjectPage, PyPISimple, RepositoryPage
from pypi_simple.errors import UnsupportedContentTypeError, UnsupportedRepoVersionError

from grads.config.sources import Archive
from grads.data.sources.addresses import without_password
from grads.runtime.errors import GradsError

TIMEOUT = (15, 60)  # seconds to connect, and without a byte
PAGE_ERRORS = (requests.RequestException, OSError, UnsupportedContentTypeError, UnsupportedRepoVersionError, ValueError)


@dataclass(frozen=True)
class PipSettings:
    """The settings of pip that say where packages come from."""

    indexes: tuple[str, ...]
    links: tuple[str, ...]
    certificates: str | None = None
    proxy: str | None = None


def pip_settings() -> PipSettings:
    """Read pip's configuration files and environment as `pip download` would; PyPI where they name no index.

    Raises:
        GradsError: pip is not installed, or cannot read its configuration.
    """
    command = [sys.executable, "-m", "pip", "config", "list"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"LC_ALL": "C"})
    if answer.returncode != 0:
        reason = answer.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise GradsError(f"'python -m pip config list' failed ({reason[0]}): install pip or fix its configuration")
    return parse_settings(answer.stdout)


def parse_settings(listing: str) -> PipSettings:
    """Return what `pip config list` printed; the environment wins over `download`, and that over `global`."""
    found: dict[str, dict[str, str]] = {"global": {}, "download": {}, ":env:": {}}
    for line in listing.splitlines():
        name, sign, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if sign and section in found:
            found[section][key] = str(ast.literal_eval(value))
    merged = found["global"] | found["download"] | found[":env:"]
    indexes = [merged.get("index-url", PYPI_SIMPLE_ENDPOINT), *merged.get("extra-index-url", "").split()]
    if merged.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        indexes = []
    links = merged.get("find-links", "").split()
    return PipSettings(tuple(indexes), tuple(links), merged.get("cert"), merged.get("proxy"))


def open_session(settings: PipSettings) -> requests.Session:
    """Return an HTTP session with pip's certificates and proxy."""
    session = requests.Session()
    if settings.certificates:
        session.verify = settings.certificates
    if settings.proxy:
        session.proxies = {"http": settings.proxy, "https": settings.proxy}
    return session


def locate(archive: Archive, settings: PipSettings, session: requests.Session) -> str:
    """Return the address of an archive's file: a path on this machine or a URL.

    Raises:
        GradsError: no place that pip is configured for has this file with this hash; says what each one answered.
    """
    answers = []
    for place in (*settings.links, *settings.indexes):
        is_index = place in settings.indexes
        try:
            address = (_in_index if is_index else _in_links)(archive, place, session)
        except NoSuchProjectError:
            address = None
        except PAGE_ERRORS as error:
            answers.append(f"{without_password(place)} failed ({type(error).__name__})")
            continue
        if address:
            return address
        answers.append(f"{without_password(place)} does not have it with this SHA-256")
    looked = "; ".join(answers) or "pip is configured to use no index"
    raise GradsError(
        f"{archive.file} was not found: {looked}. Fix pip's index settings or the network, or the entry in 'archives'"
    )


def _in_links(archive: Archive, place: str, session: requests.Session) -> str | None:
    folder = local_path(place)
    if folder is not None and folder.is_dir():
        path = folder / archive.file
        return str(path) if path.is_file() else None
    url = folder.resolve().as_uri() if folder is not None else place
    page = RepositoryPage.from_html(_read_text(url, session), base_url=url)
    return next((link.url for link in page.links if urlsplit(link.url).path.endswith(f"/{archive.file}")), None)


def _in_index(archive: Archive, place: str, session: requests.Session) -> str | None:
    folder = local_path(place)
    if folder is None:
        page = PyPISimple(place, session=session).get_project_page(archive.package, timeout=TIMEOUT)
    else:
        path = folder / canonicalize_name(archive.package) / "index.html"
        if not path.is_file():
            return None
        page = ProjectPage.from_html(archive.package, path.read_text("utf-8"), base_url=path.resolve().as_uri())
    for package in page.packages:
        # An index may give no digest; the file is checked after download in any case.
        if package.filename == archive.file and package.digests.get("sha256", archive.sha256) == archive.sha256:
            return package.url
    return None


def _read_text(url: str, session: requests.Session) -> str:
    path = local_path(url)
    if path is not None:
        return path.read_text("utf-8")
    answer = session.get(url, timeout=TIMEOUT)
    answer.raise_for_status()
    return answer.text


def local_path(address: str) -> Path | None:
    """Return the path that an address names on this machine, or None for a remote URL."""
    parts = urlsplit(address)
    if parts.scheme == "file":
        return Path(url2pathname(unquote(parts.path)))
    return None if "://" in address else Path(address).expanduser()
