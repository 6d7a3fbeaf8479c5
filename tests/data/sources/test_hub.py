"""Fetching from the hub, against a cache in the hub's layout and with the network off."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pyarrow.parquet as pq
import pytest

from grads.config.sources import HubDataSource, HubSource
from grads.data.records.layouts import read_records
from grads.data.sources import hub
from grads.data.sources.hub import COMMIT, fetch_data, fetch_model
from grads.models.load import load_model
from grads.models.prepare import prepare_model
from grads.runtime.errors import GradsError
from grads.study.paths import hub_path

HASH = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no way to the hub itself."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return folder


def place(cache: Path, repository: str, files: dict[str, bytes]) -> None:
    """Put a repository into the cache as the hub's client does: blobs, links to them, and a ref."""
    root = cache / repository
    for name, content in files.items():
        blob, link = root / "blobs" / f"{len(content)}-{Path(name).stem}", root / "snapshots" / HASH / name
        for path in (blob, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link.symlink_to(blob)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(HASH)


def model_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("revision", ["main", HASH])
def test_a_model_of_the_hub_is_that_of_the_folder(
    cache: Path, tiny_model_folder: Path, tmp_path: Path, revision: str
) -> None:
    files = model_files(tiny_model_folder)
    place(cache, "models--owner--tiny", files | {"pytorch_model.bin": b"pickle", "modeling_own.py": b"code"})
    source = HubSource(kind="hub", id="owner/tiny", revision=revision)
    assert fetch_model(source, tmp_path / "fetched") == HASH
    assert {path.name for path in (tmp_path / "fetched").iterdir()} == {*files, COMMIT}
    assert not any(path.is_symlink() for path in (tmp_path / "fetched").iterdir())
    prepare_model(source, tmp_path / "fetched", tmp_path / "prepared")
    assert json.loads((tmp_path / "prepared" / COMMIT).read_text())["commit"] == HASH
    for name, content in files.items():
        assert (tmp_path / "prepared" / name).read_bytes() == content
    assert load_model(tmp_path / "prepared", "float32").config.hidden_size == 32


def test_a_model_without_safetensors_is_refused(cache: Path, tiny_model_folder: Path, tmp_path: Path) -> None:
    files = model_files(tiny_model_folder)
    files["pytorch_model.bin"] = files.pop("model.safetensors")
    place(cache, "models--owner--old", files)
    source = HubSource(kind="hub", id="owner/old", revision="main")
    with pytest.raises(GradsError, match=r"model owner/old at main has no \.safetensors file"):
        fetch_model(source, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"id": "owner/none", "revision": "main"}, "owner/none at main is not in the hub's cache"),
        ({"id": "owner/tiny", "revision": "v2"}, "owner/tiny at v2 is not in the hub's cache"),
        ({"id": "owner/tiny", "revision": HASH[::-1]}, "is not in the hub's cache"),
        ({"id": "owner/-tiny..x", "revision": "main"}, "cannot be fetched"),
    ],
)
def test_what_is_not_there_is_a_sentence(cache: Path, tmp_path: Path, source: dict[str, str], message: str) -> None:
    place(cache, "models--owner--tiny", {"config.json": b"{}", "model.safetensors": b""})
    with pytest.raises(GradsError, match=message) as raised:
        fetch_model(HubSource(kind="hub", **source), tmp_path / "fetched")
    assert "\n" not in str(raised.value)


def test_a_data_set_of_the_hub(cache: Path, tmp_path: Path) -> None:
    rows = [{"question": f"Q{i}", "answer": f"A{i}", "extra": i} for i in range(5)]
    lines = ["".join(json.dumps(row) + "\n" for row in part).encode() for part in (rows[:3], rows[3:])]
    place(
        cache, "datasets--owner--exam", {"data/train.jsonl": lines[0], "data/test.jsonl": lines[1], "load.py": b"1/0"}
    )
    names = {"instruction": "question", "output": "answer"}
    for split, expected in {"train": rows[:3], "test": rows[3:]}.items():
        source = HubDataSource(kind="hub", id="owner/exam", revision="main", split=split)
        out = tmp_path / f"{split}.parquet"
        assert fetch_data(source, out) == HASH
        assert pq.read_table(out).to_pylist() == expected
        assert [record.output for record in read_records(out, names)[0]] == [row["answer"] for row in expected]
        assert json.loads(out.with_suffix(".json").read_text()) == source.model_dump() | {"commit": HASH}
    with pytest.raises(GradsError, match=r"owner/exam cannot be loaded .*correct 'name' or 'split'"):
        fetch_data(HubDataSource(kind="hub", id="owner/exam", revision="main", split="dev"), tmp_path / "dev.parquet")
    with pytest.raises(GradsError, match="cannot be loaded"):
        fetch_data(HubDataSource(kind="hub", id="owner/exam", revision="main", name="law"), tmp_path / "law.parquet")


def test_conversations_of_a_data_set_stay_whole(cache: Path, tmp_path: Path) -> None:
    said = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    place(cache, "datasets--owner--chat", {"train.jsonl": json.dumps({"messages": said}).encode()})
    fetch_data(HubDataSource(kind="hub", id="owner/chat", revision=HASH), tmp_path / "chat.parquet")
    (record,) = read_records(tmp_path / "chat.parquet")[0]
    assert (record.instruction, record.output) == ("Q", "A")


def test_every_source_has_a_place_of_its_own() -> None:
    sources = [
        HubSource(kind="hub", id="a/b", revision="main"),
        HubSource(kind="hub", id="a/b", revision="v1"),
        HubDataSource(kind="hub", id="a/b", revision="main"),
        HubDataSource(kind="hub", id="a/b", revision="main", split="test"),
        HubDataSource(kind="hub", id="a/b", revision="main", name="law"),
    ]
    assert len({hub_path(source) for source in sources}) == len(sources)
    assert all("/" not in hub_path(source).name for source in sources)


def test_the_module_imports_nothing_heavy() -> None:
    code = (
        "import sys, grads.data.sources.hub; print(sorted({'torch', 'datasets', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_files_are_copied_where_they_cannot_be_linked(
    cache: Path, tiny_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(path: Path, target: Path) -> None:
        raise OSError("another disk")

    monkeypatch.setattr(os, "link", link)
    files = model_files(tiny_model_folder)
    place(cache, "models--owner--tiny", files)
    fetch_model(HubSource(kind="hub", id="owner/tiny", revision="main"), tmp_path / "fetched")
    found = model_files(tmp_path / "fetched")
    assert json.loads(found.pop(COMMIT))["commit"] == HASH
    assert found == files


@pytest.mark.parametrize("name", ["main", HASH[:39], HASH.upper(), f"{HASH}0"])
def test_a_snapshot_that_no_commit_names_is_refused(tmp_path: Path, name: str) -> None:
    source = HubSource(kind="hub", id="owner/tiny", revision="main")
    with pytest.raises(GradsError, match="is not named by a commit of 40 hexadecimal digits: delete it and fetch"):
        hub._origin(source, tmp_path / name)
    assert hub._origin(source, tmp_path / HASH) == {
        "kind": "hub", "id": "owner/tiny", "revision": "main", "commit": HASH,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "line"), [(ValueError("one\ntwo"), "one"), (ValueError("\n  one\n"), "one"), (OSError(), "OSError")]
)
def test_of_a_long_error_the_first_line_is_shown(error: Exception, line: str) -> None:
    assert hub._first_line(error) == line


@pytest.mark.parametrize(
    ("fetch", "source", "address"),
    [
        (fetch_model, HubSource(kind="hub", id="owner/tiny", revision=None), "https://huggingface.co/owner/tiny"),
        (fetch_data, HubDataSource(kind="hub", id="o/exam", revision=None), "https://huggingface.co/datasets/o/exam"),
    ],
)
def test_nothing_is_fetched_without_a_revision(cache: Path, tmp_path: Path, fetch, source, address: str) -> None:
    with pytest.raises(GradsError, match=rf"'revision' is null.*`git ls-remote {re.escape(address)} HEAD`"):
        fetch(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
