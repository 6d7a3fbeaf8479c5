"""Jobs in this process: what is finished is left out, what has changed is made again."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from grads.runtime.errors import GradsError
from grads.runtime.manifest import manifest_of
from grads.runtime.runner import Machine, is_finished, run_jobs


@dataclass
class Copy:
    """Writes what it reads, and a word."""

    source: Path
    out: Path
    word: str = "a"
    contents: dict[str, str] = field(default_factory=dict)
    runs: int = 0
    rule: str = "copy"
    takes: tuple[str, ...] = ()

    @property
    def inputs(self):
        return [self.source]

    @property
    def outputs(self):
        return [self.out]

    @property
    def settings(self):
        return {"word": self.word}

    def run(self, machine):
        self.runs += 1
        self.out.write_text(self.source.read_text() + self.word)


@pytest.fixture
def chain(tmp_path):
    (tmp_path / "0").write_text("")
    return [Copy(tmp_path / str(n), tmp_path / str(n + 1)) for n in range(3)]


def runs(chain):
    return [job.runs for job in chain]


def test_jobs_run_once_in_their_order(chain):
    run_jobs(chain, Machine())
    assert chain[-1].out.read_text() == "aaa"
    run_jobs(chain, Machine())
    assert runs(chain) == [1, 1, 1]
    assert all(map(is_finished, chain))


def test_another_setting_makes_a_job_and_what_follows_again(chain):
    run_jobs(chain, Machine())
    chain[1].word = "b"
    run_jobs(chain, Machine())
    assert chain[-1].out.read_text() == "aba"
    assert runs(chain) == [1, 2, 2]


def test_another_content_makes_what_reads_it_again(chain):
    run_jobs(chain, Machine())
    chain[0].source.write_text("x")
    run_jobs(chain, Machine())
    assert chain[-1].out.read_text() == "xaaa"
    assert runs(chain) == [2, 2, 2]


def test_what_was_made_before_a_job_failed_stays(chain, monkeypatch):
    chain[2].run = lambda machine: (_ for _ in ()).throw(GradsError("no"))
    with pytest.raises(GradsError, match="no"):
        run_jobs(chain, Machine())
    assert runs(chain)[:2] == [1, 1]
    assert manifest_of(chain[1].out) is not None
    del chain[2].run
    run_jobs(chain, Machine())
    assert runs(chain) == [1, 1, 1]


def test_a_result_without_a_manifest_is_made_again_and_a_damaged_one_is_refused(chain):
    run_jobs(chain, Machine())
    chain[0].out.with_suffix(".manifest.json").unlink()
    run_jobs(chain[:1], Machine())
    assert chain[0].runs == 2
    chain[0].out.write_text("other")
    with pytest.raises(GradsError, match="delete"):
        run_jobs(chain, Machine())


def test_a_file_that_is_not_there_is_a_sentence(chain):
    with pytest.raises(GradsError, match=rf"copy reads {chain[1].source}, which is not there"):
        run_jobs(chain[1:], Machine())


def test_the_machine_is_recorded_where_it_is_asked_for_and_makes_nothing_again(chain):
    chain[0].takes = ("micro_batch",)
    run_jobs(chain[:2], Machine(micro_batch=2))
    first, second = (manifest_of(job.out).content["settings"] for job in chain[:2])
    assert first == {"rule": "copy", "word": "a", "micro_batch": 2}
    assert second == {"rule": "copy", "word": "a"}
    run_jobs(chain[:2], Machine(micro_batch=1))
    assert runs(chain)[:2] == [1, 1]
