"""What is left to do, and how long it takes side by side, on jobs that write a file each."""

from pathlib import Path

import pytest

from grads.graph.schedule import left, makespan
from grads.runtime.runner import Machine, perform
from grads.study.job import Job, Made, Read


class Writes(Job):
    """Writes a text behind those that it reads."""

    rule = "writes"
    modules = ()

    reads: Read[list[Path]]
    text: str
    file: Made[Path]

    def run(self, machine: Machine) -> None:
        """Write it."""
        self.file.write_text("".join(path.read_text() for path in self.reads) + self.text)


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """A, then B and C which read it, then D which reads both."""
    monkeypatch.chdir(tmp_path)
    places = {name: Path("results") / name for name in "abcd"}
    reads = {"a": "", "b": "a", "c": "a", "d": "bc"}
    return [Writes(reads=[places[one] for one in reads[name]], text=name, file=places[name]) for name in "abcd"]


def maker(jobs):
    made = {path: job for job in jobs for path in job.outputs}
    return made.get


def texts(found):
    return "".join(job.text for job in found)


def test_all_is_left_at_first_and_nothing_at_the_end(jobs):
    for count, job in enumerate(jobs):
        assert texts(left(jobs, maker(jobs))) == "abcd"[count:]
        perform(job, Machine())
    assert left(jobs, maker(jobs)) == []


def test_what_reads_an_outdated_file_is_made_again(jobs):
    for job in jobs:
        perform(job, Machine())
    changed = [jobs[0], jobs[1].changed(text="B"), *jobs[2:]]
    assert texts(left(changed, maker(changed))) == "Bd"
    (jobs[3].file).unlink()
    assert texts(left(jobs, maker(jobs))) == "d"


@pytest.mark.parametrize(("workers", "expected"), [(1, 1 + 5 + 2 + 1), (2, 1 + 5 + 1), (9, 1 + 5 + 1)])
def test_jobs_wait_for_what_they_read_and_for_a_worker(jobs, workers, expected):
    seconds = dict(zip(map(id, jobs), (1.0, 5.0, 2.0, 1.0), strict=True))
    assert makespan(jobs, maker(jobs), seconds, workers) == expected


def test_no_jobs_take_no_time():
    assert makespan([], {}.get, {}, 3) == 0


def test_many_equal_jobs_are_shared_evenly(tmp_path):
    jobs = [Writes(reads=[], text=str(number), file=tmp_path / str(number)) for number in range(10)]
    seconds = {id(job): 3.0 for job in jobs}
    assert makespan(jobs, maker(jobs), seconds, 4) == 9
