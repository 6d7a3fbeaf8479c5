"""Switches of `grads` that change what the workflow schedules, run for real on a tiny model."""

import itertools
import json

import pandas as pd
import pytest
import torch
import yaml
from transformers import BertConfig, BertModel, BertTokenizerFast

from grads.selection.run import select_records
from grads.signals.store import read_store
from grads.study.reading import read_study

pytestmark = pytest.mark.slow

ARMS = {
    "untuned": {"method": "untuned"},
    "grads": {"method": "grads", "ratios": ["auto"], "parameters": {"layers": ["embedding", "adapter"]}},
    "base": {"method": "grads", "ratios": ["0.5"], "parameters": {"point": "base"}},
    "sentences": {"method": "grads", "ratios": ["0.5"], "parameters": {"encoder": "bert", "point": "during"}},
    "near": {"method": "rep_sim", "ratios": ["0.5"], "parameters": {"encoder": "bert"}},
    "density": {
        "method": "grads_density",
        "ratios": ["0.5"],
        "parameters": {"reduction": "mean_abs", "rule": "central", "similarity": 0.5, "content": "gradients"},
    },
    "continued": {"method": "random", "ratios": ["auto"], "start": "warm"},
    "full_steps": {"method": "full_steps", "ratios": ["auto"]},
}


def save_encoder(folder):
    """Write a tiny random BERT of one token a letter."""
    folder.mkdir()
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789+-=?.,"]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=64, **shape)).save_pretrained(folder)


@pytest.fixture(scope="module")
def finished(make_workspace):
    workspace = make_workspace()
    config = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text())
    save_encoder(workspace.folder / "bert")
    config |= {"study": "switches", "arms": ARMS}
    config["encoders"] = {"bert": {"title": "Tiny BERT", "source": {"kind": "file", "path": "bert"}}}
    del config["domains"]["plurals"]
    (workspace.folder / "switches.yaml").write_text(yaml.safe_dump(config))
    workspace.snakemake("--configfile", "switches.yaml")
    workspace.results = workspace.folder / "results" / "switches"
    return workspace


def signals(finished, store):
    folder = finished.results / "signals/tiny/sums" / store
    return pd.read_parquet(folder / "signals.parquet"), json.loads((folder / "meta.json").read_text())


def summary(finished, arm, ratio):
    return json.loads((finished.results / f"runs/tiny/sums/{arm}/{ratio}/0/training.json").read_text())


def test_each_store_holds_what_the_arms_need_and_no_more(finished):
    needed = {
        "tokens": set(),
        "warm-0": {"adapter", "gradients", "mean_abs", "sgd_features"},
        "base": {"gradients", "hidden"},
    }
    needed |= {"during-0": {"gradients"}, "encoder-bert": set(), "encoder-bert-validation": set()}
    stores = [path.name for path in (finished.results / "signals/tiny/sums").iterdir() if path.is_dir()]
    assert set(stores) == set(needed)
    for store, measures in needed.items():
        table, meta = signals(finished, store)
        assert len(table) == (4 if store.endswith("validation") else 24)
        assert set(meta.get("measures", [])) == measures
        assert ("adapter_l2" in table) == ("adapter" in measures)
        assert ("head_mean_abs" in table) == ("mean_abs" in measures)


def test_the_automatic_count_is_shared_by_the_controls(finished):
    counts = json.loads((finished.results / "selections/tiny/sums/grads/auto/0.json").read_text())
    assert 1 <= counts["requested"] < 24
    records = {arm: summary(finished, arm, "auto")["records"] for arm in ("grads", "continued")}
    assert set(records.values()) == {counts["requested"]}
    steps = {arm: summary(finished, arm, "auto")["steps"] for arm in ("grads", "full_steps")}
    assert len(set(steps.values())) == 1
    assert summary(finished, "full_steps", "auto")["records"] == min(24, 8 * steps["full_steps"])


def test_training_that_goes_on_begins_at_a_lower_loss(finished):
    first = {arm: summary(finished, arm, "auto")["curve"][0]["loss"] for arm in ("grads", "continued")}
    assert first["continued"] < first["grads"]


def test_the_watched_epoch_is_the_preliminary_epoch(finished):
    curves = [[step["loss"] for step in summary(finished, arm, "1")["curve"]] for arm in ("warm", "during")]
    assert curves[0] == curves[1]


def test_costs_name_what_each_arm_took(finished):
    costs = pd.read_csv(finished.results / "tables/cost.csv").set_index("arm")
    passes = costs[["passes", "forward_passes"]].astype(int).apply(tuple, axis=1).to_dict()
    # The base pass took gradients, for one of the arms that share it.
    assert passes["grads"] == (3, 0)
    assert (passes["base"], passes["sentences"], passes["density"]) == ((1, 0), (2, 1), (2, 0))
    # By the encoder alone; validation records take no pass over the training data.
    assert passes["near"] == (0, 1)
    assert (passes["continued"], passes["full_steps"]) == ((1, 0), (0, 0))


def test_every_switch_of_the_ablation_changes_the_order(finished, tmp_path):
    folders = (finished.results / "signals/tiny/sums").iterdir()
    stores = {folder.name.removesuffix("-0"): read_store(folder) for folder in folders if folder.is_dir()}
    stores["encoder-minilm"] = stores.pop("encoder-bert")
    orders = {}
    for arm, spec in read_study("config/ablation_grads.yaml").arms.items():
        # `cut` decides how many are kept at `auto`, not in which order.
        if spec.method in ("grads", "grads_density") and spec.start == "base" and "cut" not in spec.parameters:
            out = tmp_path / f"{arm}.parquet"
            meta = select_records(spec.method, spec.parameters, spec.ratios[0], 0, stores, {}, out)
            assert meta["actual"] == meta["requested"] == 2
            orders[arm] = pd.read_parquet(out)["id"].tolist()
    assert len(orders) > 18
    same = [pair for pair in itertools.combinations(orders, 2) if orders[pair[0]] == orders[pair[1]]]
    # Embedding and head have the same shape, and means near 0: there std is l2, divided by the root of the size. The
    # hidden states of a tiny random model are so much alike that their similarity parts no two ranks of 24.
    assert set(same) <= set(itertools.combinations(("density", "density-std", "density-similarity"), 2))


def test_a_second_run_has_nothing_to_do(finished):
    assert finished.planned("--configfile", "switches.yaml") == {}
