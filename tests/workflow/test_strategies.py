"""Training strategies and matched runs, scheduled and run for real on a tiny model."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow

CONFIG = ("--configfile", "strategies.yaml")
HALF = {"method": "random", "ratios": ["0.5"]}
# Losses of a tiny random model are all near log(vocabulary), so the paper's threshold would mask everything.
MASKED = {"strategy": "stm", "strategy_parameters": {"threshold": 257.0}}
ARMS = {
    "untuned": {"method": "untuned"},
    "full": {"method": "full"},
    "random": HALF,
    "stm": HALF | MASKED,
    "replay": HALF | {"strategy": "replay"},
    "weighted": HALF | {"strategy": "weighted"},
    "low_lr": HALF | {"strategy": "low_lr"},
    "dropout": HALF | {"strategy": "dropout", "start": "warm"},
    "kl": HALF | {"strategy": "kl", "strategy_parameters": {"coefficient": 0.5}, "start": "warm"},
    "l2_sp": HALF | {"strategy": "l2_sp"},
    "steps": HALF | {"match": "steps"},
    "tokens": HALF | {"match": "tokens", "strategy": "replay", "strategy_parameters": {"ratio": "1:1"}},
}


@pytest.fixture(scope="module")
def finished(make_workspace):
    workspace = make_workspace()
    config = yaml.safe_load((workspace.folder / "config/smoke.yaml").read_text())
    config |= {"study": "strategies", "arms": ARMS}
    config["evaluation"] = config["evaluation"] | {"metrics": ["bleu"]}
    # What is no longer a domain serves as general instructions.
    source = config["domains"].pop("plurals")["source"]
    config["general"]["instructions"] = {"source": source, "anchor": 2, "replay": 20}
    (workspace.folder / "strategies.yaml").write_text(yaml.safe_dump(config))
    workspace.results = workspace.folder / "results" / "strategies"
    workspace.snakemake(*CONFIG)
    return workspace


def summary(finished, arm, ratio="0.5"):
    return json.loads((finished.results / f"runs/tiny/sums/{arm}/{ratio}/0/training.json").read_text())


def test_every_arm_was_trained_as_it_asks(finished):
    for arm, declared in ARMS.items():
        if arm not in ("untuned", "full"):
            found = summary(finished, arm)
            assert (found["strategy"], found["match"]) == (
                declared.get("strategy", "sft"),
                declared.get("match", "epochs"),
            )


def test_the_pass_holds_token_losses_and_masks_by_them(finished):
    meta = json.loads((finished.results / "signals/tiny/sums/base/meta.json").read_text())
    assert meta["measures"] == ["token_losses"]
    losses = pd.read_parquet(finished.results / "signals/tiny/sums/base/token_losses.parquet").set_index("id")["losses"]
    selection = pd.read_parquet(finished.results / "selections/tiny/sums/stm/0.5/0.parquet")
    kept = selection.loc[selection["kept"], "id"]
    expected = sum(int((np.exp(losses[id_]) > 257.0).sum()) for id_ in kept)
    notes = summary(finished, "stm")["notes"]
    assert notes["masked_tokens"] == expected
    assert 0 < expected < notes["response_tokens"]
    assert notes["response_tokens"] * 2 == summary(finished, "random")["response_tokens"]


def test_general_records_are_part_of_the_run(finished):
    found = summary(finished, "replay")
    assert found["notes"] == {"domain_records": 12, "general_records": 6}
    # 18 records, 2 epochs, batches of 8.
    assert (found["records"], found["visits"], found["steps"]) == (18, 36, 5)


def test_matched_runs_are_as_long_as_full(finished):
    full, steps, tokens = summary(finished, "full", "1"), summary(finished, "steps"), summary(finished, "tokens")
    assert (steps["steps"], steps["visits"], steps["records"]) == (full["steps"], full["visits"], 12)
    assert tokens["tokens"] >= full["tokens"]
    assert tokens["visits"] % 8 == 0
    assert tokens["records"] == 24


def test_equal_weights_are_plain_training(finished):
    curves = [[step["loss"] for step in summary(finished, arm)["curve"]] for arm in ("random", "weighted")]
    assert curves[0] == curves[1]


def test_settings_are_those_of_the_strategy(finished):
    rates = {
        arm: max(step["learning_rate"] for step in summary(finished, arm)["curve"]) for arm in ("random", "low_lr")
    }
    assert rates["low_lr"] == pytest.approx(rates["random"] / 10)
    folder = finished.results / "runs/tiny/sums/dropout/0.5/0/adapter"
    assert json.loads((folder / "adapter_config.json").read_text())["lora_dropout"] == 0.1


def test_the_pass_of_a_strategy_is_charged_to_its_arm(finished):
    costs = pd.read_csv(finished.results / "tables/cost.csv").set_index("arm")
    passes = costs[["passes", "forward_passes"]].astype(int).apply(tuple, axis=1).to_dict()
    assert (passes["stm"], passes["random"], passes["replay"]) == ((0, 1), (0, 0), (0, 0))


def test_manifests_name_strategy_and_inputs(finished):
    manifest = json.loads((finished.results / "runs/tiny/sums/stm/0.5/0/adapter.manifest.json").read_text())
    assert (manifest["settings"]["strategy"], manifest["settings"]["match"]) == ("stm", "epochs")
    assert manifest["settings"]["strategy_parameters"] == {"threshold": 257.0}
    assert "results/strategies/signals/tiny/sums/base" in manifest["inputs"]


def test_a_second_run_has_nothing_to_do_and_a_parameter_re_runs_its_arm_only(finished):
    assert finished.planned(*CONFIG) == {}
    slower = finished.folder / "slower.yaml"
    slower.write_text("arms: {low_lr: {strategy_parameters: {factor: 0.2}}}")
    planned = finished.planned(*CONFIG, slower.name)
    assert planned["train"] == planned["evaluate"] == 1


def test_code_of_a_strategy_re_runs_its_arms_only(finished):
    path = finished.folder / "grads/training/strategies/replay.py"
    original = path.read_text()
    path.write_text(original + "\nADDED = 1\n")
    planned = finished.planned(*CONFIG)
    path.write_text(original)
    assert planned["train"] == 2
    assert not {"train_warm", "probe_base"} & set(planned)
