"""Seals: what they hold, what has changed since, and which cells came before."""

import json
import time

import pytest

from grads.report import seal as seals
from grads.report.measurements import collect
from grads.report.seal import changes, evaluated_before, read_seals, seal_again, seal_notes, seal_of
from grads.report.statistics.estimates import Estimates
from grads.report.tables.claims import TABLE
from grads.runtime.errors import GradsError
from grads.runtime.files import write_json
from grads.runtime.manifest import write_manifests
from grads.study.grid import cells
from grads.study.paths import Paths
from grads.study.reading import parse_study

CLAIMS = [{"claim": "random@0.5 beats full on meteor", "margin": 1.0}, {"claim": "random@0.5 beats full on bleu"}]


@pytest.fixture
def study(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return parse_study(config | {"claims": CLAIMS})


def test_a_seal_is_known_by_its_content_and_not_by_how_the_study_is_labelled(study, config, monkeypatch):
    first = seal_of(study)
    assert changes(first, seal_of(parse_study(config | {"claims": CLAIMS, "label": "Another label."}))) == []
    (more,) = changes(first, seal_of(parse_study(config | {"claims": CLAIMS, "seeds": [0, 1]})))
    assert more == "config (seeds)"
    epochs = config | {"claims": CLAIMS, "training": {"epochs": 5}}
    assert changes(first, seal_of(parse_study(epochs))) == ["config (training)"]
    assert changes(seal_of(parse_study(epochs)), seal_of(parse_study(epochs | {"training": {"epochs": 6}}))) == [
        "config (training.epochs)"
    ]
    wider = [CLAIMS[0] | {"margin": 2.0}, CLAIMS[1]]
    assert changes(first, seal_of(parse_study(config | {"claims": wider}))) == [
        "claims (now other or gone: random@0.5 beats full on meteor)",
        "claims (new: random@0.5 beats full on meteor)",
    ]


def test_what_is_compared_counts_where_it_is_the_default(study, config):
    """Of another version of grads, whose default arms, say, are others."""
    short = {key: value for key, value in config.items() if key not in ("arms", "seeds")}
    first = seal_of(parse_study(short))
    assert first.config["seeds"] == [0, 1, 2]
    assert {"full", "random", "grads"} <= set(first.config["arms"])
    assert changes(first, seal_of(parse_study(short | {"seeds": [3]}))) == ["config (seeds)"]
    assert changes(first, seal_of(parse_study(short | {"seeds": [0, 1, 2]}))) == []


def test_claims_count_wherever_they_are_written(study, config, tmp_path):
    (tmp_path / "claims.yaml").write_text(json.dumps(CLAIMS))
    assert changes(seal_of(study), seal_of(parse_study(config | {"claims": "claims.yaml"}))) == []


def test_the_code_that_judges_is_sealed_and_that_which_prints_is_not(study, monkeypatch):
    first = seal_of(study)
    assert {"grads.report.statistics.verdicts", "grads.report.building.judging"} <= set(first.statistics)
    assert "grads.evaluation.metrics.meteor" in first.statistics
    assert not [name for name in first.statistics if name.startswith(("grads.report.rendering", "grads.config"))]
    versions = seals.module_versions
    other = {"grads.report.statistics.verdicts": "0" * 64}
    monkeypatch.setattr(seals, "module_versions", lambda *names: versions(*names) | other)
    assert changes(first, seal_of(study)) == ["code of the statistics (grads.report.statistics.verdicts)"]


def test_a_study_is_sealed_once_and_again_only_where_that_is_asked_for(study, config):
    first, new = seal_again(study, again=False)
    assert new
    assert seal_again(study, again=False) == (first, False)
    changed = parse_study(config | {"claims": CLAIMS, "seeds": [0, 1]})
    with pytest.raises(GradsError, match=rf"as {first.number}, and has changed since: config \(seeds\): .* --again"):
        seal_again(changed, again=False)
    second, _ = seal_again(changed, again=True)
    assert read_seals(study) == [first, second]
    assert "It is seal 2" in seal_notes(changed)[1]
    assert "config (seeds)" in seal_notes(changed)[1]


def test_an_edited_seal_is_refused(study):
    seal_again(study, again=False)
    path = Paths(study.study).seal
    content = json.loads(path.read_text())
    content["seals"][0]["sealed"] = "2020-01-01T00:00:00+0000"
    write_json(path, content)
    with pytest.raises(GradsError, match=r"seal\.json is damaged \(seal .* is not as it was written\)"):
        read_seals(study)


def evaluate(study, cell, seconds_ago):
    """Leave what an evaluation leaves that began so many seconds ago and took no time."""
    path = Paths(study.study).run(cell) / "predictions.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    write_manifests([path], {}, {}, time.time() - seconds_ago)


def test_cells_that_were_evaluated_before_are_counted(study):
    first, second, *_ = cells(study)
    evaluate(study, first, seconds_ago=60)
    seal, _ = seal_again(study, again=False)
    evaluate(study, second, seconds_ago=0)
    assert evaluated_before(study, seal) == [first]
    assert f"after 1 of {len(cells(study))} cells had begun" in seal_notes(study)[0]


def test_the_table_of_claims_says_what_its_seal_is_worth(study, config, make_cells):
    estimates = Estimates(collect(study, make_cells(study)))
    assert TABLE.build(study, estimates).notes[-1] == seals.NONE
    seal, _ = seal_again(study, again=False)
    note = TABLE.build(study, estimates).notes[-1]
    assert note == f"Sealed {seal.sealed} as {seal.number}, before any cell was evaluated."
    fewer = parse_study(config | {"claims": CLAIMS[:1]})
    assert TABLE.build(fewer, estimates).notes[-1].startswith("Changed since it was sealed: claims (now other or gone")
