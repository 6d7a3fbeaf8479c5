"""The table of switches."""

import pytest

from grads.report.building.ablation import ablation_table
from grads.report.measurements import collect
from grads.report.registry import table_names
from grads.report.statistics.estimates import Estimates, Quantity, Run
from grads.study.reading import parse_study
from grads.study.switches import Variant, variants


@pytest.fixture
def config(config):
    config["evaluation"]["metrics"] = ["meteor", "response_nll"]
    config["arms"] |= {
        "density-head": {"method": "grads_density", "ratios": ["0.5", "0.1"], "parameters": {"combination": "head"}},
        "random-on": {"method": "random", "ratios": ["0.5"], "start": "warm"},
    }
    return config


def test_variants_are_those_that_set_something(config, study):
    del config["arms"]["full"]
    config["arms"]["grads-head"] = {"method": "grads", "ratios": ["0.5"], "parameters": {"layers": ["head"]}}
    assert variants(parse_study(config)) == [
        Variant("density-head", "grads_density", {"combination": "head"}),
        Variant("random-on", "random", {"start": "warm"}),
    ]


def test_a_row_is_a_variant_against_its_default(config, make_cells):
    study = parse_study(config)
    estimates = Estimates(collect(study, make_cells(study)))
    table = ablation_table(study, estimates)
    assert [block.title for block in table.blocks] == ["Tiny_1, tuned on Law", "Tiny_1, tuned on Tax"]
    # The default arm has no run at a tenth.
    heads = [(row[0].text, row[1].text) for row in table.blocks[0].rows]
    assert heads == [
        ("density-head@0.5 vs grads_density", "combination: head"),
        ("random-on@0.5 vs random", "start: warm"),
    ]
    assert {len(row) for block in table.blocks for row in block.rows} == {len(table.header)} == {5}
    assert all({row[column].place for row in table.blocks[0].rows} == {1, 2} for column in (2, 3, 4))
    runs = Run("density-head", "0.5"), Run("grads_density", "0.5")
    expected = estimates.difference("tiny", "law", *runs, Quantity.domain("meteor"))
    fact = table.tidy.set_index(["domain", "arm", "metric"]).loc[("law", "density-head", "meteor")]
    assert (fact["difference"], fact["difference_low"]) == (expected.value, expected.low)
    assert fact["p"] >= expected.p
    assert len(table.tidy) == 2 * 2 * 3


def test_only_studies_with_variants_have_the_table(config):
    assert "ablation" in table_names(parse_study(config))
    del config["arms"]["density-head"], config["arms"]["random-on"]
    assert table_names(parse_study(config)) == ["main", "domain", "forgetting", "cost", "transitions"]


def test_whom_a_control_refers_to_is_no_switch(config):
    """It says what the control is of; how it is trained is a switch, of the control of the same arm."""
    config["arms"]["grads"] = {"method": "grads", "ratios": ["0.5"]}
    lengths = {"method": "random_length", "ratios": ["0.5"]}
    config["arms"] |= {
        "lengths": lengths,
        "lengths-of-dense": lengths | {"parameters": {"reference": "grads_density"}},
        "lengths-of-dense-on": lengths | {"parameters": {"reference": "grads_density"}, "start": "warm"},
    }
    found = [one for one in variants(parse_study(config)) if one.arm.startswith("lengths")]
    assert found == [Variant("lengths-of-dense-on", "lengths-of-dense", {"start": "warm"})]


def test_the_domain_that_lacks_the_default_arm_is_named(config, make_cells):
    study = parse_study(config)
    frame = collect(study, make_cells(study))
    holed = frame[~((frame["domain"] == "tax") & (frame["arm"] == "grads_density"))]
    notes = " ".join(ablation_table(study, Estimates(holed, partial=True)).notes)
    assert "nothing is compared with it there: Tax lacks grads_density@0.5." in notes
    assert "lacks" not in " ".join(ablation_table(study, Estimates(frame)).notes)
