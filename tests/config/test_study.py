"""The config model: its limits, its defaults, and what it refuses to guess."""

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from grads.config import arms, claims, domains, evaluation, general, models, probe, sources, study, training
from grads.config.domains import Splits
from grads.config.evaluation import Evaluation, Generation
from grads.config.general import GeneralText, Task
from grads.config.models import Model
from grads.config.probe import Probe
from grads.config.section import Section
from grads.config.sources import HubDataSource, HubSource, TinySource
from grads.config.study import Study
from grads.config.training import Adapter, Training

SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))
FILE = {"kind": "file", "path": "x"}
TASK = {"title": "T", "yaml": "t.yaml", "data": FILE, "sample": 1, "chance": 0.25}
SPLITS = {"validation": 0, "test": 1}
# Of each key the values on either side of its limit: the last that is taken, the first that is not.
LIMITS = [
    (Training, {}, "epochs", 1, 0),
    (Training, {}, "global_batch", 1, 0),
    (Training, {}, "learning_rate", 1e-30, 0.0),
    (Training, {}, "warmup", 0.0, -0.001),
    (Training, {}, "warmup", 0.999, 1.0),
    (Training, {}, "weight_decay", 0.0, -0.1),
    (Training, {}, "max_grad_norm", 1e-9, 0.0),
    (Training, {}, "max_length", 8, 7),
    (Adapter, {}, "rank", 1, 0),
    (Adapter, {}, "alpha", 1e-9, 0.0),
    (Adapter, {}, "dropout", 0.999, 1.0),
    (Adapter, {}, "dropout", 0.0, -0.1),
    (Probe, {}, "token_budget", 1, 0),
    (Generation, {}, "max_new_tokens", 1, 0),
    (Evaluation, {}, "token_budget", 1, 0),
    (Evaluation, {}, "task_batch", 1, 0),
    (Splits, SPLITS, "train", 1, 0),
    (Splits, SPLITS, "validation", 0, -1),
    (Splits, SPLITS, "test", 1, 0),
    (Task, TASK, "sample", 1, 0),
    (Task, TASK, "chance", 0.0, -0.1),
    (Task, TASK, "chance", 0.999, 1.0),
    (GeneralText, {"source": FILE}, "sample", 1, 0),
    (GeneralText, {"source": FILE}, "max_tokens", 8, 7),
    (TinySource, {"kind": "tiny"}, "layers", 1, 0),
    (TinySource, {"kind": "tiny"}, "width", 8, 0),
    (TinySource, {"kind": "tiny"}, "width", 16, 12),
]


@pytest.mark.parametrize(("section", "others", "key", "taken", "refused"), LIMITS)
def test_limits(section, others, key, taken, refused):
    assert getattr(section(**others | {key: taken}), key) == taken
    with pytest.raises(ValidationError) as caught:
        section(**others | {key: refused})
    assert {error["loc"][-1] for error in caught.value.errors()} == {key}


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (Training, "epochs", "2"),
        (Training, "epochs", 2.0),
        (Training, "epochs", True),
        (Training, "learning_rate", "2e-4"),
        (Training, "learning_rate", float("nan")),
        (Training, "weight_decay", float("inf")),
        (Training, "precision", "fp16"),
        (Training, "over_length", "cut"),
        (Adapter, "targets", "q_proj"),
        (Adapter, "targets", ["q_proj", 1]),
        (Evaluation, "metrics", [1]),
        (Evaluation, "metrics", "bleu"),
    ],
)
def test_nothing_is_guessed(section, key, value):
    with pytest.raises(ValidationError):
        section(**{key: value})


def sections():
    modules = (arms, claims, domains, evaluation, general, models, probe, sources, study, training)
    found = {one for module in modules for one in vars(module).values() if isinstance(one, type)}
    return sorted((one for one in found if issubclass(one, Section)), key=lambda one: one.__name__)


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_every_section_refuses_unknown_keys_and_does_not_change(section):
    with pytest.raises(ValidationError) as caught:
        section(surprise=1)
    assert ("surprise",) in {error["loc"] for error in caught.value.errors() if error["type"] == "extra_forbidden"}
    assert section.model_config["frozen"]


@pytest.mark.parametrize("name", ["a", "0", "law-2", "smollm2_135m", "a" * 64])
def test_names_that_are_folders(name):
    config = copy.deepcopy(SMOKE)
    config["domains"][name] = SMOKE["domains"]["sums"] | {"title": "Another"}
    assert name in Study.model_validate(config).domains


@pytest.mark.parametrize("name", ["", "-a", "_a", "A", "a.b", "a b", "a/b", "..", "a" * 65, "é", "a\n"])
def test_names_that_are_none(name):
    config = copy.deepcopy(SMOKE)
    config["models"][name] = SMOKE["models"]["tiny"]
    with pytest.raises(ValidationError):
        Study.model_validate(config)


@pytest.mark.parametrize(
    ("id_", "valid"),
    [("gpt2", True), ("owner/name", True), ("Qwen/Qwen3-0.6B", True), ("a/b/c", False), ("/b", False), ("a/", False),
     ("", False), ("https://hub/a", False), ("a b", False)],
)  # fmt: skip
def test_repositories_of_the_hub(id_, valid):
    if valid:
        assert HubSource(kind="hub", id=id_, revision="main").id == id_
    else:
        with pytest.raises(ValidationError):
            HubSource(kind="hub", id=id_, revision="main")


def test_a_revision_is_never_left_out():
    for wrong in ({}, {"revision": ""}):
        with pytest.raises(ValidationError):
            HubSource(kind="hub", id="a/b", **wrong)
    # A study may be planned without one; nothing is fetched then.
    assert HubSource(kind="hub", id="a/b", revision=None).revision is None
    assert HubDataSource(kind="hub", id="a/b", revision="v1").split == "train"


@given(st.sampled_from(["file", "pypi", "hub", "tiny", "glossary", "Hub", ""]))
def test_the_kind_of_a_source_decides_its_keys(kind):
    given_keys = {"file": FILE, "tiny": {"kind": "tiny"}, "hub": {"kind": "hub", "id": "a/b", "revision": "v"}}
    given_keys["pypi"] = {"kind": "pypi", "archive": "a", "member": "m"}
    source = given_keys.get(kind, {"kind": kind})
    if kind in given_keys:
        assert Model(title="M", source=source).source.kind == kind
        with pytest.raises(ValidationError):
            Model(title="M", source=source | {"topics": []})
    else:
        with pytest.raises(ValidationError):
            Model(title="M", source=source)


def test_a_study_comes_back_from_its_own_dump():
    study = Study.model_validate(SMOKE)
    assert Study.model_validate(study.model_dump()) == study
    assert Study.model_validate_json(study.model_dump_json()) == study


@pytest.mark.parametrize("section", ["models", "domains", "arms", "seeds"])
def test_a_study_of_nothing_is_refused(section):
    config = copy.deepcopy(SMOKE)
    config[section] = [] if section == "seeds" else {}
    with pytest.raises(ValidationError) as caught:
        Study.model_validate(config)
    assert caught.value.errors()[0]["loc"] == (section,)


def test_defaults_are_those_that_the_methods_page_and_papers_rely_on():
    training = Training()
    assert (training.weights, training.epochs, training.global_batch, training.over_length) == ("lora", 2, 8, "drop")
    assert (training.adapter.rank, training.adapter.alpha, training.adapter.targets) == (16, 32.0, "all-linear")
    study = Study.model_validate(SMOKE)
    assert study.overlap == "report"
    assert study.splits.seed == study.general.seed == 0
    assert study.arms["grads"].start == "base"
