"""What is counted of a study that is not begun: by the config's limits, arms and strategies."""

from pathlib import Path

import pytest
import yaml

from grads.graph.known import kept_of, load_of
from grads.graph.needs import measures
from grads.graph.study import StudyGraph
from grads.graph.work import work_of
from grads.study.grid import cells
from grads.study.reading import parse_study

SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder without results."""
    (tmp_path / "config").symlink_to(Path("config").absolute())
    monkeypatch.chdir(tmp_path)


def with_arm(**arm):
    return parse_study(SMOKE | {"arms": {"a": {"method": "random", "ratios": ["0.5"]} | arm}})


def training(study):
    """Return what the first cell's training takes."""
    cell = cells(study)[0]
    wildcards = {name: str(getattr(cell, name)) for name in ("model", "domain", "arm", "ratio", "seed")}
    return work_of(study, "train", wildcards, lambda _cell: 8).training


def test_a_subset_is_visited_as_often_as_the_epochs_say():
    study = with_arm()
    # 24 records, half of them, in two epochs, eight in a batch.
    assert kept_of(study, cells(study)[0]).records == 12
    assert (training(study).sequences, training(study).batches) == (24, 3)
    assert training(with_arm(ratios=["0.1"])).sequences == 2 * 2


def test_what_is_matched_counts_like_all_records():
    assert training(with_arm(match="steps")).sequences == 48
    tokens = training(with_arm(match="tokens"))
    assert tokens.tokens == pytest.approx(2 * load_of(with_arm(), "tiny", "sums").tokens, rel=0.05)
    assert training(with_arm(method="full_steps")).sequences == 24


def test_general_records_count_next_to_those_of_the_domain():
    assert training(with_arm(strategy="replay")).sequences == 2 * 18


def test_prompts_of_the_test_set_take_the_place_of_the_records():
    tested = SMOKE["splits"]["test"]
    assert training(with_arm(method="full", ratios=[], strategy="tlm")).sequences == 2 * tested


def test_the_pass_that_a_strategy_reads_is_counted():
    study = with_arm(strategy="stm")
    work = work_of(study, "probe_base", {"model": "tiny", "domain": "sums"}, lambda _cell: 8)
    assert work.measuring.sequences == 24
    assert work.measures == tuple(measures(study, "base", "tiny"))
    rules = {rule for rule, _ in StudyGraph(with_arm(), reading=False).calls()}
    assert "probe_base" not in rules


def test_one_pass_serves_all_arms():
    arm = {"method": "grads_density", "ratios": ["0.5"]}
    for arms in ({"a": arm}, {"a": arm, "b": arm | {"parameters": {"rule": "central"}}}):
        study = parse_study(SMOKE | {"arms": arms})
        probes = [rule for rule, _ in StudyGraph(study, reading=False).calls() if rule == "probe_warm"]
        assert len(probes) == len(study.domains) * len(study.seeds)


def test_a_scorer_is_probed_and_trains_no_arm():
    navigator = {"title": "Navigator", "source": {"kind": "tiny", "seed": 1}}
    arms = {"near": {"method": "grads_density", "ratios": ["0.5"], "scorer": "navigator"}}
    calls = StudyGraph(parse_study(SMOKE | {"scorers": {"navigator": navigator}, "arms": arms}), reading=False).calls()
    of = {rule: {one["model"] for name, one in calls if name == rule} for rule in ("probe_warm", "train_warm", "train")}
    assert of == {"probe_warm": {"navigator"}, "train_warm": {"navigator"}, "train": {"tiny"}}


def test_shards_share_the_records_of_a_store():
    study = parse_study(SMOKE | {"probe": {"shards": 4}})
    work = work_of(study, "probe_base", {"model": "tiny", "domain": "sums", "shard": "1"}, lambda _cell: 8)
    assert work.measuring.sequences == 6


def test_answers_are_as_long_as_references_or_as_the_limit():
    study = parse_study(SMOKE)
    cell = {"model": "tiny", "domain": "sums", "arm": "full", "ratio": "1", "seed": "0"}
    tuned = work_of(study, "evaluate", cell, lambda _cell: 8).answering
    untuned = work_of(study, "evaluate_untuned", {"model": "tiny"}, lambda _cell: 8).answering
    assert untuned.tokens == 2 * 8 * 12
    assert untuned.padded == 2 * 8 * 11
    assert 0 < tuned.tokens <= 8 * 12
