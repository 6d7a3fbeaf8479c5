"""Fetching from the Hugging Face hub, once and at a fixed revision; every other part reads what this leaves behind."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grads.config.sources import KEPT, HubDataSource, HubSource
from grads.data.sources.addresses import without_passwords
from grads.runtime.errors import GradsError
from grads.runtime.files import atomic_path, link_or_copy, write_json
from grads.runtime.progress import say

# Which files of a data set are fetched.
DATA_FILES = tuple(f"*{suffix}{zipped}" for suffix in (".parquet", ".jsonl", ".json", ".csv") for zipped in ("", ".gz"))
COMMIT = "commit.json"


def fetch_model(source: HubSource, out: Path | str) -> str:
    """Write a model's safetensors, config and tokenizer to the folder `out`; return the commit that they are of.

    Files are linked to the hub's cache where that is on the same disk. `commit.json` in the folder keeps the commit.

    Raises:
        GradsError: the hub cannot be reached, or has no such repository or revision, or none with safetensors.
    """
    snapshot = _snapshot(source, "model", KEPT)
    if not any(snapshot.glob("*.safetensors")):
        raise GradsError(
            f"model {source.id} at {source.revision} has no .safetensors file, and pickled weights are never loaded: "
            "choose another revision or model"
        )
    with atomic_path(out) as temporary:
        temporary.mkdir()
        for path in {path for pattern in KEPT for path in snapshot.glob(pattern)}:
            link_or_copy(path, temporary / path.name)
        write_json(temporary / COMMIT, _origin(source, snapshot))
    return snapshot.name


def fetch_data(source: HubDataSource, out: Path | str) -> str:
    """Write one split of a data set to the Parquet file `out`, with all its columns; return the commit that it is of.

    A JSON file of the same name keeps the commit next to it.

    Raises:
        GradsError: the hub cannot be reached, or has no such repository, revision, configuration or split.
    """
    snapshot = _snapshot(source, "dataset", (*DATA_FILES, "README.md"))
    with tempfile.TemporaryDirectory(prefix="grads-hub-") as cache:
        data = _load_split(source, snapshot, cache)
        with atomic_path(out) as temporary:
            data.to_parquet(str(temporary))
    write_json(Path(out).with_suffix(".json"), _origin(source, snapshot))
    say(f"{source.id}: {len(data)} rows of split '{source.split}'")
    return snapshot.name


def fetch_splits(source: HubSource, name: str | None, out: Path | str) -> str:
    """Write all splits of a data set to the new folder `out`, as `<split>.parquet`; return the commit that it is of.

    Raises:
        GradsError: the hub cannot be reached, or has no such repository, revision or configuration.
    """
    from datasets import load_dataset

    snapshot = _snapshot(source, "dataset", (*DATA_FILES, "README.md"))
    out = Path(out)
    with tempfile.TemporaryDirectory(prefix="grads-hub-") as cache:
        try:
            splits = load_dataset(str(snapshot), name=name, cache_dir=cache)
        except (ValueError, OSError) as error:
            raise GradsError(
                f"data set {source.id} cannot be loaded ({_first_line(error)}): try another 'revision'"
            ) from None
        out.mkdir()
        for split, rows in splits.items():
            rows.to_parquet(str(out / f"{split}.parquet"))
    return snapshot.name


def _load_split(source: HubDataSource, snapshot: Path, cache: str) -> Any:
    from datasets import DatasetDict, load_dataset

    try:
        data = load_dataset(str(snapshot), name=source.name, split=source.split, cache_dir=cache)
    except (ValueError, OSError) as error:
        raise GradsError(
            f"data set {source.id} cannot be loaded ({_first_line(error)}): correct 'name' or 'split' of its source"
        ) from None
    assert not isinstance(data, DatasetDict)
    return data


def _snapshot(source: HubSource, kind: str, patterns: Sequence[str]) -> Path:
    """Return the folder in the hub's cache that holds the wanted files of a repository at the source's revision."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError

    if source.revision is None:
        raise GradsError(
            f"{kind} {source.id}: its 'revision' is null, with which a study is only planned: {source.newest}"
        )
    say(f"{source.id}: fetching revision {source.revision}")
    try:
        folder = snapshot_download(source.id, repo_type=kind, revision=source.revision, allow_patterns=list(patterns))
    except LocalEntryNotFoundError:
        raise GradsError(
            f"{kind} {source.id} at {source.revision} is not in the hub's cache and the hub cannot be reached: fix "
            "the network, unset HF_HUB_OFFLINE, or fetch it elsewhere and copy the cache"
        ) from None
    except (HTTPError, OSError, ValueError) as error:
        raise GradsError(
            f"{kind} {source.id} at {source.revision} cannot be fetched ({_first_line(error)}): correct 'id' and "
            "'revision', or log in with `hf auth login` where it asks for that"
        ) from None
    return Path(folder)


def _origin(source: HubSource, snapshot: Path) -> dict[str, Any]:
    """Return what was asked for and the commit found; a snapshot's folder is named by its commit."""
    if not re.fullmatch(r"[0-9a-f]{40}", snapshot.name):
        raise GradsError(f"{snapshot} is not named by a commit of 40 hexadecimal digits: delete it and fetch again")
    return {**source.model_dump(), "commit": snapshot.name}


def _first_line(error: BaseException) -> str:
    lines = without_passwords(str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__
