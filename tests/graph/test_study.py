"""The graph of a study: each file has one maker, and what a rule asks for is what its job is."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from grads.config.yaml_file import read_yaml
from grads.graph.job import GradientsDuring, PreliminaryEpoch
from grads.graph.known import load_of
from grads.graph.study import StudyGraph
from grads.graph.work import training_work
from grads.study.grid import Cell
from grads.study.job import Job
from grads.study.paths import warm_cell
from grads.study.reading import parse_study, read_study
from tests.test_repository import rules_with_devices

SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))
CONFIGS = [str(path) for path in sorted(Path("config").glob("*.yaml"))]
SKILL = {"source": {"kind": "file", "path": "config/smoke/sums.jsonl"}, "records": 4}


def graph_of(**changes):
    return StudyGraph(parse_study(copy.deepcopy(SMOKE) | changes))


@pytest.fixture(scope="module", params=CONFIGS)
def graph(request):
    return StudyGraph(read_study(request.param), read_yaml(request.param), reading=False)


def test_every_file_has_one_maker_that_comes_before_its_readers(graph):
    made: set[Path] = set()
    for job in graph.in_order():
        missing = set(job.read_paths) - made
        assert not missing, f"{job.rule} reads {missing}"
        assert not made & set(job.outputs), job.rule
        made |= set(job.outputs)
    assert len(graph.in_order()) == len(list(graph.jobs()))


def test_every_job_has_a_log_of_its_own(graph):
    logs = [job.log for job in graph.jobs()]
    assert len(set(logs)) == len(logs)
    assert Path() not in logs


def test_every_cell_is_reached_from_what_comes_from_outside(graph):
    for cell in graph.cells[:: max(1, len(graph.cells) // 20)]:
        rules = {job.rule for job in graph.on_the_way(cell)}
        assert {"prepare_domains", "prepare_general", "metrics"} <= rules
        assert {"prepare_model", "teach_model"} & rules == {
            "teach_model" if cell.model in graph.study.skills else "prepare_model"
        }
        assert ("train" in rules) == cell.trained


def test_rules_ask_for_a_device_where_their_jobs_compute_on_one():
    rules = rules_with_devices()
    asked = {
        "probe": SMOKE.get("probe", {}) | {"shards": 2},
        "models": SMOKE["models"] | {"taught": {**SMOKE["models"]["tiny"], "title": "Taught", "taught": SKILL}},
        "encoders": {"mini": {"title": "Mini", "source": {"kind": "file", "path": "mini"}}},
        "evaluation": SMOKE["evaluation"] | {"cross_domain": True},
    }
    found = {job.rule: job.device for job in StudyGraph(parse_study(SMOKE | asked), reading=False).jobs()}
    assert len(found) > 15
    assert found == {name: rules[name] for name in found}


@pytest.fixture(scope="module")
def train() -> Job:
    return graph_of().job("train", {"model": "tiny", "domain": "sums", "arm": "grads", "ratio": "0.5", "seed": "0"})


def test_a_field_that_is_not_there_and_one_that_is_missing_are_refused(train):
    """A job whose field was renamed in one place only cannot fall back to a default."""
    given = train.model_dump()
    with pytest.raises(ValidationError, match="extra_forbidden"):
        type(train).model_validate(given | {"strategy_name": "sft"})
    for name in ("model", "records", "order_seed", "training", "trained"):
        with pytest.raises(ValidationError, match="missing"):
            type(train).model_validate({key: value for key, value in given.items() if key != name})


def test_settings_hold_what_shapes_the_result_and_nothing_else(train):
    assert {"strategy", "match", "training", "initialisation_seed", "code", "contents"} <= train.settings.keys()
    assert not {"label", "scratch", "log", "records", "trained"} & train.settings.keys()
    assert list(train.settings) == type(train).setting_names()
    assert train.changed(label="x").settings == train.settings
    assert train.changed(match="steps").settings == train.settings | {"match": "steps"}


def test_what_is_measured_later_does_not_train_the_preliminary_epoch_again():
    named = {"model": "tiny", "domain": "sums", "seed": "0"}
    late = {"method": "el2n", "ratios": [0.5], "parameters": {"point": "warm"}}
    more = SMOKE["arms"] | {"el2n": late}
    one, other = (graph_of(arms=arms).job("train_warm", named) for arms in (SMOKE["arms"], more))
    assert isinstance(one, PreliminaryEpoch)
    assert isinstance(other, PreliminaryEpoch)
    assert one.measures != other.measures
    assert one.settings == other.settings


def test_arms_share_all_that_they_do_not_choose_themselves():
    cells = {
        arm: {"model": "tiny", "domain": "sums", "arm": arm, "ratio": "0.5", "seed": "0"} for arm in ("grads", "random")
    }
    jobs = [graph_of().job("train", named) for named in cells.values()]
    first, second = (job.settings for job in jobs)
    assert first == second


def test_a_job_is_made_once():
    graph = graph_of()
    assert graph.job("tables", {}) is graph.job("tables", {})
    assert graph.maker_of(graph.paths.root / "tables/main.csv") is graph.job("tables", {})
    assert graph.maker_of(Path("config/smoke/sums.jsonl")) is None


def test_files_from_outside_are_known_by_content_where_they_are_read():
    known = graph_of().job("prepare_domains", {}).contents
    assert set(known) == {"config/smoke/sums.jsonl", "config/smoke/plurals.jsonl"}
    unread = StudyGraph(parse_study(SMOKE), reading=False)
    assert unread.job("prepare_domains", {}).contents == {}


def test_gradients_during_the_epoch_are_of_the_epoch_itself():
    arms = SMOKE["arms"] | {"early": {"method": "grads", "ratios": [0.5], "parameters": {"point": "during"}}}
    graph = graph_of(arms=arms)
    named = {"model": "tiny", "domain": "sums", "seed": "0"}
    during, epoch = graph.job("train_during", named), graph.job("train_warm", named)
    assert isinstance(during, GradientsDuring)
    same = ("model", "records", "training", "epochs", "initialisation_seed", "order_seed", "form")
    assert all(getattr(during, name) == getattr(epoch, name) for name in same)
    assert during in graph.on_the_way(Cell("tiny", "sums", "early", "0.5", 0))


def test_a_warm_up_makes_both_stores_of_the_arm_that_reads_them():
    arms = SMOKE["arms"] | {"less": {"method": "less", "ratios": [0.5], "parameters": {"point": "warmup"}}}
    graph = graph_of(arms=arms, probe=SMOKE.get("probe", {}) | {"warmup": {"share": 0.25, "epochs": 3}})
    named = {"model": "tiny", "domain": "sums", "seed": "0"}
    warmup = graph.job("train_warmup", named)
    assert warmup in graph.on_the_way(Cell("tiny", "sums", "less", "0.5", 0))
    assert warmup.epochs == 3
    assert warmup.probe["warmup"] == {"share": 0.25, "epochs": 3}
    select = graph.job("select", {**named, "arm": "less", "ratio": "0.5"})
    assert {name: path for name, path in select.stores.items() if name != "tokens"} == {
        "warmup": warmup.store,
        "warmup-validation": warmup.targets,
    }
    # No other arm waits for it.
    assert warmup not in graph.on_the_way(Cell("tiny", "sums", "grads", "0.5", 0))


def test_a_warm_up_is_counted_with_all_that_its_checkpoints_read():
    arms = SMOKE["arms"] | {"less": {"method": "less", "ratios": [0.5], "parameters": {"point": "warmup"}}}
    study = parse_study(SMOKE | {"arms": arms, "probe": SMOKE.get("probe", {}) | {"warmup": {"share": 0.25}}})
    cell = replace(warm_cell("tiny", "sums", 0), arm="warmup")
    work = training_work(study, cell, 8)
    records = {split: load_of(study, "tiny", "sums", split).records for split in ("train", "validation")}
    assert work.measuring.sequences == 4 * sum(records.values())
    assert work.training.sequences == 4 * round(0.25 * records["train"])
    assert work.measures == ("adam_features",)
