import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from grads.cli.status import State, failure, seconds_left, state_of
from grads.graph.study import StudyGraph
from grads.runtime.manifest import write_manifests
from grads.study.grid import Cell
from grads.study.reading import read_study

STUDY = read_study("config/smoke.yaml")


@dataclass(frozen=True)
class Step:
    """What is asked of a job here."""

    rule: str
    output: Path
    log: Path

    @property
    def outputs(self):
        return [self.output]


@pytest.fixture
def chain(tmp_path):
    """Three jobs in a row, none of them run."""
    return [Step(name, tmp_path / f"{name}.out", tmp_path / f"{name}.log") for name in ("select", "train", "metrics")]


def way(study, cell):
    return StudyGraph(study, reading=False).on_the_way(cell)


def test_what_is_left_takes_as_long_as_its_like_took(tmp_path, monkeypatch):
    monkeypatch.setattr("grads.runtime.manifest.time.time", lambda: 110.0)
    done = [Step("train", tmp_path / name, tmp_path / "log") for name in ("a", "b")]
    for step, began in zip(done, (100.0, 90.0), strict=True):
        step.output.touch()
        write_manifests([step.output], {}, {}, began)
    left = [Step("train", tmp_path / f"left{n}", tmp_path / "log") for n in range(3)]
    unknown = Step("evaluate", tmp_path / "never", tmp_path / "log")
    assert seconds_left([*done, *left, unknown]) == (45.0, 30.0)


def test_a_cell_goes_from_waiting_to_done(chain):
    assert state_of(chain, running=False) == State("waiting", chain[0])
    chain[0].output.touch()
    chain[1].log.write_text("train: 3/6 steps\n")
    assert state_of(chain, running=True) == State("running", chain[1])
    assert state_of(chain, running=False) == State("stopped", chain[1])
    chain[1].log.write_text("train: 3/6 steps\nerror: the run diverged\n")
    assert state_of(chain, running=False) == State("failed", chain[1])
    chain[1].log.write_text("Traceback (most recent call last):\n  File\nKeyError: 'x'\n")
    assert state_of(chain, running=True) == State("failed", chain[1])
    chain[2].output.touch()
    assert state_of(chain, running=True) == State("done")


def test_a_job_that_a_signal_ended_has_failed_and_one_without_an_ending_was_stopped(chain):
    log, ended = chain[0].log, subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    begin = "2026-11-30 08:00:00 select on {}, process {}\n"
    log.write_text(begin.format(platform.node(), ended.pid) + "error: signal SIGKILL ended the job: (after 3 s)\n")
    assert state_of(chain, running=True) == State("failed", chain[0])
    assert "SIGKILL" in failure(log)[-1]
    log.write_text(begin.format(platform.node(), ended.pid) + "ended with exit status 7 after 3 s\n")
    assert state_of(chain, running=True) == State("failed", chain[0])
    for host, pid, kind in (
        (platform.node(), ended.pid, "stopped"),
        (platform.node(), os.getpid(), "running"),
        # Of another machine's processes nothing is known here.
        ("node07", ended.pid, "running"),
    ):
        log.write_text(begin.format(host, pid) + "select: 3/6\n")
        assert state_of(chain, running=True) == State(kind, chain[0]), host
        assert state_of(chain, running=False) == State("stopped", chain[0])


def test_a_cell_whose_artefact_is_damaged_is_not_done(chain):
    for step in chain:
        step.output.touch()
    assert state_of(chain, running=False) == State("done")
    assert state_of(chain, False, {chain[1].output}) == State("damaged", chain[1])


def test_the_end_of_a_log_is_shown(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("".join(f"line {n}\n\n" for n in range(20)) + "error: no\n")
    assert failure(log) == [*(f"line {n}" for n in range(15, 20)), "error: no"]
    log.write_text("no error: here\n")
    assert failure(log) == []


def test_the_way_to_a_cell_leads_over_what_its_arm_refers_to():
    rules = [job.rule for job in way(STUDY, Cell("tiny", "sums", "random_length", "0.5", 0))]
    assert sorted(rules) == sorted(
        [
            *("prepare_model", "prepare_domains", "prepare_general", "fetch_archive", "install_wordnet"),
            *("probe_tokens", "probe_base", "train_warm", "probe_warm"),
            *("select", "select", "train", "evaluate", "metrics"),
        ]
    )
    order = [rules.index(rule) for rule in ("prepare_model", "train_warm", "probe_warm", "select", "train", "evaluate")]
    assert order == sorted(order)
    assert rules[-1] == "metrics"
    untuned = [job.rule for job in way(STUDY, Cell("tiny", "sums", "untuned", "0", 0))]
    assert {"evaluate_untuned", "metrics"} <= set(untuned)
    assert not {"train", "select", "evaluate"} & set(untuned)


def test_the_way_to_a_cell_leads_over_its_scorer():
    arm = STUDY.arms["grads_density"].model_copy(update={"scorer": "navigator"})
    scorers = {"navigator": STUDY.models["tiny"]}
    study = STUDY.model_copy(update={"arms": STUDY.arms | {"near": arm}, "scorers": scorers})
    found = way(study, Cell("tiny", "sums", "near", "0.5", 0))
    of_scorer = {job.rule for job in found if "navigator" in str(job.outputs[0])}
    assert of_scorer == {"prepare_model", "probe_tokens", "train_warm", "probe_warm"}
    of_trained = {job.rule for job in found if "/tiny" in str(job.outputs[0])}
    assert {"prepare_model", "probe_tokens", "select", "train", "evaluate", "metrics"} == of_trained


def test_shards_are_done_when_they_are_joined(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = STUDY.model_copy(update={"probe": STUDY.probe.model_copy(update={"shards": 2})})
    found = [job for job in way(study, Cell("tiny", "sums", "grads", "0.5", 0)) if "warm" in job.rule + job.log.name]
    assert [job.rule for job in found] == ["train_warm", "probe_warm", "probe_warm", "probe_shards"]
    assert [job.log.name for job in found[1:]] == ["warm-0.0.log", "warm-0.1.log", "warm-0.log"]
    epoch, first, second, joined = found
    second.log.parent.mkdir(parents=True)
    second.log.write_text("error: record 3 has no number\n")
    for path in (*epoch.outputs, *first.outputs):
        path.mkdir(parents=True)
    assert state_of(found, running=False) == State("failed", second)
    joined.outputs[0].mkdir(parents=True)
    first.outputs[0].rmdir()
    assert state_of(found, running=False) == State("done")
    assert state_of([*found, Step("select", tmp_path / "none", tmp_path / "log")], running=False).kind == "waiting"


def test_a_study_that_never_ran_waits(grads, tmp_path, monkeypatch):
    content = Path("config/smoke.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(content)
    printed = grads("status", "mine.yaml").stdout
    assert printed.startswith("smoke: 14 waiting of 14 cells\n")
    assert "tiny/plurals/grads/0.5/0  at prepare_model" in printed


def test_one_failed_job_is_explained_once(grads, tmp_path, monkeypatch):
    content = Path("config/smoke.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(content)
    log = tmp_path / "results/smoke/logs/prepare_domains.log"
    log.parent.mkdir(parents=True)
    log.write_text("error: sums.jsonl:3: not JSON\n")
    printed = grads("status", "mine.yaml").stdout
    assert printed.startswith("smoke: 14 failed of 14 cells")
    assert printed.count("error: sums.jsonl:3: not JSON") == 1
    assert "prepare_domains (14 cells)" in printed
