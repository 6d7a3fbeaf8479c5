"""What a finished job of a group leaves, and finds again."""

import shutil
from pathlib import Path

import pytest

from grads.runtime import group
from grads.runtime.group import GROUPED, Finished, asked_jobs, in_group, start_group
from grads.runtime.manifest import manifest_of
from grads.runtime.runner import Machine, is_finished, perform
from tests.runtime.test_runner import Copy


class Folder(Copy):
    """Makes a folder with a folder in it."""

    def run(self, machine):
        self.runs += 1
        for name in ("one", "inner/two"):
            file = self.out / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.source.read_text() + self.word)


@pytest.fixture(params=[Copy, Folder])
def job(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("source").write_text("x")
    found = request.param(Path("source"), Path("results/run/out"))
    perform(found, Machine())
    Finished(found, Path("scratch")).keep()
    return found


def lose(job):
    """Take away what a job has made, as Snakemake does when another job of its group fails."""
    shutil.rmtree(job.out.parent)


def test_what_was_finished_comes_back(job):
    recorded = manifest_of(job.out).content
    lose(job)
    assert Finished(job, Path("scratch")).restore()
    assert is_finished(job)
    assert manifest_of(job.out).content == recorded
    assert job.runs == 1


def test_it_is_not_what_another_setting_would_make(job):
    lose(job)
    job.word = "b"
    assert not Finished(job, Path("scratch")).restore()
    assert not job.out.exists() or not any(job.out.rglob("*"))
    assert not Finished(job, Path("scratch")).folder.exists()


def test_it_is_not_what_another_input_would_make(job):
    lose(job)
    Path("source").write_text("y")
    assert not Finished(job, Path("scratch")).restore()


def test_what_is_damaged_is_made_again(job):
    lose(job)
    kept = Finished(job, Path("scratch"))
    file = next(path for path in kept.folder.rglob("*") if path.is_file() and not path.name.endswith(".json"))
    file.write_text("z")
    assert not kept.restore()


def test_nothing_was_kept_of_a_job_that_did_not_finish(tmp_path):
    assert not Finished(Copy(tmp_path / "a", tmp_path / "b"), tmp_path / "scratch").restore()


@pytest.mark.parametrize(("jobs", "grouped"), [(0, False), (1, False), (2, True), (8, True)])
def test_several_jobs_of_a_node_are_a_group(jobs, grouped, monkeypatch):
    started = []
    monkeypatch.setattr(group, "start_server", started.append)
    # So that the variable is gone after the test.
    monkeypatch.setenv(GROUPED, "")
    monkeypatch.delenv(GROUPED)
    start_group(jobs)
    assert in_group() == grouped
    assert started == ([jobs] if grouped else [])


def test_jobs_of_a_node_are_counted_by_its_command_line():
    named = ["train:model=tiny,arm=full", "train:model=tiny,arm=random"]
    assert asked_jobs(["snakemake", "--target-jobs", *named, "--cores", "1"]) == 2
    assert asked_jobs(["snakemake", "--cores", "1", "--target-jobs", named[0]]) == 1
    assert asked_jobs(["snakemake", "--cores", "1"]) == 0
