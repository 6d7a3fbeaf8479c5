"""The probe's stages on a tiny prepared model, from Parquet records to stores."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from grads.config.features import Features
from grads.config.models import Format
from grads.config.probe import Probe
from grads.config.training import Adapter, Training
from grads.data.records.formatting import Formatter
from grads.data.records.record import Record, make_record, write_records
from grads.models.adapter import fresh_adapter
from grads.models.load import load_model, load_tokenizer
from grads.probing import run as module
from grads.probing.gradients.passes import Pass
from grads.probing.measure import measure
from grads.probing.run import Task, check_probe, probe_model, probe_tokens
from grads.runtime.errors import GradsError
from grads.signals.columns import columns
from grads.signals.store import read_store

RECORDS = [
    make_record(f"Define the word {word}.", "", f"It is {word} and {word[::-1]}.") for word in ("ox", "law", "tree")
]
FORM, PROBE = Format(), Probe(token_budget=200, precision="float32")
MORE = ["adapter", "gradients", "mean_abs", "sgd_features"]


@pytest.fixture
def records_path(tmp_path: Path) -> Path:
    too_long = make_record("Define the word sea.", "", "water " * 100)
    write_records(tmp_path / "train.parquet", [*RECORDS, too_long])
    return tmp_path / "train.parquet"


@pytest.fixture
def adapter_folder(tmp_path: Path, tiny_model_folder: Path, with_adapter: Callable[[nn.Module], nn.Module]) -> Path:
    with_adapter(load_model(tiny_model_folder, "float32")).save_pretrained(str(tmp_path / "adapter"))
    return tmp_path / "adapter"


def ids(records: list[Record]) -> list[str]:
    return [record.id for record in records]


@pytest.fixture
def task(tiny_model_folder: Path, records_path: Path, tmp_path: Path) -> Callable[..., Task]:
    """Make a task on the tiny model, whose store lies in a folder of the given name."""

    def make(name: str, **changes: Any) -> Task:
        files = {"model": tiny_model_folder, "records": records_path, "out": tmp_path / name}
        given = {"form": FORM, "training": Training(max_length=200), "probe": PROBE, "point": "base", "label": name}
        return Task(**files | given | {"scratch": tmp_path / "scratch" / name, "measures": ["hidden"]} | changes)

    return make


def test_tokens_are_the_eligible_records(task: Callable[..., Task]) -> None:
    one = task("tokens")
    probe_tokens(one)
    store = read_store(one.out)
    assert store.signals["id"].tolist() == ids(RECORDS)
    assert (store.meta["point"], store.meta["records"], store.meta["over_length"]) == ("tokens", 3, 1)
    # Byte-level tokens: the answer's characters and the end-of-turn token.
    assert store.signals["response_tokens"].tolist() == [len(record.output) + 1 for record in RECORDS]
    assert store.features == {}


def test_held_out_records_that_do_not_fit_are_counted(
    task: Callable[..., Task], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long_prompt = make_record("Q" * 300, "", "A")
    long_answer = make_record("Q", "", "A" * 300)
    fitting = make_record("Q", "", "A")
    for split, records in {"validation": [fitting, long_answer], "test": [fitting, long_answer, long_prompt]}.items():
        write_records(tmp_path / f"{split}.parquet", records)
    held_out = {split: tmp_path / f"{split}.parquet" for split in ("validation", "test")}
    one = task("tokens", held_out=held_out)
    probe_tokens(one)
    assert read_store(one.out).meta["lengths"] == {
        "train": {"records": 4, "too_long": 1, "truncated": 0},
        "validation": {"records": 2, "too_long": 1, "truncated": 0},
        # A long answer is no hindrance to a question.
        "test": {"records": 3, "too_long": 1, "truncated": 1},
    }
    said = capsys.readouterr().err
    for part in ("200 tokens", "1 of 4 training", "1 of 2 validation", "1 of 3 test"):
        assert part in said
    write_records(held_out["test"], [long_prompt])
    with pytest.raises(GradsError, match=r"test\.parquet: none of 1 test prompts fits into training\.max_length = 200"):
        probe_tokens(one)
    write_records(held_out["test"], [fitting])
    with pytest.raises(GradsError, match=r"test\.parquet: the longest test prompt .* room for 1024: lower max_new_t"):
        probe_tokens(dataclasses.replace(one, answer_tokens=1020))


def test_truncated_records_are_marked(task: Callable[..., Task]) -> None:
    one = task("tokens", training=Training(max_length=200, over_length="truncate"))
    probe_tokens(one)
    store = read_store(one.out)
    assert store.signals["truncated"].tolist() == [False, False, False, True]
    assert store.meta["truncated"] == 1


def test_base_has_a_vector_a_record(task: Callable[..., Task], capsys: pytest.CaptureFixture[str]) -> None:
    one = task("base of tiny")
    probe_model(one)
    store = read_store(one.out)
    assert store.signals["id"].tolist() == ids(RECORDS)
    assert store.features["hidden"].shape == (3, 32)
    assert len(np.unique(store.features["hidden"], axis=0)) == 3
    assert "base of tiny: 3/3 records" in capsys.readouterr().err
    assert not one.scratch.exists()


def test_base_measures_gradients_only_where_they_are_asked_for(
    task: Callable[..., Task], tiny_model_folder: Path
) -> None:
    training, stores = Training(max_length=200, adapter=Adapter(rank=2)), {}
    for name, measures in (("plain", ["hidden"]), ("both", ["gradients", "hidden"]), ("adapter", MORE)):
        one = task(name, training=training, measures=measures, adapter_seed=3)
        probe_model(one)
        stores[name] = read_store(one.out)
    assert list(stores["plain"].signals.columns)[4:] == ["hidden_norm"]
    assert list(stores["both"].signals.columns)[4:] == [*columns(["gradients"]), "hidden_norm"]
    assert list(stores["adapter"].signals.columns)[4:] == [*columns(MORE), "sgd_features_norm"]
    assert list(stores["adapter"].features) == ["sgd_features"]
    assert [stores[name].meta["gradient_passes"] for name in stores] == [0, 1, 1]
    parameters = sum(one.numel() for one in load_model(tiny_model_folder, "float32").parameters())
    operations = [stores[name].meta["flops"] / (parameters * stores[name].meta["tokens"]) for name in stores]
    assert operations == [2, 4, 4]
    both, plain = (np.asarray(stores[name].features["hidden"]) for name in ("both", "plain"))
    np.testing.assert_allclose(both, plain, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(stores["adapter"].signals["head_l2"], stores["both"].signals["head_l2"], rtol=1e-5)
    assert stores["adapter"].meta["adapter"].startswith("B only")
    # The adapter is the one that training with the seed begins with.
    torch.manual_seed(0)
    model = fresh_adapter(load_model(tiny_model_folder, "float32"), training.adapter, 3)
    examples = [Formatter(load_tokenizer(tiny_model_folder), FORM).example(record) for record in RECORDS]
    expected = measure(model, examples, MORE, 10_000, 0)
    np.testing.assert_allclose(stores["adapter"].signals["adapter_l2"], expected.columns["adapter_l2"], rtol=1e-4)
    vectors = expected.vectors["sgd_features"]
    largest = np.abs(vectors).max()
    np.testing.assert_allclose(stores["adapter"].features["sgd_features"], vectors, rtol=1e-3, atol=1e-4 * largest)


def test_warm_measures_the_trained_model(
    task: Callable[..., Task], tiny_model_folder: Path, adapter_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = task("warm probe", point="warm", trained=adapter_folder, measures=["gradients", "token_losses"])
    probe_model(one)
    store = read_store(one.out)
    assert list(store.signals.columns)[4:] == list(columns(["gradients"]))
    tokenizer = load_tokenizer(tiny_model_folder)
    examples = [Formatter(tokenizer, FORM).example(record) for record in RECORDS]
    for trained, equal in ((adapter_folder, True), (None, False)):
        model = load_model(tiny_model_folder, "float32", trained)
        expected = measure(model, examples, ["gradients"], 10_000, tokenizer.pad_token_id).columns
        assert np.allclose(expected["head_l2"], store.signals["head_l2"], rtol=1e-4) == equal
    assert [len(losses) for losses in store.token_losses()] == store.signals["response_tokens"].tolist()
    means = [losses.mean() for losses in store.token_losses()]
    np.testing.assert_allclose(means, store.signals["response_nll"], rtol=1e-5)
    assert (store.meta["point"], store.meta["precision"]) == ("warm", "float32")
    assert "warm probe: 3/3 records" in capsys.readouterr().err


def test_the_hash_of_a_store_is_that_of_what_shaped_it(
    task: Callable[..., Task], adapter_folder: Path, tmp_path: Path
) -> None:
    write_records(tmp_path / "fewer.parquet", RECORDS[:2])
    changes: dict[str, dict[str, Any]] = {
        "measures": {"measures": ["embeddings"]},
        "length": {"training": Training(max_length=201)},
        "format": {"form": Format(template="plain")},
        "records": {"records": tmp_path / "fewer.parquet"},
        "weights": {"trained": adapter_folder},
        "precision": {"probe": PROBE.model_copy(update={"precision": "bf16"})},
        "same": {"probe": PROBE.model_copy(update={"token_budget": 64, "shards": 3})},
        "plain": {},
    }
    keys = {}
    for name, change in changes.items():
        one = task(name, **change)
        probe_model(one)
        keys[name] = read_store(one.out).meta["key"]
    assert keys["same"] == keys["plain"]
    assert len(set(keys.values())) == len(changes) - 1


def test_what_the_model_cannot_do_is_one_sentence(task: Callable[..., Task], tiny_model_folder: Path) -> None:
    with pytest.raises(GradsError, match=r"probe\.hidden_layer is 7, and the model has 2 layers"):
        probe_model(task("a", probe=Probe(hidden_layer=7), measures=["layer_hidden"]))
    long = Training(max_length=5000)
    write_records(task("b").records, [make_record("Define the word sea.", "", "water " * 700)])
    with pytest.raises(
        GradsError, match=r"record \w+ has \d{4} tokens and the model's context \d+: set training\.max_l"
    ):
        probe_model(task("b", training=long))


@pytest.mark.parametrize("nonfinite", ["stop", "skip"])
def test_a_record_without_finite_signals_stops_or_is_left_out(
    nonfinite: str, task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = Pass.measure

    def wrong(self: Pass, examples: Any) -> Any:
        found = original(self, examples)
        found.columns["head_l2"][[example.id == RECORDS[1].id for example in examples]] = np.inf
        return found

    monkeypatch.setattr(Pass, "measure", wrong)
    one = task("base", measures=["gradients"], probe=PROBE.model_copy(update={"nonfinite": nonfinite}))
    if nonfinite == "stop":
        with pytest.raises(
            GradsError, match=rf"record {RECORDS[1].id} has head_l2 = inf, .* probe\.nonfinite to 'skip'"
        ):
            probe_model(one)
        assert not one.out.exists()
        return
    probe_model(one)
    store = read_store(one.out)
    assert store.signals["id"].tolist() == [RECORDS[0].id, RECORDS[2].id]
    assert store.left_out == store.meta["left_out"] == [RECORDS[1].id]
    assert f"left out, for a signal is no finite number: {RECORDS[1].id}" in capsys.readouterr().err


def test_no_eligible_record_is_an_error(task: Callable[..., Task]) -> None:
    for probe in (probe_tokens, probe_model):
        one = task("none", training=Training(max_length=8))
        with pytest.raises(GradsError, match=r"none of 4 records fits into training\.max_length = 8"):
            probe(one)
        assert not one.out.exists()


def test_what_lowered_the_budget_is_in_the_store_also_after_a_stop(
    task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = Pass.measure, []

    def scarce(self: Pass, examples: Any) -> Any:
        calls.append(len(examples))
        if len(examples) > 1:
            raise MemoryError
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, examples)

    monkeypatch.setattr(Pass, "measure", scarce)
    one = task("base", measures=["gradients"], probe=PROBE.model_copy(update={"token_budget": 400}))
    with pytest.raises(KeyboardInterrupt):
        probe_model(one)
    probe_model(one)
    meta = read_store(one.out).meta
    lowered = [(entry["before"], entry["token_budget"], entry["reason"]) for entry in meta["deviations"]]
    assert lowered[0][0] == meta["token_budget"] == 400
    assert [after for _, after, _ in lowered[:-1]] == [before for before, _, _ in lowered[1:]]
    assert {reason for _, _, reason in lowered} == {"memory ran out"}


@pytest.mark.parametrize("choice", ["auto", "always", "never"])
def test_the_size_of_the_whole_job_decides_whether_it_is_compiled(
    choice: str, task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, compiled = [], []
    monkeypatch.setattr(module, "worth_compiling", lambda _model, *rest: asked.append(rest) or choice == "always")
    original = Pass.__init__

    def note(self: Pass, *arguments: Any, **options: Any) -> None:
        compiled.append(options["compiled"])
        original(self, *arguments, **options | {"compiled": False})

    monkeypatch.setattr(Pass, "__init__", note)
    for shard in ((0, 1), (0, 2)):
        probe = PROBE.model_copy(update={"compile": choice})
        probe_model(task("base", measures=["gradients"], probe=probe, shard=shard))
    tokens = read_store(task("base").out).meta["tokens"]
    assert compiled == [choice == "always"] * 2
    assert {one for _, one in asked} == {choice}
    # A shard counts as many tokens as there are in all, about.
    assert asked[1][0] == 2 * tokens


def test_a_probe_that_could_not_be_made_is_refused_before_a_model_is_trained_for_it(
    task: Callable[..., Task],
) -> None:
    check_probe(task("a", measures=["gradients", "adapter", "adam_features"]))
    dense, between = ({"features": Features(projection="dense", dimension=width)} for width in (4096, 256))
    check_probe(task("a", probe=PROBE.model_copy(update=between), measures=["adam_features"]))
    for wrong, sentence in (
        ({"probe": PROBE.model_copy(update={"hidden_layer": 7})}, "hidden_layer is 7"),
        ({"probe": PROBE.model_copy(update=dense), "measures": ["adam_features"]}, "allow_costly"),
        # Of both forms, the projection costs twice as much.
        ({"probe": PROBE.model_copy(update=between), "measures": ["adam_features", "sgd_features"]}, "allow_costly"),
        ({"measures": ["weights"]}, "weights_l2 is of all weights"),
        ({"training": Training(max_length=8)}, "none of 4 records fits"),
    ):
        with pytest.raises(GradsError, match=sentence):
            check_probe(task("a", **wrong))
