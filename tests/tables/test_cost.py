from dataclasses import replace

import pytest

from grads.runtime.files import write_json
from grads.study.load import parse_study
from grads.tables.cost import cost_rows, cost_table
from grads.tables.estimates import Estimates
from grads.tables.measurements import collect


def test_shared_cost_is_charged_whole_and_divided(config, make_cells):
    """Preliminary epoch 30 s, its probe 8 s, base pass 4 s, choosing 0.5 s; two runs share them."""
    config["arms"]["grads"] = {"method": "grads", "ratios": ["0.05"]}
    study = parse_study(config)
    costs = cost_rows(study, collect(study, make_cells(study))).set_index(["domain", "arm", "ratio"])
    for run in (("law", "grads", "0.05"), ("law", "grads_density", "0.5"), ("tax", "grads", "0.05")):
        assert costs.loc[run, "standalone_seconds"] == 30 + 8 + 4 + 0.5
        assert costs.loc[run, "as_run_seconds"] == (30 + 8 + 4) / 2 + 0.5
        assert costs.loc[run, ["passes", "forward_passes"]].tolist() == [2, 1]
    assert costs.loc[("law", "random", "0.5"), "as_run_seconds"] == 0.5
    assert costs.loc[("law", "random", "0.5"), "passes"] == 0
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
    assert rows["untuned"] == ["0", "0", "0", "0.0", "0 + 0", "0.0", "0.0", "12.5"]
    assert rows["full"] == ["20", "40", "1000", "60.0", "0 + 0", "0.5", "0.5", "12.5"]
    assert rows["grads_density@0.5"] == ["10", "20", "500", "30.0", "2 + 1", "42.5", "42.5", "12.5"]
    assert len(table.header) == 9 == sum(width for _, width in table.groups)


def test_other_stores_and_a_warm_start_are_charged(config, make_cells, tmp_path):
    """Random goes on from the preliminary epoch; grads_density reads gradients taken during it and an encoder."""
    study = parse_study(config)
    cells = make_cells(study)
    write_json(tmp_path / "during.json", {"seconds": 50.0, "gradient_passes": 2})
    write_json(tmp_path / "encoder.json", {"seconds": 6.0, "gradient_passes": 0})
    stores = {"during": tmp_path / "during.json", "encoder-minilm": tmp_path / "encoder.json"}
    preliminary = next(one.preliminary for one in cells if one.preliminary)
    cells = [
        replace(one, preliminary=preliminary)
        if one.cell.arm == "random"
        else replace(one, stores=stores, preliminary=None)
        if one.stores
        else one
        for one in cells
    ]
    costs = cost_rows(study, collect(study, cells)).set_index(["domain", "arm", "ratio"])
    density = costs.loc[("law", "grads_density", "0.5")]
    assert density[["passes", "forward_passes", "standalone_seconds"]].tolist() == [2, 1, 56.5]
    random = costs.loc[("law", "random", "0.5")]
    assert random[["passes", "standalone_seconds", "as_run_seconds"]].tolist() == [1, 30.5, 15.5]
