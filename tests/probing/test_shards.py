"""Probes that are shared by jobs, and probes that are killed: nothing lost, nothing twice, nothing of another probe."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grads.config.models import Format
from grads.config.probe import Probe
from grads.config.training import Training
from grads.data.records.record import make_record, write_records
from grads.probing import resume
from grads.probing import run as module
from grads.probing.gradients.passes import Pass
from grads.probing.resume import Finished
from grads.probing.run import Task, probe_model
from grads.probing.shards import join_shards
from grads.runtime.errors import GradsError
from grads.runtime.files import write_json
from grads.runtime.journal import HEADER, Journal
from grads.signals.store import read_store

RECORDS = [make_record(f"Say {'so ' * (i % 5)}.", "", f"Yes, number {i}. " * (1 + i % 3)) for i in range(17)]
MEASURES = ["gradients", "hidden", "token_losses"]
FILES = ["features-hidden.npy", "signals.parquet", "token_losses.parquet"]
# Every record a batch of its own.
ALONE = Probe(token_budget=1, precision="float32")
TOGETHER = Probe(token_budget=300, precision="float32")


@pytest.fixture
def task(tiny_model_folder: Path, tmp_path: Path) -> Callable[..., Task]:
    write_records(tmp_path / "train.parquet", RECORDS)

    def make(name: str, **changes: Any) -> Task:
        files = {"model": tiny_model_folder, "records": tmp_path / "train.parquet", "out": tmp_path / name}
        given = {"form": Format(), "training": Training(max_length=200), "probe": ALONE, "measures": MEASURES}
        return Task(**files | given | {"point": "base", "scratch": tmp_path / "scratch" / name} | changes)

    return make


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def shards_of(task: Callable[..., Task], count: int, **changes: Any) -> list[Path]:
    made = []
    for number in range(count):
        one = task(f"shard{number}of{count}", shard=(number, count), **changes)
        probe_model(one)
        made.append(one.out)
    return made


def test_joined_shards_are_the_store_of_one_job_to_the_last_bit_where_batches_are_the_same(
    task: Callable[..., Task], tmp_path: Path
) -> None:
    whole = task("whole")
    probe_model(whole)
    assert read_store(whole.out).signals["id"].tolist() == [record.id for record in RECORDS]
    for count in (2, 5, 20):
        shards = shards_of(task, count)
        sizes = [read_store(folder).meta["records"] for folder in shards]
        assert max(sizes) - min(sizes) <= 1
        join_shards(shards[::-1], tmp_path / "joined")
        assert content(tmp_path / "joined") == content(whole.out)
    joined, meta = read_store(tmp_path / "joined").meta, read_store(whole.out).meta
    assert (joined["shards"], joined["records"], joined["key"]) == (20, 17, meta["key"])
    assert joined["sha256"] == meta["sha256"]
    assert joined["flops"] == meta["flops"]


def test_joined_shards_with_other_batches_are_the_same_up_to_rounding(
    task: Callable[..., Task], tmp_path: Path
) -> None:
    whole = task("whole", probe=TOGETHER)
    probe_model(whole)
    join_shards(shards_of(task, 3, probe=TOGETHER), tmp_path / "joined")
    one, other = read_store(whole.out), read_store(tmp_path / "joined")
    assert one.signals["id"].tolist() == other.signals["id"].tolist()
    np.testing.assert_allclose(one.signals["head_l2"], other.signals["head_l2"], rtol=1e-4)
    np.testing.assert_allclose(one.features["hidden"], other.features["hidden"], rtol=2e-3, atol=1e-5)


def test_shards_of_another_probe_or_too_few_are_not_joined(task: Callable[..., Task], tmp_path: Path) -> None:
    shards = shards_of(task, 3)
    other = task("other", shard=(1, 3), training=Training(max_length=199))
    probe_model(other)
    for wrong in ([shards[0], other.out, shards[2]], shards[:2], [*shards, shards[0]], shards[1:]):
        with pytest.raises(GradsError, match="is not a shard of the same probe as the others"):
            join_shards(wrong, tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def stop_at(monkeypatch: pytest.MonkeyPatch, batch: int, torn: bool) -> None:
    """Stop a probe in its batch number `batch`, before it is kept or in the middle of the write."""
    original, seen = Journal.append, []

    def append(self: Journal, content: bytes) -> None:
        seen.append(content)
        if len(seen) == batch:
            if torn:
                with self.path.open("ab") as file:
                    file.write(HEADER.pack(len(content), 0) + content[: len(content) // 2])
            raise KeyboardInterrupt
        original(self, content)

    monkeypatch.setattr(Journal, "append", append)


@pytest.mark.parametrize("probe", [ALONE, TOGETHER], ids=["alone", "together"])
def test_a_probe_stopped_at_any_batch_ends_with_the_same_store(
    probe: Probe, task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, measured = task("clean", probe=probe), []
    original = Finished.add

    def count(self: Finished, examples: Any, *rest: Any) -> None:
        measured.extend(example.id for example in examples)
        original(self, examples, *rest)

    monkeypatch.setattr(Finished, "add", count)
    probe_model(clean)
    assert sorted(measured) == sorted(record.id for record in RECORDS)
    measured.clear()
    stopped = task("stopped", probe=probe)
    for batch, torn in ((1, False), (1, True), (2, True), (2, False), (1, True)):
        with monkeypatch.context() as patch:
            stop_at(patch, batch, torn)
            with pytest.raises(KeyboardInterrupt):
                probe_model(stopped)
    # Killed once more when all is measured, while the store is written.
    with monkeypatch.context() as patch:
        patch.setattr(resume, "write_parts", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            probe_model(stopped)
    before = len(measured)
    with monkeypatch.context() as patch:
        patch.setattr(module, "load_model", lambda *_: pytest.fail("nothing is left to measure"))
        probe_model(stopped)
    assert len(measured) == before
    assert content(stopped.out) == content(clean.out)
    # Each stop lost the batch that it came in, and nothing else was measured twice.
    assert set(measured) == {record.id for record in RECORDS}
    assert not stopped.scratch.exists()


def test_what_another_configuration_finished_is_not_picked_up(
    task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, 4, False)
        with pytest.raises(KeyboardInterrupt):
            probe_model(task("one"))
    other = task("one", training=Training(max_length=199))
    (state,) = (path for path in other.scratch.iterdir() if path.is_dir())
    measured: list[str] = []
    original = Pass.measure
    monkeypatch.setattr(Pass, "measure", lambda *a: measured.extend(e.id for e in a[1]) or original(*a))
    probe_model(other)
    assert len(measured) == len(RECORDS)
    assert not state.exists()


KILLED = """
import json, os, random, signal, sys
from pathlib import Path
from grads.probing.run import Task, probe_model
from grads.runtime import journal
from grads.config.models import Format
from grads.config.probe import Probe
from grads.config.training import Training

given = json.loads(Path(sys.argv[1]).read_text())
probe = Probe(token_budget=1, precision="float32")
files = {name: Path(given[name]) for name in ("model", "records", "out", "scratch")}
how = {"form": Format(), "training": Training(max_length=200), "measures": given["measures"], "probe": probe}
task = Task(point="base", **files, **how)
chance = random.Random(given["seed"])

def append(self, content):
    frame = journal.HEADER.pack(len(content), journal.zlib.crc32(content)) + content
    with self.path.open("ab", buffering=0) as file:
        cut = chance.randrange(len(frame) + 1) if chance.random() < 0.3 else None
        file.write(frame[:cut])
        if cut is not None:
            os.kill(os.getpid(), signal.SIGKILL)

journal.Journal.append = append
deaths = 0
while True:
    chance.seed(given["seed"] + deaths)
    if not (child := os.fork()):
        probe_model(task)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL
    deaths += 1
print(deaths)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_probe_killed_with_signal_9_again_and_again_ends_with_the_same_store(
    task: Callable[..., Task], tmp_path: Path
) -> None:
    clean, killed = task("clean"), task("killed")
    probe_model(clean)
    files = {name: str(getattr(killed, name)) for name in ("model", "records", "out", "scratch")}
    write_json(tmp_path / "given.json", files | {"measures": MEASURES, "seed": random.Random(5).randrange(1000)})
    command = [sys.executable, "-c", KILLED, str(tmp_path / "given.json")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-3000:]
    assert int(run.stdout) >= 3
    assert content(killed.out) == content(clean.out)
