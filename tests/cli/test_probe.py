"""`grads probe` on one's own records: what it measures, refuses, prints and keeps."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grads.data.records.formatting import Example
from grads.runtime.errors import GradsError
from grads.signals.columns import columns
from grads.signals.names import MEASURES
from grads.signals.store import read_store, write_examples

from .conftest import QUICK

DOCUMENT = Path(__file__).parents[2] / "docs" / "probe.md"


@pytest.fixture
def probe(on_data):
    return functools.partial(on_data, "probe")


def test_a_store_is_written_and_what_it_took_is_printed(probe, tmp_path):
    printed = probe("signals", "--point", "base").stdout
    store = read_store(tmp_path / "signals")
    assert list(store.features) == ["hidden"]
    assert store.features["hidden"].shape == (20, 32)
    tokens = int(store.signals[["prompt_tokens", "response_tokens"]].to_numpy().sum())
    assert store.meta["tokens"] == tokens
    lines = dict(line.split(maxsplit=1) for line in printed.replace("peak memory", "memory").splitlines())
    # The data has 22 rows, and every one of them is accounted for.
    assert (lines["records"], lines["tokens"]) == ("20 of 22 (1 empty, 1 duplicate)", f"{tokens:,}")
    assert re.fullmatch(r"[\d,.]+ records/s, [\d,]+ tokens/s \(.*\)", lines["throughput"])
    # Python and torch alone take more than 0.1 GB.
    assert 0.1 < float(lines["memory"].split(" GB resident")[0]) < 100
    assert 0 < store.meta["seconds_measuring"] <= store.meta["seconds"]
    again = probe("signals", "--point", "base", status=2)
    assert "is there already" in again.stderr


def test_probe_measures_what_select_reads(grads, data, tiny_model_folder, tmp_path):
    files = ("--model", tiny_model_folder, "--data", data, *QUICK)
    grads("select", *files, "--ratio", "0.5", "--out", tmp_path / "subset.jsonl")
    before = set((tmp_path / "grads-work").iterdir())
    for point in ("base", "warm"):
        grads("probe", *files, "--point", point, "--out", tmp_path / point)
        assert "there already" in grads("probe", *files, "--point", point, "--out", tmp_path / f"{point}2").output
    assert set((tmp_path / "grads-work").iterdir()) == before
    grads("probe", *files, "--point", "encoder-e", "--encoder", f"e={tiny_model_folder}", "--out", tmp_path / "e")
    grads("probe", *files, "--point", "during", "--out", tmp_path / "during")
    assert json.loads((tmp_path / "during" / "meta.json").read_text())["point"] == "during"


@pytest.mark.parametrize("point", ["base", "warm"])
def test_any_signals_are_measured(probe, tmp_path, point):
    wanted = MEASURES - {"weights", *({"adam_features"} if point == "base" else ())}
    features = ("--probe", "features.size=3", "--probe", "hidden_layer=1")
    probe("all", "--point", point, "--signals", ",".join(sorted(wanted)), *features)
    store = read_store(tmp_path / "all")
    assert set(columns(wanted)) <= set(store.signals)
    kinds = {"hidden", "weighted_hidden", "layer_hidden", "embeddings", "sgd_features", "adam_features"} & wanted
    assert set(store.features) == kinds
    # A and B of 14 linear layers, 3 x 3 numbers at most of each; the rank is 2.
    assert store.features["sgd_features"].shape[1] == 14 * 2 * 3 * 2
    assert store.meta["hidden_layer"] == 1
    assert len(store.token_losses()) == 20


def test_all_weights_at_base(probe, tmp_path):
    probe("weights", "--point", "base", "--signals", "weights", "--signals", "losses, el2n")
    assert {"weights_l2", "response_nll", "el2n"} <= set(read_store(tmp_path / "weights").signals)


def test_features_of_an_adapter_and_of_all_weights_are_kept_apart(grads, data, tiny_model_folder, tmp_path):
    files = ("--model", tiny_model_folder, "--data", data, "--work", tmp_path / "work", "--point", "base")
    asked = ("--signals", "sgd_features", "--probe", "features.size=3", "--training", "adapter.rank=2")
    for weights in ("lora", "full"):
        grads("probe", *files, *asked, "--training", f"weights={weights}", "--out", tmp_path / weights)
    lora, full = (read_store(tmp_path / name).features["sgd_features"].shape[1] for name in ("lora", "full"))
    # A and B of a layer, 3 x 2 and 2 x 3 numbers, and its weights, 3 x 3.
    assert (lora, full) == (14 * (6 + 6), 14 * 9)


def test_the_type_of_the_weights(probe, tmp_path):
    probe("rough", "--point", "base", "--signals", "losses", "--dtype", "bf16")
    probe("exact", "--point", "base", "--signals", "losses")
    rough, exact = (read_store(tmp_path / name) for name in ("rough", "exact"))
    assert (rough.meta["precision"], exact.meta["precision"]) == ("bf16", "float32")
    assert rough.signals["response_nll"].tolist() != exact.signals["response_nll"].tolist()
    np.testing.assert_allclose(rough.signals["response_nll"], exact.signals["response_nll"], rtol=0.01)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--point", "warmm"], "--point warmm: did you mean 'warm'?"),
        (["--signals", "losses,gradient"], "--signals gradient: did you mean 'gradients'?"),
        (["--point", "tokens", "--signals", "losses"], "at the point 'tokens' there is nothing to choose"),
        (["--signals", "mean_abs"], "add gradients or adapter"),
        (["--signals", "mean_abs,hidden"], "add gradients or adapter"),
        (["--signals", ","], "it names none"),
        (["--point", "base", "--signals", "adam_features"], "set --point warm"),
        (["--signals", "adam_features", "--training", "weights=full"], "or take sgd_features"),
        (["--signals", "adapter", "--training", "weights=full"], "which needs lora"),
        (["--signals", "weights"], "set --training weights=full"),
        (["--point", "base", "--signals", "weights,sgd_features"], "set --training weights=full"),
        (["--dtype", "float16"], "--dtype float16: did you mean 'float32'?"),
        (["--point", "during", "--dtype", "bf16"], "set --training precision instead"),
        (["--probe", "features.sise=8"], "--probe: unknown key 'features.sise': did you mean 'size'?"),
        (["--probe", "hidden_layr=1"], "--probe: unknown key 'hidden_layr': did you mean 'hidden_layer'?"),
        (["--probe", "hidden_layer=0"], "--probe: 'hidden_layer': "),
        (["--probe", "precision=bf16"], "--probe precision: give --dtype"),
        (["--probe", "shards=2"], "--probe shards: one command is one job"),
    ],
)
def test_a_mistake_is_one_sentence_before_any_work(probe, tmp_path, options, sentence):
    result = probe("signals", *options, status=2)
    assert sentence in result.stderr.splitlines()[-1]
    work = tmp_path / "grads-work"
    assert not work.exists() or not any(
        path.name.startswith(("preliminary", "base", "warm")) for path in work.iterdir()
    )


@pytest.mark.parametrize("point", ["base", "during"])
def test_the_examples_are_those_of_the_signals(probe, tmp_path, point):
    probe("signals", "--point", point, "--keep-examples")
    signals = read_store(tmp_path / "signals").signals
    examples = pd.read_parquet(tmp_path / "signals" / "examples.parquet")
    assert list(examples.columns) == ["id", "input_ids", "response_mask"]
    assert examples["id"].tolist() == signals["id"].tolist()
    masks = [np.asarray(mask) for mask in examples["response_mask"]]
    assert [mask.sum() for mask in masks] == signals["response_tokens"].tolist()
    assert [mask.argmax() for mask in masks] == signals["prompt_tokens"].tolist()
    assert [len(ids) for ids in examples["input_ids"]] == [len(mask) for mask in masks]


def test_examples_of_other_records_are_refused(probe, tmp_path):
    probe("signals", "--point", "base")
    with pytest.raises(GradsError, match="do not belong together"):
        write_examples(tmp_path / "signals", [Example("another", [1, 2, 3], 1)])


def test_the_autograd_of_the_page_agrees(grads, probe, data, tiny_model_folder, tmp_path, monkeypatch):
    """The page's console block and its lines of Python, as they are written."""
    monkeypatch.chdir(tmp_path)
    Path("my-model").symlink_to(tiny_model_folder)
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.partition("## Check it yourself")[2]
    (command,) = re.findall(r"```console\n(grads probe .*?)\n```", section, re.S)
    grads(*command.replace("\\\n", " ").split()[1:])
    (code,) = re.findall(r"```python\n(.*?)```", section, re.S)
    place = {}
    exec(code, place)
    assert place["worst"] < 1e-4
    # The same lines notice a signal that is wrong.
    store = Path("exact/signals.parquet")
    wrong = pd.read_parquet(store)
    wrong.loc[3, "head_l2"] *= 1.001
    wrong.to_parquet(store)
    exec(code, place)
    assert place["worst"] > 5e-4
