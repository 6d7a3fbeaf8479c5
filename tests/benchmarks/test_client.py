"""Contestants as processes: a synthetic one that needs neither torch nor a model."""

import sys
from pathlib import Path

import pytest

from benchmarks.catalogue import Entry
from benchmarks.client import Worker, WorkerError, interleave
from benchmarks.examples import synthetic, write_items
from benchmarks.protocol import Settings

MODULE = """
import time
from benchmarks.protocol import serve

class Sleeper:
    def __init__(self, settings):
        print("this is no answer")
        if settings.name == "broken":
            raise ValueError("no such model")
        self.settings = settings

    def prepare(self, rows):
        self.rows = rows

    def run(self):
        block = bytearray(len(self.rows) * 2**20)
        time.sleep(0.05 * self.settings.side)

serve(Sleeper)
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    (tmp_path / "sleeper.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def started(name, side=1):
        return Worker(Entry("", module="sleeper"), Settings(name, "", side=side), Path(sys.executable), tmp_path)

    return started


def test_a_run_is_timed_and_its_peak_is_seen(start, tmp_path):
    path = write_items(synthetic(64, 2, vocabulary=9), tmp_path / "items.jsonl")
    with start("sleeper") as worker:
        loaded = worker.prepare(path)
        runs = [worker.run() for _ in range(2)]
    for run in runs:
        assert run.seconds >= 0.05
        assert run.processor_seconds < run.seconds
        assert 60 * 2**20 < run.peak - loaded < 80 * 2**20
    assert worker.process.returncode == 0


def test_repeats_run_everyone_and_begin_with_another(start, tmp_path, capsys):
    path = write_items(synthetic(1, 2, vocabulary=9), tmp_path / "items.jsonl")
    with start("quick", 0) as quick, start("slow", 2) as slow:
        workers = {"quick": quick, "slow": slow}
        for worker in workers.values():
            worker.prepare(path)
        runs = interleave(workers, 2, "trial")
    assert {name: len(found) for name, found in runs.items()} == {"quick": 2, "slow": 2}
    assert min(run.seconds for run in runs["slow"]) > max(run.seconds for run in runs["quick"])
    order = [line.split(", ")[1].split(":")[0] for line in capsys.readouterr().err.splitlines()]
    assert order == ["quick", "slow", "slow", "quick"]


def test_the_last_words_of_a_process_that_ended_are_in_the_error(start, tmp_path):
    with pytest.raises(WorkerError, match="no such model"), start("broken") as worker:
        worker.prepare(tmp_path / "items.jsonl")
