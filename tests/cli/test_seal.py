"""`grads seal`: sealed once, again where it is asked for, and refused in a sentence otherwise."""

import json
import re
from pathlib import Path

from grads.graph.study import StudyGraph
from grads.study.reading import read_study
from tests.cli.conftest import write_smoke


def test_a_study_is_sealed_and_the_seal_is_an_input_of_its_tables(grads, elsewhere):
    mine = write_smoke(elsewhere)
    before = StudyGraph(read_study(mine)).tables()
    assert before.seal == []
    printed = grads("seal", mine).stdout
    (number,) = re.findall(r"sealed as ([0-9a-f]{12}): config, \d+ claims", printed)
    content = json.loads(Path("results/smoke/seal.json").read_text())
    assert [one["number"] for one in content["seals"]] == [number]
    after = StudyGraph(read_study(mine)).tables()
    assert after.seal == [Path("results/smoke/seal.json")]
    assert after.settings != before.settings
    assert f"is sealed as {number} since" in grads("seal", mine).stdout


def test_what_has_changed_is_named_and_sealed_again_on_request(grads, elsewhere):
    mine = write_smoke(elsewhere)
    grads("seal", mine)
    write_smoke(elsewhere, seeds=[0, 1, 2])
    said = grads("seal", mine, status=2).stderr
    assert "config (seeds)" in said
    assert said.count("\n") == 1
    grads("seal", mine, "--again")
    assert len(json.loads(Path("results/smoke/seal.json").read_text())["seals"]) == 2


def test_a_study_without_claims_is_told_that_nothing_will_be_judged(grads, elsewhere):
    assert "nothing will be judged" in grads("seal", write_smoke(elsewhere, claims=[])).stdout
