"""The benchmark of plans: its studies are valid, and what Snakemake printed is read as it was meant."""

import pytest

from benchmarks.plan import CASES, error, page, taken, write_config
from grads.study.reading import read_study

LOG = """
[Mon Nov 30 20:12:34 2026]
localrule all:
    jobid: 0
[Mon Nov 30 20:12:34 2026]
rule train:
    output: x
    jobid: 7
[Mon Nov 30 20:12:40 2026]
Finished jobid: 7 (Rule: train)
[Mon Nov 30 20:12:41 2026]
rule train:
    jobid: 8
[Mon Nov 30 20:12:41 2026]
rule select:
    jobid: 9
[Mon Nov 30 20:12:45 2026]
Finished jobid: 8 (Rule: train)
[Mon Nov 30 20:13:45 2026]
Finished jobid: 9 (Rule: select)
"""


def test_seconds_are_those_between_start_and_end():
    assert taken(LOG) == {"train": 6 + 4, "select": 64}


@pytest.mark.parametrize("name", CASES)
def test_studies_are_valid_and_of_their_own(name, tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.plan.WORK", tmp_path)
    assert read_study(write_config(name)).study == f"bench-plan-{name}"


def test_the_page_says_how_far_plans_are_off():
    assert error(150, 100) == 0.5
    environment = {"machine": {"processor": "Some", "instructions": "AVX2"}, "kernels": "AVX2"}
    one = {"planned": {"train": 80.0, "select": 10.0}, "taken": {"train": 100.0, "select": 20.0}}
    text = page({"smoke": one | {"environment": environment, "load": 0.1}})
    assert "| train | 80 | 100 | -20% |" in text
    assert "| together | 90 | 120 | -25% |" in text
    assert "the largest here is 25%" in text
