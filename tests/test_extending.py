"""docs/extending.md: its package is installed as it is written, and all that it adds does what the page says."""

import dataclasses
import importlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

from grads.cli.main import app
from grads.config.training import Adapter, Training
from grads.data.layouts.registry import REGISTRY as LAYOUTS
from grads.data.records.formatting import Example
from grads.data.records.layouts import to_record
from grads.data.records.record import make_record, write_records
from grads.evaluation.metrics.compute import compute_metrics
from grads.evaluation.metrics.registry import REGISTRY as METRICS
from grads.graph.needs import check_study, measures
from grads.models.load import load_model
from grads.probing.invariance import batch_errors
from grads.probing.measure import measure
from grads.probing.tolerances import SAME, batch_tolerance
from grads.report.registry import FIGURES, TABLES
from grads.runtime import plugins
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json
from grads.selection.contract import Inputs
from grads.selection.registry import REGISTRY as METHODS
from grads.selection.registry import module_of
from grads.signals.measures.registry import REGISTRY as SIGNALS
from grads.signals.measures.registry import check_signals, signal_modules
from grads.signals.names import known_measures
from grads.signals.store import read_store
from grads.study import code
from grads.study.code import code_version
from grads.study.reading import parse_study
from grads.training.strategies.contract import Batch
from grads.training.strategies.contract import Inputs as TrainingInputs
from grads.training.strategies.registry import REGISTRY as STRATEGIES
from tests.training.conftest import cell, same, train
from tests.wheels import install, make_wheel

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`(our_grads/\w+\.py)`:\n\n```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
PROJECT = tomllib.loads(PAGE.partition("```toml\n")[2].partition("```")[0])["project"]
REGISTRIES = {
    "grads.methods": METHODS,
    "grads.signals": SIGNALS,
    "grads.strategies": STRATEGIES,
    "grads.metrics": METRICS,
    "grads.tables": TABLES,
    "grads.figures": FIGURES,
    "grads.layouts": LAYOUTS,
}
EXAMPLES = [
    Example("a", [5, 6, 7, 8, 9], 2),
    Example("b", [5, 6, 7], 1),
    Example("c", [9, 8, 7, 6, 5, 4, 3], 5, earlier=((1, 3),)),
    Example("d", [4, 9, 4, 8], 3),
]


def forget() -> None:
    """Forget what is known of installed packages, as another process would."""
    for known in (plugins.all_plugins, plugins.companions, code._read, code._spec):
        known.cache_clear()
    for registry in REGISTRIES.values():
        registry.__dict__.pop("found", None)
    for name in [name for name in sys.modules if name.split(".")[0] == "our_grads"]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder where the page's package is installed, for all tests of this file."""
    folder = tmp_path_factory.mktemp("our_grads")
    files = {"our_grads/__init__.py": "", **FILES}
    wheel = make_wheel(folder, "our_grads", files, PROJECT["entry-points"], PROJECT["version"])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(install(wheel, folder / "site")))
        forget()
        yield folder / "site"
    forget()


@pytest.fixture(scope="module")
def model(tiny_model_folder: Path) -> torch.nn.Module:
    return load_model(tiny_model_folder, "float32")


def test_every_example_of_the_page_is_installed_and_found() -> None:
    assert PAGE.count("```python") == len(FILES)
    assert set(PROJECT["entry-points"]) == set(REGISTRIES)
    found = {
        f"{registry.module_of(name).replace('.', '/')}.py"
        for registry in REGISTRIES.values()
        for name in registry.all().keys() - registry.own().keys()
    }
    assert found == set(FILES)


def test_a_study_may_ask_for_all_of_them() -> None:
    config = yaml.safe_load((ROOT / "config/smoke.yaml").read_text("utf-8"))
    pieces = [yaml.safe_load(body) for body in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
    arms = {name: arm for piece in pieces for name, arm in piece.get("arms", {}).items()}
    (config["evaluation"]["metrics"],) = (piece["evaluation"]["metrics"] for piece in pieces if "evaluation" in piece)
    more = {"method": "uncertain", "ratios": ["0.5"]}
    focal = more | {"strategy": "focal", "strategy_parameters": {"gamma": 1.0}}
    config["arms"] = {"untuned": {"method": "untuned"}, **arms, "u": more | {"strategy": "openings"}, "f": focal}
    study = parse_study(config)
    check_study(study)
    assert measures(study, "base", "tiny") == ["answer_entropy"]
    with pytest.raises(GradsError, match="gamma"):
        check_study(parse_study(config | {"arms": {"f": focal | {"strategy_parameters": {"gamma": 0.5}}}}))


def test_the_method() -> None:
    method = METHODS.find("shortest")
    pool = pd.DataFrame({"id": list("abcd"), "response_tokens": [9, 2, 4, 5]})
    choice = method.select(Inputs({"tokens": pool}, {}, {}, 2, 0), method.parameters(least_tokens=3))
    assert pool["id"][choice.score.argsort()[::-1]].str.cat() == "cdab"


def by_hand(model: torch.nn.Module, example: Example) -> tuple[float, np.ndarray]:
    """Return mean entropy and mean hidden state of the answer, of a record by itself."""
    with torch.no_grad():
        output = model(input_ids=torch.tensor([example.input_ids]), output_hidden_states=True)
    predictions = output.logits[0].double().log_softmax(-1)[[place - 1 for place in example.response_positions]]
    answer = output.hidden_states[-1][0][example.prompt_tokens :]
    return -(predictions.exp() * predictions).sum(-1).mean().item(), answer.mean(dim=0).numpy()


@pytest.mark.parametrize("others", [set(), {"losses", "el2n"}, {"gradients", "unconditional"}])
def test_the_signals_are_what_they_say(model: torch.nn.Module, others: set[str]) -> None:
    without = measure(model, EXAMPLES, others, 20, 0)
    found = measure(model, EXAMPLES, {"answer_entropy", "answer_hidden"} | others, 20, 0)
    expected = [by_hand(model, example) for example in EXAMPLES]
    np.testing.assert_allclose(found.columns["answer_entropy"], [one for one, _ in expected], rtol=1e-5)
    np.testing.assert_allclose(found.vectors["answer_hidden"], np.stack([two for _, two in expected]), rtol=1e-4)
    assert found.columns["answer_entropy"].std() > 1e-4
    # The others are what they are without them.
    assert without.columns.keys() == found.columns.keys() - {"answer_entropy"} - (
        {"response_nll"} - set(without.columns)
    )
    for name, values in without.columns.items():
        np.testing.assert_allclose(found.columns[name], values, rtol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_tolerance_holds_and_is_that_of_the_declaration(tiny_model_folder: Path, precision: str) -> None:
    one = load_model(tiny_model_folder, precision)
    errors = batch_errors(one, EXAMPLES, {"answer_entropy", "answer_hidden"}, 0)
    limits = {name: batch_tolerance(name, precision) for name in ("answer_entropy", "answer_hidden")}
    assert limits == (
        {"answer_entropy": 0.02, "answer_hidden": 0.03} if precision == "bf16" else dict.fromkeys(limits, SAME)
    )
    assert {name: errors[name] for name in limits if errors[name] > limits[name]} == {}
    exact = measure(load_model(tiny_model_folder, "float32"), EXAMPLES, {"answer_entropy"}, 20, 0)
    found = measure(one, EXAMPLES, {"answer_entropy"}, 20, 0)
    np.testing.assert_allclose(found.columns["answer_entropy"], exact.columns["answer_entropy"], rtol=0.02)


def changed_signal(monkeypatch: pytest.MonkeyPatch, **fields: object) -> None:
    changed = dataclasses.replace(SIGNALS.find("answer_entropy"), **fields)
    monkeypatch.setitem(SIGNALS.found, "answer_entropy", (changed, "our_grads.answer_entropy"))


@pytest.mark.parametrize("column", ["el2n", "response_nll", "head_l2", "id", "hidden", "hidden_norm", "losses"])
def test_a_column_that_is_anothers_is_refused(monkeypatch: pytest.MonkeyPatch, column: str) -> None:
    changed_signal(monkeypatch, column=column)
    with pytest.raises(GradsError, match=rf"'{column}'.*rename"):
        known_measures()


def test_a_signal_gives_a_number_for_each_token(monkeypatch: pytest.MonkeyPatch, model: torch.nn.Module) -> None:
    changed_signal(monkeypatch, of_tokens=lambda predictions: predictions.losses[:-1])
    with pytest.raises(GradsError, match=r"'answer_entropy'.*'of_tokens'"):
        measure(model, EXAMPLES, {"answer_entropy"}, 20, 0)


def test_probabilities_must_be_asked_for(monkeypatch: pytest.MonkeyPatch, model: torch.nn.Module) -> None:
    changed_signal(monkeypatch, errors=False)
    with pytest.raises(ValueError, match="errors=True"):
        measure(model, EXAMPLES, {"answer_entropy"}, 20, 0)


def test_the_code_of_a_signal_counts_where_it_is_measured() -> None:
    check_signals(())
    modules = signal_modules({"answer_entropy", "gradients", "el2n"})
    assert modules == ["our_grads.answer_entropy", "grads.signals.measures.el2n"]
    assert code_version("grads.probing.run", *modules) != code_version("grads.probing.run", modules[1])


def test_a_command_selects_by_method_and_signal(tiny_model_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "train.jsonl"
    rows = [{"instruction": f"What is {n} squared?", "output": f"It is {n**n}."} for n in range(12)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    files = ["--model", tiny_model_folder, "--data", data, "--training", "precision=float32"]
    options = ["--dtype", "float32", "--work", tmp_path / "work"]
    probe = ["probe", *files, *options, "--point", "base", "--signals", "answer_entropy", "--out", tmp_path / "signals"]
    select = [
        "select",
        *files,
        *options,
        "--method",
        "uncertain",
        "--ratio",
        "0.25",
        "--out",
        tmp_path / "subset.jsonl",
    ]
    for command in (probe, select):
        result = CliRunner().invoke(app, list(map(str, command)), catch_exceptions=False)
        assert result.exit_code == 0, result.output
    signals = read_store(tmp_path / "signals").signals
    order = signals.sort_values("answer_entropy", ascending=False)["id"].tolist()
    chosen = [json.loads(line) for line in (tmp_path / "subset.jsonl").read_text("utf-8").splitlines()]
    kept = {make_record(row["instruction"], "", row["output"]).id for row in chosen}
    assert kept == set(order[:3])


def test_openings_are_weighed_and_train_otherwise(tiny_model_folder: Path, tmp_path: Path) -> None:
    strategy = STRATEGIES.find("openings")
    prepared = strategy.prepare({one.id: one for one in EXAMPLES}, TrainingInputs(), strategy.parameters(tokens=2))
    assert prepared.weights == {"a": [1, 1, 0], "b": [1, 1], "c": [1, 1, 0, 0], "d": [1]}
    assert prepared.notes == {"shortened_answers": 2}


def test_the_strategies_train_otherwise_than_plain_training(tiny_model_folder: Path, tmp_path: Path) -> None:
    records = tmp_path / "train.parquet"
    write_records(records, [make_record(f"Define the term {i}.", "", f"meaning number {i}") for i in range(8)])
    training = Training(
        epochs=1, global_batch=4, learning_rate=1.0e-2, max_length=256, precision="float32", adapter=Adapter(rank=2)
    )
    runs = {
        name: cell(tmp_path, records, name, strategy=name, strategy_parameters=given)
        for name, given in {"sft": {}, "focal": {"gamma": 1.0}, "openings": {"tokens": 1000}}.items()
    }
    train(tiny_model_folder, *runs.values(), training=training)
    assert not same(runs["sft"], runs["focal"])
    # All tokens are openings here.
    assert same(runs["sft"], runs["openings"])
    assert read_json(runs["focal"].summary)["steps"] == 2


def test_the_loss_of_focal_is_that_of_its_paper() -> None:
    strategy = STRATEGIES.find("focal")
    torch.manual_seed(0)
    logits = torch.randn(5, 11, requires_grad=True)
    labels = torch.tensor([1, 4, 4, 0, 10])
    places = torch.arange(5)
    batch = Batch(labels[None], torch.zeros(5, dtype=torch.long), places, labels, torch.ones(5), logits)
    found = strategy.loss(batch, None, strategy.parameters(gamma=2.0))
    p = logits.softmax(-1)[places, labels]
    torch.testing.assert_close(found, -((1 - p) ** 2) * p.log())
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0


def test_the_metric(tmp_path: Path) -> None:
    rows = [
        {"reference": "Yes, it is.", "prediction": "Yes, sir"},
        {"reference": "No.", "prediction": "Yes"},
        {"reference": "Two", "prediction": ""},
        {"reference": "Two", "references": ["2 of them"], "prediction": "2"},
    ]
    path = tmp_path / "predictions.jsonl"
    path.write_text("".join(json.dumps(row | {"new_tokens": 1, "capped": False}) + "\n" for row in rows))
    compute_metrics(path, ["first_word"], tmp_path / "metrics.json")
    found = read_json(tmp_path / "metrics.json")["first_word"]
    assert found["value"] == 0.5
    assert found["items"] == [1.0, 0.0, 0.0, 1.0]


def test_the_layout() -> None:
    row = {"query": "And now?", "response": "Snow.", "history": [["Then?", "Rain."]]}
    chat = [("user", "Then?"), ("assistant", "Rain."), ("user", "And now?"), ("assistant", "Snow.")]
    same_record = to_record({"messages": [{"role": role, "content": text} for role, text in chat]}, "here")
    assert to_record(row, "here") == same_record


def test_modules_name_what_is_theirs() -> None:
    assert module_of("uncertain") == "our_grads.uncertain"
