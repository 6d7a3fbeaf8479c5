"""`grads plan`: what it says of studies that are not begun, half done and done, here and on a device."""

import subprocess
from pathlib import Path

import pytest
import yaml

from grads.cli import plan
from grads.graph.study import StudyGraph
from grads.study.reading import read_study
from tests.cli.conftest import ROOT, write_smoke

SMOKE = read_study("config/smoke.yaml")
RULES = {rule for rule, _wildcards in StudyGraph(SMOKE, reading=False).calls()}


def table(printed):
    """Return the rows of a plan by their rules: cells by the names of their columns."""
    lines = [line for line in printed.splitlines() if line]
    head = next(line for line in lines if line.startswith("rule"))
    names = ["rule", "to run", "done", "longest", "together", "host GB", "GPU GB", "disk GB"]
    ends = [head.index(name) + len(name) for name in names]
    starts = [0, 20, *ends[1:-1]]
    rows = {}
    for line in lines:
        if line.split()[0] in RULES | {"total"}:
            stops = [starts[1], *ends[1:]]
            cells = [line[start:stop].strip() for start, stop in zip(starts, stops, strict=True)]
            rows[cells[0]] = dict(zip(names, cells, strict=True))
    return rows


def test_a_named_device_is_planned_for_without_any_work(grads, elsewhere):
    printed = grads("plan", "config/smoke.yaml", "--device", "h100-80gb").stdout
    rows = table(printed)
    assert (rows["train"]["to run"], rows["train"]["done"]) == ("12", "0")
    assert rows["select"]["together"] == "-"
    assert rows["train"]["together"] != "-"
    assert "h100-80gb (NVIDIA" in printed
    assert float(rows["train"]["GPU GB"]) > 0
    assert int(rows["total"]["to run"]) == sum(int(row["to run"]) for rule, row in rows.items() if rule != "total")
    assert "Not counted" not in printed
    assert not Path("results").exists()


def test_an_unknown_device_is_named(grads, elsewhere):
    said = grads("plan", "config/smoke.yaml", "--device", "h100", status=2).output
    assert "there is no device 'h100'" in said


def test_every_seed_is_a_run_of_its_own(grads, elsewhere):
    mine = write_smoke(elsewhere, seeds=[0, 1, 2])
    rows = table(grads("plan", mine, "--device", "h100-80gb").stdout)
    assert (rows["train"]["to run"], rows["train_warm"]["to run"], rows["probe_base"]["to run"]) == ("36", "6", "2")
    arms = {"untuned": {"method": "untuned"}, "random": {"method": "random", "ratios": ["0.5"]}}
    one = table(grads("plan", write_smoke(elsewhere, arms=arms), "--device", "h100-80gb").stdout)
    assert "train_warm" not in one
    assert "probe_base" not in one


@pytest.mark.slow
def test_records_that_nobody_counted_are_said_on_the_command_line(grads, elsewhere):
    mine = write_smoke(elsewhere, splits={"validation": 4, "test": 8})
    guessed = grads("plan", mine, "--device", "h100-80gb").stdout
    assert "10000 each, a guess" in guessed
    said = grads("plan", mine, "--device", "h100-80gb", "--records", "20000000").stdout
    assert "20000000 each, as --records says" in said
    assert table(said)["train"]["together"] != table(guessed)["train"]["together"]
    limited = grads("plan", "config/smoke.yaml", "--device", "h100-80gb", "--records", "7").stdout
    assert "--records" not in limited


def test_workers_side_by_side_take_less(grads, elsewhere):
    alone = grads("plan", "config/smoke.yaml", "--device", "h100-80gb").stdout
    together = grads("plan", "config/smoke.yaml", "--device", "h100-80gb", "--workers", "8").stdout
    assert "side by side" not in alone
    assert "With 8 side by side" in together


def test_models_that_are_not_known_are_named(grads, elsewhere):
    content = yaml.safe_load((ROOT / "config" / "paper_grads.yaml").read_text("utf-8"))
    content["models"]["qwen2-5-7b"]["source"]["id"] = "some/model"
    (elsewhere / "mine.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    printed = grads("plan", "mine.yaml", "--device", "h100-80gb").stdout
    assert "Not counted: qwen2-5-7b." in printed


def test_snakemake_is_told_where_the_workflow_is(grads, elsewhere, monkeypatch):
    called = []

    def fails(command, **_options):
        called.append(command[3:])
        return subprocess.CompletedProcess(command, 1, "error: nothing is prepared here\n")

    monkeypatch.setattr(plan.subprocess, "run", fails)
    assert grads("plan", "config/smoke.yaml", status=2).stderr.endswith("error: nothing is prepared here\n")
    assert called[0][:4] == ["--snakefile", str(ROOT / "Snakefile"), "--configfile", "config/smoke.yaml"]
    monkeypatch.chdir(ROOT)
    grads("plan", "config/smoke.yaml", status=2)
    assert called[1][0] == "--configfile"


@pytest.mark.parametrize(
    ("printed", "sentence"),
    [
        (
            "output: x\n| log\n====\nerror: model a/b is not there: fix it\nExiting because\n",
            "model a/b is not there: fix it",
        ),
        (
            'Using profile\nWorkflowError in file "rules/common.smk", line 5:\n\'arms.x\': no method\n  File "x"\n',
            "'arms.x': no method",
        ),
        ("killed\n", "snakemake failed, saying: killed"),
    ],
)
def test_of_a_failed_preparation_the_one_sentence_is_said(printed, sentence):
    assert plan._said(printed) == sentence


def differences(printed):
    """Return what the lines on smallest differences say: items, alone, of all tests, by their titles."""
    lines = printed.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("Smallest differences"))
    rows = {}
    for line in lines[start + 2 :]:
        cells = line.rsplit(maxsplit=3)
        if len(cells) == 4 and cells[1].isdigit():
            rows[cells[0].strip()] = cells[1:]
    return rows


def test_a_plan_says_what_its_items_and_seeds_could_see(grads, elsewhere):
    mine = write_smoke(elsewhere, seeds=[0, 1, 2])
    printed = grads("plan", mine, "--device", "h100-80gb").stdout
    rows = differences(printed)
    assert rows["Sums"][0] == str(SMOKE.splits.test)
    assert "Stated, not measured" in printed
    assert float(rows["Sums"][1]) <= float(rows["Sums"][2])
    surer = differences(grads("plan", mine, "--device", "h100-80gb", "--item-sd", "0.1").stdout)
    assert float(surer["Sums"][1]) < float(rows["Sums"][1])
    one = grads("plan", "config/smoke.yaml", "--device", "h100-80gb").stdout
    assert "there will be no verdict" in one


def test_a_pilot_that_is_none_is_refused(grads, elsewhere):
    said = grads("plan", "config/smoke.yaml", "--device", "h100-80gb", "--pilot", "results/none", status=2).stderr
    assert "--pilot results/none: it holds no measurements.parquet" in said
    said = grads(
        "plan", "config/smoke.yaml", "--device", "h100-80gb", "--pilot", "x", "--item-sd", "1", status=2
    ).stderr
    assert "give one or the other" in said
