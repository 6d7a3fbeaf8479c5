import copy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from grads.report.building.cost import cost_rows, cost_table
from grads.report.measurements import collect
from grads.report.statistics.estimates import Estimates
from grads.runtime.files import write_json
from grads.study.grid import cells
from grads.study.reading import parse_study

SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))


def test_shared_cost_is_charged_whole_and_divided(config, make_cells):
    """Preliminary epoch 30 s, its probe 8 s, base pass 4 s, choosing 0.5 s; two runs share them."""
    config["arms"]["grads"] = {"method": "grads", "ratios": ["0.05"]}
    study = parse_study(config)
    costs = cost_rows(study, collect(study, make_cells(study))).set_index(["domain", "arm", "ratio"])
    for run in (("law", "grads", "0.05"), ("law", "grads_density", "0.5"), ("tax", "grads", "0.05")):
        assert costs.loc[run, "standalone_seconds"] == 30 + 8 + 4 + 0.5
        assert costs.loc[run, "as_run_seconds"] == (30 + 8 + 4) / 2 + 0.5
        assert costs.loc[run, ["passes", "forward_passes"]].tolist() == [2, 1]
        assert costs.loc[run, ["standalone_flops", "as_run_flops"]].tolist() == [5e6 + 4e6 + 2e6, 11e6 / 2]
    assert costs.loc[("law", "random", "0.5"), "as_run_seconds"] == 0.5
    assert costs.loc[("law", "random", "0.5"), "passes"] == 0
    assert costs.loc[("law", "random", "0.5"), ["standalone_flops", "as_run_flops"]].tolist() == [0, 0]
    assert costs.loc[("law", "random", "0.5"), "training_flops"] == 5e3 * 500
    spent = 2 * (30 + 8 + 4) + 0.5 * 10
    assert costs["as_run_seconds"].sum() == pytest.approx(spent)


def test_seeds_share_the_base_pass_but_not_the_preliminary_epoch(config, make_cells):
    study = parse_study(config | {"seeds": [0, 1]})
    costs = cost_rows(study, collect(study, make_cells(study))).set_index(["domain", "arm", "ratio"])
    assert costs.loc[("law", "grads_density", "0.5"), "as_run_seconds"] == 30 + 8 + 4 / 2 + 0.5
    assert costs.loc[("law", "grads_density", "0.5"), "standalone_seconds"] == 30 + 8 + 4 + 0.5


def test_table_shows_training_and_selection(study, make_cells):
    table = cost_table(study, Estimates(collect(study, make_cells(study))))
    rows = {row[0].text: [entry.text for entry in row[1:]] for row in table.blocks[0].rows}
    assert rows["untuned"] == ["0", "0", "0", "0.0", "0", "0 + 0", "0.0", "0.0", "0", "0", "12.5"]
    assert rows["full"] == ["20", "40", "1000", "60.0", "5.0e6", "0 + 0", "0.5", "0.5", "0", "0", "12.5"]
    density = ["10", "20", "500", "30.0", "2.5e6", "2 + 1", "42.5", "42.5", "1.1e7", "1.1e7", "12.5"]
    assert rows["grads_density@0.5"] == density
    assert len(table.header) == 12 == sum(width for _, width in table.groups)


def test_other_stores_and_a_warm_start_are_charged(config, make_cells, tmp_path):
    """Random goes on from the preliminary epoch; grads_density reads gradients taken during it and an encoder."""
    study = parse_study(config)
    files = make_cells(study)
    write_json(tmp_path / "during.json", {"seconds": 50.0, "gradient_passes": 2, "flops": 8e6})
    write_json(tmp_path / "encoder.json", {"seconds": 6.0, "gradient_passes": 0, "flops": 3e6})
    stores = {"during": tmp_path / "during.json", "encoder-minilm": tmp_path / "encoder.json"}
    preliminary = next(one.preliminary for one in files if one.preliminary)
    files = [
        replace(one, preliminary=preliminary)
        if one.cell.arm == "random"
        else replace(one, stores=stores, preliminary=None)
        if one.stores
        else one
        for one in files
    ]
    costs = cost_rows(study, collect(study, files)).set_index(["domain", "arm", "ratio"])
    density = costs.loc[("law", "grads_density", "0.5")]
    assert density[["passes", "forward_passes", "standalone_seconds"]].tolist() == [2, 1, 56.5]
    assert density["standalone_flops"] == 8e6 + 3e6
    random = costs.loc[("law", "random", "0.5")]
    assert random[["passes", "standalone_seconds", "as_run_seconds"]].tolist() == [1, 30.5, 15.5]


def test_only_passes_over_the_training_data_are_counted(study, make_cells, tmp_path):
    """Those over validation and anchor records take their time and operations all the same."""
    write_json(tmp_path / "one.json", {"seconds": 5.0, "gradient_passes": 1, "flops": 1e6})
    write_json(tmp_path / "none.json", {"seconds": 1.0, "gradient_passes": 0, "flops": 1e5})
    files = [
        replace(
            one,
            stores=one.stores
            | {"warm-validation": tmp_path / "one.json", "warm-anchor": tmp_path / "one.json"}
            | {"base-validation": tmp_path / "none.json"},
        )
        if one.stores
        else one
        for one in make_cells(study)
    ]
    costs = cost_rows(study, collect(study, files)).set_index(["domain", "arm", "ratio"])
    density = costs.loc[("law", "grads_density", "0.5")]
    assert density[["passes", "forward_passes"]].tolist() == [2, 1]
    assert density["standalone_seconds"] == 42.5 + 5 + 5 + 1
    assert density["standalone_flops"] == 1.1e7 + 2.1e6


ARMS = {
    "untuned": {"method": "untuned"},
    "random": {"method": "random", "ratios": ["0.5"]},
    "one": {"method": "grads", "ratios": ["0.05", "0.5"]},
    "two": {"method": "grads_density", "ratios": ["0.5"]},
}
STORES = ["warm", "base", "during", "encoder-minilm", "encoder-large"]


def made_frame(study, uses):
    """Return the cost rows of a study whose arms use the stores named, each made at a cost of its own, and the sum."""
    rows, made = [], {}
    for cell in cells(study):
        place = {name: getattr(cell, name) for name in ("model", "domain", "arm", "ratio", "seed")}
        costs = {("evaluation", "seconds"): 1.0}
        if cell.trained:
            costs |= {("training", name): 10.0 for name in ("records", "steps", "tokens", "seconds")}
            costs[("selection", "seconds")] = made[("selection", cell)] = 0.5 + 0.01 * cell.seed
        for part in uses.get(cell.arm, ()):
            seed = cell.seed if part in ("warm", "during", "preliminary") else None
            key = (cell.model, cell.domain, part, seed)
            made.setdefault(key, float(2 ** (len(made) % 7)))
            costs[(part, "seconds")] = made[key]
            costs[(part, "flops")] = 1e9 * made[key]
            if part == "preliminary":
                costs[(part, "epochs")] = 1.0
            else:
                costs[(part, "gradient_passes")] = 0.0 if part.startswith("encoder") else 1.0
        rows += [place | {"part": "cost", "task": t, "metric": m, "value": v} for (t, m), v in costs.items()]
    return pd.DataFrame(rows), sum(made.values())


@settings(max_examples=8)
@given(
    st.integers(1, 2),
    st.integers(1, 3),
    st.fixed_dictionaries(
        dict.fromkeys(("random", "one", "two"), st.sets(st.sampled_from(["preliminary", *STORES]), max_size=4))
    ),
)
def test_as_run_sums_to_what_was_spent_and_never_exceeds_standalone(models, seeds, uses):
    config = copy.deepcopy(SMOKE)
    config["models"] = {f"m{n}": {"title": f"M{n}", "source": {"kind": "tiny"}} for n in range(models)}
    study = parse_study(config | {"seeds": list(range(seeds)), "arms": ARMS})
    frame, spent = made_frame(study, uses)
    costs = cost_rows(study, frame)
    trained = costs[costs["ratio"] != "0"]
    assert trained["as_run_seconds"].sum() * seeds == pytest.approx(spent)
    choosing = sum(0.5 + 0.01 * seed for seed in range(seeds)) * len(trained)
    assert trained["as_run_flops"].sum() * seeds == pytest.approx(1e9 * (spent - choosing), abs=1)
    assert (costs["as_run_seconds"] <= costs["standalone_seconds"] + 1e-9).all()
    assert (costs.loc[costs["ratio"] == "0", ["as_run_seconds", "standalone_seconds", "passes"]] == 0).all(axis=None)
    for arm, parts in uses.items():
        mine = trained[trained["arm"] == arm]
        gradients = sum(not part.startswith("encoder") for part in parts)
        assert (mine["passes"] == gradients).all()
        assert (mine["forward_passes"] == len(parts) - gradients).all()


def test_costs_come_in_the_order_of_the_config_and_a_missing_run_stays_empty():
    study = parse_study(copy.deepcopy(SMOKE) | {"arms": ARMS})
    frame, _ = made_frame(study, {})
    lost = (frame["arm"] == "one") & (frame["ratio"] == "0.5") & (frame["domain"] == "sums")
    costs = cost_rows(study, frame[~lost])
    order = [("untuned", "0"), ("random", "0.5"), ("one", "0.05"), ("one", "0.5"), ("two", "0.5")]
    assert list(zip(costs["arm"], costs["ratio"], strict=True)) == order * 2
    assert costs["domain"].tolist() == ["sums"] * 5 + ["plurals"] * 5
    assert costs["records"].isna().tolist() == [False] * 3 + [True] + [False] * 6
    assert set(costs["study"]) == {"smoke"}


def test_models_that_share_a_scorer_share_its_cost(config):
    """Model m scores for itself; for other, m scores one arm. The preliminary epoch and the pass are m's, made once."""
    tiny = {"title": "Other", "source": {"kind": "tiny", "seed": 9}}
    study = parse_study(config | {"models": config["models"] | {"other": tiny}, "arms": ARMS})
    first = next(iter(study.models))
    rows = []
    for cell in cells(study):
        label = "" if cell.model == first else f"{first}:"
        costs = {("evaluation", "seconds"): 1.0, ("selection", "seconds"): 0.5}
        if cell.arm == "two":
            costs |= {(f"{label}preliminary", "epochs"): 1.0, (f"{label}preliminary", "seconds"): 30.0}
            costs |= {(f"{label}warm", "gradient_passes"): 1.0, (f"{label}warm", "seconds"): 8.0}
        place = {name: getattr(cell, name) for name in ("model", "domain", "arm", "ratio", "seed")}
        rows += [place | {"part": "cost", "task": t, "metric": m, "value": v} for (t, m), v in costs.items()]
    costs = cost_rows(study, pd.DataFrame(rows)).set_index(["arm", "model"])
    two = costs.loc["two"]
    assert two["standalone_seconds"].tolist() == [38.5] * len(two)
    assert two["as_run_seconds"].tolist() == [19.5] * len(two)
    assert two["passes"].tolist() == [2] * len(two)
    assert set(costs.loc["random", "standalone_seconds"]) == {0.5}
