"""What is made on the way: folders named after what made them, each made once; a model of the hub is the first."""

import multiprocessing
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from grads.config.sources import HubSource
from grads.data.sources.hub import COMMIT, fetch_model
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, digest, read_object
from grads.runtime.fingerprints import Fingerprints
from grads.runtime.libraries import settle_libraries
from grads.runtime.manifest import manifest_of, verified, write_manifests
from grads.runtime.process import die_with_parent
from grads.runtime.progress import say
from grads.study.code import code_version


class Parts:
    """A work folder: each part in it is either whole or absent, and keyed by all that made it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fingerprints = Fingerprints(folder / "fingerprints.json")
        self._known: set[Path] = set()

    def part(self, name: str, key: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """Return the folder `name-<hash of key>`, after making it if it is not there."""
        path = self.folder / f"{name}-{digest(key, 12)}"
        if path.exists() and self._is_whole(path):
            if path not in self._known:
                say(f"{name}: there already, {path}")
            self._known.add(path)
            return path
        started = time.time()
        with atomic_path(path) as temporary:
            temporary.mkdir()
            make(temporary)
        write_manifests([path], [], {"part": name, **key}, started)
        self._known.add(path)
        return path

    def _is_whole(self, path: Path) -> bool:
        """Return whether a part can be used; one that lost its manifest, or was killed before it got one, cannot.

        Raises:
            GradsError: the part is not what was made.
        """
        if path in self._known:
            return True
        if manifest_of(path) is None:
            say(f"{path} has no manifest beside it, so that nobody knows whether it is whole: it is made again")
            return False
        verified(path, self.fingerprints)
        self.fingerprints.save()
        return True


def fetched_model(parts: Parts, source: HubSource) -> Path:
    """Return the folder that the hub's model is fetched to, as a study fetches it: once, at the commit found then.

    Raises:
        GradsError: whatever `grads.data.sources.hub.fetch_model` cannot work with.
    """
    key = {"source": source.model_dump(), "code": code_version("grads.data.sources.hub")}
    try:
        folder = parts.part("hub", key, lambda out: _fetch_apart(source, out / "model")) / "model"
    except GradsError as error:
        raise GradsError(f"--model: there is no folder or file {source.id}, and {error}") from None
    say(f"{source.id} at {source.revision}: commit {read_object(folder / COMMIT)['commit']}")
    return folder


def _fetch_apart(source: HubSource, out: Path) -> None:
    """Fetch in a process of its own: libraries learn only once, when they are imported, whether there is a hub."""
    apart = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, apart, initializer=_prepare_process) as pool:
        try:
            pool.submit(fetch_model, source, out).result()
        except BrokenProcessPool:
            raise GradsError(f"the fetch of {source.id} was killed: the same command carries on") from None


def _prepare_process() -> None:
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    settle_libraries(hub=True)
