"""Every artefact that a job reads, damaged in every way: one sentence that names it, and never a silent use."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from grads.data.overlap import general_collections
from grads.data.records.formatting import Example
from grads.data.records.record import load_records, make_record, write_records
from grads.data.selections import read_counts, read_selection
from grads.data.sources.wordnet import CORPUS, NEEDED, open_wordnet
from grads.evaluation.metrics.compute import compute_metrics
from grads.models.moments import load_moments
from grads.probing.shards import join_shards
from grads.report.drawing.curves import read_curve
from grads.report.files import CellFiles
from grads.report.measurements import COLUMNS, read_measurements, write_measurements
from grads.runtime.damage import artefact_damage, damage_below
from grads.runtime.errors import GradsError
from grads.runtime.files import read_object, write_json, write_jsonl
from grads.runtime.fingerprints import Fingerprints
from grads.runtime.inputs import read_inputs
from grads.runtime.journal import Journal
from grads.runtime.manifest import verified, write_manifests
from grads.signals.blocks import example_frame
from grads.signals.store import read_store, write_store
from grads.study.grid import Cell
from grads.training.checkpoints import last_checkpoint, record_checkpoint

RUN = "results/s/runs/m/d/a/0.5/0"
CELL = Cell("m", "d", "a", "0.5", 0)
EXAMPLES = [Example(f"{name}{i:04d}", list(range(9)), 4) for i in range(40) for name in "r"]


# What is made: one of each kind, with the numbers of `seed`, at a path below the working folder.


def records(path: Path, seed: int) -> None:
    write_records(path, [make_record(f"{seed}: what is {i}?", "", f"It is {i}.") for i in range(20)])


def selection(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = {"id": [f"r{i}" for i in range(20)], "score": np.random.default_rng(seed).random(20)}
    table |= {"rank": range(1, 21), "kept": [i < 10 for i in range(20)], "weight": 1.0}
    pd.DataFrame(table).to_parquet(path)


def counts(path: Path, seed: int) -> None:
    write_json(path, {"requested": 10 + seed, "actual": 10, "left_out": [], "eligible": 20})


def predictions(path: Path, seed: int) -> None:
    more = {"response_nll": 1.5, "response_tokens": 4, "capped": False, "new_tokens": 4}
    rows = [{"id": f"r{i}", "prompt": "?", "reference": f"It is {i}", "prediction": f"It is {seed}"} for i in range(8)]
    write_jsonl(path, [row | more for row in rows])


def training(path: Path, seed: int) -> None:
    write_json(path, {"final_loss": 1.0 + seed, "curve": [{"step": i, "loss": 1.0 / (i + 1)} for i in range(9)]})


def texts(path: Path, seed: int) -> None:
    write_jsonl(path, [{"text": f"A passage of {seed} and {i} with quite a few words"} for i in range(6)])


def moments(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"m.lora_{x}.{kind}": torch.full((8, 8), 1.0 + seed) for x in "AB" for kind in ("average", "squared")}
    save_file(tensors, path, {"steps": "3", "beta1": "0.9", "beta2": "0.999", "epsilon": "1e-8"})


def measurements(path: Path, seed: int) -> None:
    row = dict.fromkeys(COLUMNS, "x") | {"value": float(seed), "n": 1, "items": [[1.0]]}
    write_measurements(pd.DataFrame([row] * 9, columns=list(COLUMNS)), path)


def store(path: Path, seed: int) -> None:
    frame = example_frame(EXAMPLES).assign(response_nll=np.random.default_rng(seed).random(len(EXAMPLES)))
    hidden = np.random.default_rng(seed).normal(size=(len(EXAMPLES), 8))
    spent = dict.fromkeys(("over_length", "truncated", "tokens", "flops", "seconds", "seconds_measuring"), 1)
    meta = {"key": str(seed), "shard": [0, 1], "left_out": [], "deviations": [], "peak_memory": {}} | spent
    write_store(path, frame, {"hidden": hidden}, meta)


def model(path: Path, seed: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    save_file({"w": torch.full((8, 8), 1.0 + seed)}, path / "model.safetensors")
    write_json(path / "config.json", {"model_type": "llama", "seed": seed})


class Kind:
    """A kind of artefact: where it lies, how it is made and read, and the file in it that is damaged."""

    def __init__(self, path: str, make: Callable[[Path, int], None], read: Callable[[Path], object], inner: str = ""):
        self.path, self.make, self.read, self.inner = Path(path), make, read, inner

    @property
    def file(self) -> Path:
        return self.path / self.inner


def measured(path: Path) -> None:
    compute_metrics(path, ["bleu"], Path("metrics.json"))


def curve(path: Path) -> None:
    read_curve(CellFiles(CELL, Path("none"), Path("none"), training=path))


def signals(path: Path) -> None:
    """As a method and tables read them."""
    found = read_store(path)
    assert len(found.signals) == len(found.features["hidden"].directions) == len(EXAMPLES)


KINDS = {
    "records": Kind("results/s/data/d/train.parquet", records, load_records),
    "selection": Kind("results/s/selections/m/d/a/0.5/0.parquet", selection, read_selection),
    "counts": Kind("results/s/selections/m/d/a/0.5/0.json", counts, read_counts),
    "predictions": Kind(f"{RUN}/predictions.jsonl", predictions, measured),
    "training": Kind(f"{RUN}/training.json", training, curve),
    "texts": Kind("results/s/general/text.jsonl", texts, lambda path: general_collections([path])),
    "moments": Kind(f"{RUN}/moments.safetensors", moments, load_moments),
    "measurements": Kind("results/s/measurements.parquet", measurements, read_measurements),
    "signals": Kind("results/s/signals/m/d/base", store, signals, "signals.parquet"),
    "features": Kind("results/s/signals/m/d/base", store, signals, "features-hidden.npy"),
    "meta": Kind("results/s/signals/m/d/base", store, signals, "meta.json"),
    "shard": Kind("results/s/signals/m/d/shards/base/0", store, lambda p: join_shards([p], Path("out")), "meta.json"),
    "weights": Kind("results/s/models/m", model, verified, "model.safetensors"),
    "adapter": Kind(f"{RUN}/adapter", model, verified, "config.json"),
}


# How it is damaged.


def truncate(kind: Kind) -> None:
    content = kind.file.read_bytes()
    kind.file.write_bytes(content[:-30])


def empty(kind: Kind) -> None:
    kind.file.write_bytes(b"")


def garble(kind: Kind) -> None:
    kind.file.write_bytes(np.random.default_rng(0).bytes(max(400, kind.file.stat().st_size)))


def reshape(kind: Kind) -> None:
    """What is valid in its format, and of another shape."""
    if kind.file.suffix == ".parquet":
        pd.DataFrame({"other": [1, 2]}).to_parquet(kind.file)
    elif kind.file.suffix == ".npy":
        np.save(kind.file, np.zeros((3, 2)))
    elif kind.file.suffix == ".safetensors":
        save_file({"other": torch.zeros(2)}, kind.file)
    else:
        kind.file.write_text("[[1, 2], null]\n")


def remove(kind: Kind) -> None:
    kind.file.unlink()


def folder(kind: Kind) -> None:
    kind.file.unlink()
    kind.file.mkdir()


PARSED = [truncate, empty, garble, reshape, remove, folder]


def swap(kind: Kind) -> None:
    """Put another artefact's in its place, whole in itself, with the date that it had."""
    times = kind.file.stat()
    kind.make(Path("other") / kind.path, 7)
    shutil.copyfile(Path("other") / kind.file, kind.file)
    os.utime(kind.file, ns=(times.st_atime_ns, times.st_mtime_ns))


def shorten(kind: Kind) -> None:
    """Lose the last lines, or the last quarter."""
    lines = kind.file.read_bytes().splitlines(keepends=True)
    kind.file.write_bytes(b"".join(lines[:-2]) or kind.file.read_bytes()[: -kind.file.stat().st_size // 4])


def edit(kind: Kind) -> None:
    """Change one byte in the middle, and nothing that a listing shows."""
    times, content = kind.file.stat(), bytearray(kind.file.read_bytes())
    content[len(content) // 2] ^= 1
    kind.file.write_bytes(content)
    os.utime(kind.file, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, here: Path) -> Kind:
    found = KINDS[request.param]
    found.make(found.path, 0)
    return found


def made(kind: Kind) -> Kind:
    write_manifests([kind.path], [], {"rule": "r"}, 0.0)
    return kind


@pytest.mark.parametrize("damage", PARSED)
def test_a_reader_names_what_it_cannot_read(kind: Kind, damage: Callable[[Kind], None]) -> None:
    if kind.read is verified:
        made(kind)
    kind.read(kind.path)
    damage(kind)
    with pytest.raises(GradsError) as caught:
        kind.read(kind.path)
    assert str(kind.path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("damage", [*PARSED, swap, shorten, edit])
def test_a_job_and_the_plan_refuse_what_its_maker_did_not_write(kind: Kind, damage: Callable[[Kind], None]) -> None:
    made(kind)
    read_inputs([kind.path], {}, Path("results"))
    assert list(damage_below(Path("results"), Fingerprints(), strict=True)) == []
    damage(kind)
    found = list(damage_below(Path("results"), Fingerprints(), strict=True))
    if kind.file.exists() or kind.inner:
        assert [one.artefact for one in found] == [kind.path]
        assert str(kind.file) in str(found[0])
        assert f"delete {kind.path} and run again" in str(found[0])
    else:
        # What is not there, Snakemake makes.
        assert found == []
    with pytest.raises(GradsError, match=str(kind.path)):
        read_inputs([kind.path], {}, Path("results"))


@pytest.mark.parametrize("damage", [truncate, empty, garble, reshape, edit, remove])
def test_a_manifest_that_is_damaged_or_gone_is_noticed(kind: Kind, damage: Callable[[Kind], None]) -> None:
    made(kind)
    (manifest,) = kind.path.parent.glob("*.manifest.json")
    damage(Kind(str(manifest), made, verified))
    found = list(damage_below(Path("results/s/" + kind.path.parts[2]).parent, Fingerprints(), strict=True))
    assert found
    assert str(kind.path) in " ".join(map(str, found))
    with pytest.raises(GradsError, match=f"delete .*{kind.path}"):
        read_inputs([kind.path], {}, Path("results"))


def test_what_was_moved_or_touched_is_known_by_its_content(kind: Kind) -> None:
    made(kind)
    shutil.copytree("results/s", "results/moved")  # Other dates, other inodes, another name of the study.
    for file in Path("results/moved").rglob("*"):
        os.utime(file, (1, 1))
    moved = Path("results/moved", *kind.path.parts[2:])
    assert list(damage_below(Path("results/moved"), Fingerprints(), strict=True)) == []
    expected = verified(kind.path)
    assert verified(moved) == expected == read_inputs([moved], {}, Path("results")).sha256[str(moved)]


def test_a_whole_artefact_with_its_manifest_in_the_place_of_another(here: Path) -> None:
    for arm in ("a", "b"):
        path = Path(f"results/s/selections/m/d/{arm}/0.5/0.parquet")
        selection(path, ord(arm))
        write_manifests([path], [], {}, 0.0)
    shutil.rmtree("results/s/selections/m/d/a")
    shutil.copytree("results/s/selections/m/d/b", "results/s/selections/m/d/a")
    (found,) = damage_below(Path("results"), Fingerprints(), strict=True)
    assert found.artefact == Path("results/s/selections/m/d/a/0.5/0.parquet")
    assert "was made as results/s/selections/m/d/b/0.5/0.parquet" in str(found)


def test_what_is_being_made_is_not_damaged(here: Path) -> None:
    from grads.runtime.manifest import begin_artefacts

    kind = KINDS["training"]
    kind.make(kind.path, 0)
    made(kind)
    begin_artefacts([kind.path])
    kind.make(kind.path, 1)
    assert list(damage_below(Path("results"), Fingerprints(), strict=True)) == []
    made(kind)
    assert list(damage_below(Path("results"), Fingerprints(), strict=True)) == []
    kind.make(kind.path, 2)
    assert len(list(damage_below(Path("results"), Fingerprints(), strict=True))) == 1


def test_notes_and_hidden_files_next_to_artefacts_are_nobodys_business(here: Path) -> None:
    made_of = KINDS["training"]
    made_of.make(made_of.path, 0)
    made(made_of)
    made_of.path.with_name("notes.txt").write_text("good run")
    made_of.path.with_name(".training.99.part.json").write_text("{")
    assert list(damage_below(Path("results"), Fingerprints(), strict=True)) == []


def test_what_changes_while_it_is_read_is_not_used(here: Path) -> None:
    Path("data.jsonl").write_text("1")
    known = Fingerprints().sha256("data.jsonl")
    inputs = read_inputs(["data.jsonl"], {"data.jsonl": known}, Path("results"))
    inputs.check_unchanged()
    Path("data.jsonl").write_text("22")
    with pytest.raises(GradsError, match=r"data\.jsonl changed while it was read"):
        inputs.check_unchanged()
    with pytest.raises(GradsError, match=rf"data\.jsonl is not the file .*{known}"):
        read_inputs(["data.jsonl"], {"data.jsonl": known}, Path("results"))


@pytest.mark.parametrize("damage", [truncate, empty, garble, reshape, remove, edit])
@pytest.mark.parametrize("name", ["optimizer.pt", "adapter_model.safetensors", "grads.json", "trainer_state.json"])
def test_a_damaged_checkpoint_is_said_and_the_one_before_taken(
    tmp_path: Path, name: str, damage: Callable[[Kind], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (20, 40):
        checkpoint = tmp_path / f"checkpoint-{step}"
        model(checkpoint, step)
        (checkpoint / "model.safetensors").rename(checkpoint / "adapter_model.safetensors")
        (checkpoint / "optimizer.pt").write_bytes(bytes(500))
        write_json(checkpoint / "trainer_state.json", {"global_step": step, "log_history": [{"loss": 1.0}] * 5})
        record_checkpoint(checkpoint)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-40"
    damage(Kind(str(tmp_path / "checkpoint-40" / name), model, verified))
    # Without its record, a checkpoint is one whose run was killed before it was made.
    gone = damage is remove and name == "grads.json"
    assert last_checkpoint(tmp_path) == tmp_path / f"checkpoint-{40 if gone else 20}"
    # An edited record no longer fits one of the others.
    named = "checkpoint-40" if name == "grads.json" else f"checkpoint-40/{name}"
    assert (named in capsys.readouterr().err) != gone


def test_a_checkpoint_of_another_run_is_not_gone_on_from(tmp_path: Path) -> None:
    for run in ("one", "two"):
        write_json(tmp_path / run / "checkpoint-20" / "trainer_state.json", {"run": run})
        record_checkpoint(tmp_path / run / "checkpoint-20")
    shutil.rmtree(tmp_path / "one" / "checkpoint-20")
    shutil.copytree(tmp_path / "two" / "checkpoint-20", tmp_path / "one" / "checkpoint-20")
    assert last_checkpoint(tmp_path / "one") is None
    assert last_checkpoint(tmp_path / "two") is not None


@pytest.mark.parametrize("damage", [truncate, empty, garble, edit])
def test_a_damaged_journal_is_cut_and_that_is_said(
    tmp_path: Path, damage: Callable[[Kind], None], capsys: pytest.CaptureFixture[str]
) -> None:
    path, entries = tmp_path / "rows", [bytes([i]) * 100 for i in range(5)]
    for entry in entries:
        Journal(path, "key").append(entry)
    damage(Kind(str(path), model, verified))
    left = list(Journal(path, "key"))
    assert left == entries[: len(left)]
    assert len(left) < 5
    assert (str(path) in capsys.readouterr().err) == (damage is not empty)


def test_a_journal_of_something_else_is_begun_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Journal(tmp_path / "rows", "one").append(b"of one")
    assert list(Journal(tmp_path / "rows", "one")) == [b"of one"]
    assert list(Journal(tmp_path / "rows", "two")) == []
    assert "is of something else" in capsys.readouterr().err


def test_a_journal_that_is_a_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    with pytest.raises(GradsError, match="rows is a folder"):
        Journal(tmp_path / "rows")


@pytest.mark.parametrize("damage", [truncate, remove, edit])
def test_a_damaged_wordnet_is_one_sentence(here: Path, damage: Callable[[Kind], None]) -> None:
    installed = Path("resources/wordnet")
    for name in NEEDED:
        (installed / CORPUS).mkdir(parents=True, exist_ok=True)
        (installed / CORPUS / name).write_text("00001740 a line of the database\n" * 20)
    write_manifests([installed], [], {}, 0.0)
    damage(Kind(str(installed), model, verified, str(CORPUS / "index.sense")))
    with pytest.raises(GradsError, match=r"corpora/wordnet/index\.sense .*: delete resources/wordnet"):
        read_inputs([installed], {}, Path("results"))
    assert artefact_damage(installed, Fingerprints())
    if damage is remove:
        with pytest.raises(GradsError, match=r"has no 'index\.sense'"):
            open_wordnet(installed)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": [1]}', '{"/x": "y"}', "\udce9"])
def test_what_is_wrong_with_the_memory_of_fingerprints_only_costs_time(tmp_path: Path, content: str) -> None:
    file, cache = tmp_path / "weights", tmp_path / "cache.json"
    file.write_text("1")
    os.utime(file, (1, 1))
    cache.write_bytes(content.encode("utf-8", "surrogateescape"))
    found = Fingerprints(cache)
    assert found.sha256(file) == Fingerprints().sha256(file)
    found.save()


def test_a_file_is_read_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from grads.runtime import fingerprints

    file, cache = tmp_path / "weights", tmp_path / "cache.json"
    file.write_text("11")
    monkeypatch.setattr(fingerprints, "TICK_NS", -1)
    first = Fingerprints(cache)
    before = first.sha256(file)
    first.save()
    assert list(read_object(cache)) == [str(file)]
    monkeypatch.setattr(fingerprints, "sha256_file", lambda _path: pytest.fail("read again"))
    assert Fingerprints(cache).sha256(file) == before
    monkeypatch.undo()
    # Written in place, as long as it was and dated as it was.
    times = file.stat()
    file.write_text("22")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert Fingerprints(cache).sha256(file) != before


def test_a_manifest_states_what_was_read(here: Path) -> None:
    """Not what the input's own manifest once said of it."""
    Path("data.jsonl").write_text("1")
    write_manifests([Path("data.jsonl")], [], {}, 0.0)
    Path("data.jsonl").write_text("2")
    with pytest.raises(GradsError, match=r"data\.jsonl is not what was written"):
        write_manifests([Path("out.json")], [Path("data.jsonl")], {}, 0.0)
    assert json.loads(Path("data.manifest.json").read_text())["files"]["data.jsonl"]["size"] == 1
