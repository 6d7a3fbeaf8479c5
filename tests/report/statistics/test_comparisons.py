"""Comparisons with full data and random subsets: which, corrected how, marked how."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from grads.report.measurements import collect
from grads.report.statistics.comparisons import (
    Comparison,
    baselines,
    compare,
    comparison_columns,
    detectable_note,
    detectable_notes,
    holm,
    holm_levels,
    significance,
    significance_note,
)
from grads.report.statistics.estimates import Estimates, Quantity, Run, runs
from grads.report.statistics.samples import Estimate, Part, Spread
from grads.study.reading import parse_study

MINUS = "\u2212"
METEOR = Quantity.domain("meteor")


def test_what_learns_from_the_test_set_is_neither_compared_nor_a_baseline(config):
    config["arms"] = {"seen": {"method": "full", "strategy": "tlm"}, **config["arms"]}
    study = parse_study(config)
    found = {run.arm: run for run in runs(study)}
    assert baselines(study, found["seen"]) == {}
    assert baselines(study, found["grads_density"])["full"] == Run("full", "1")
    assert [run.arm for run in runs(study) if not run.ranked] == ["seen", "untuned"]
    del config["arms"]["full"]
    assert "full" not in baselines(parse_study(config), found["grads_density"])


def test_holm_by_hand():
    """Holm's procedure on five p-values: factors 5, 4, 3, 2, 1 in ascending order, then made monotone."""
    assert holm([0.04, 0.001, 0.03, 0.2, 0.012]) == pytest.approx([0.09, 0.005, 0.09, 0.2, 0.048])
    assert holm([]) == []
    assert holm([0.7, 0.6]) == [1.0, 1.0]


def test_holm_rejects_what_its_definition_rejects():
    generator = np.random.default_rng(0)
    for _ in range(50):
        values = generator.uniform(size=8) ** 3
        ordered, rejected = np.sort(values), 0
        while rejected < 8 and ordered[rejected] <= 0.05 / (8 - rejected):
            rejected += 1
        assert sum(p <= 0.05 for p in holm(values.tolist())) == rejected


def test_levels_are_those_at_which_holms_procedure_tests():
    assert holm_levels([0.001, 0.03, 0.012]) == pytest.approx([0.05 / 3, 0.05, 0.05 / 2])
    # It stops at the first that fails; what could not be tested counts.
    assert holm_levels([0.001, 0.03, 0.04]) == pytest.approx([0.05 / 3, 0.05 / 2, 0.05 / 2])
    assert holm_levels([0.02, math.nan]) == pytest.approx([0.05 / 2, math.nan], nan_ok=True)
    generator = np.random.default_rng(0)
    for _ in range(50):
        values = (generator.uniform(size=8) ** 3).tolist()
        assert [p <= level for p, level in zip(values, holm_levels(values), strict=True)] == [
            p <= 0.05 for p in holm(values)
        ]


def test_a_test_that_cannot_be_made_yet_counts():
    corrected = holm([0.01, math.nan, 0.03])
    assert corrected[0] == pytest.approx(0.03)
    assert math.isnan(corrected[1])


def test_holm_keeps_the_family_wise_error():
    generator, errors = np.random.default_rng(1), 0
    for _ in range(2000):
        errors += min(holm(generator.uniform(size=10).tolist())) < 0.05
    assert errors / 2000 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


@pytest.fixture
def arms(config):
    config["arms"] |= {
        "grads_density-on": {"method": "grads_density", "ratios": ["0.5", "0.1"], "start": "warm"},
        "random-on": {"method": "random", "ratios": ["0.5"], "start": "warm"},
    }
    return parse_study(config)


def test_every_arm_has_full_and_the_random_subset_of_its_size(arms):
    full, half = Run("full", "1"), Run("random", "0.5")
    assert baselines(arms, Run("grads_density", "0.5")) == {"full": full, "random": half}
    assert baselines(arms, half) == {"full": full}
    assert baselines(arms, full) == {}
    assert baselines(arms, Run("untuned", "0")) == {}


def test_the_baseline_is_trained_in_the_same_way_where_there_is_one(arms):
    assert baselines(arms, Run("grads_density-on", "0.5"))["random"] == Run("random-on", "0.5")
    assert baselines(arms, Run("grads_density-on", "0.5"))["full"] == Run("full", "1")
    # No random subset has a tenth of the records.
    assert baselines(arms, Run("grads_density-on", "0.1")) == {"full": Run("full", "1")}


def test_a_baseline_that_is_trained_otherwise_has_the_plain_one(config):
    config["arms"] = {
        "masked": {"method": "full", "strategy": "stm"},
        "full": {"method": "full"},
        "random-on": {"method": "random", "ratios": ["0.5"], "start": "warm"},
        "random": {"method": "random", "ratios": ["0.5"]},
        "grads": {"method": "grads", "ratios": ["0.5"], "strategy": "replay"},
    }
    study = parse_study(config)
    full, half = Run("full", "1"), Run("random", "0.5")
    assert baselines(study, full) == {}
    assert baselines(study, Run("masked", "1")) == {"full": full}
    assert baselines(study, half) == {"full": full}
    assert baselines(study, Run("random-on", "0.5")) == {"full": full, "random": half}
    # Nobody else trains as this arm does: the plain ones, wherever they stand in the config.
    assert baselines(study, Run("grads", "0.5")) == {"full": full, "random": half}
    del config["arms"]["full"], config["arms"]["random"]
    study = parse_study(config)
    assert baselines(study, Run("masked", "1")) == {}
    assert baselines(study, Run("grads", "0.5")) == {"full": Run("masked", "1"), "random": Run("random-on", "0.5")}


def test_a_random_subset_of_all_records_is_no_smaller_ones_baseline(config):
    """Whichever ratio stands first in the config; at ratio 1 it is the one of equal size."""
    config["arms"] = {
        "random": {"method": "random", "ratios": ["1", "0.5"]},
        "grads": {"method": "grads", "ratios": ["1", "0.5", "0.25"]},
    }
    study = parse_study(config)
    assert baselines(study, Run("grads", "0.5")) == {"random": Run("random", "0.5")}
    assert baselines(study, Run("grads", "1")) == {"random": Run("random", "1")}
    assert baselines(study, Run("grads", "0.25")) == {}


def test_who_scores_is_no_part_of_how_an_arm_is_trained(config):
    config["models"]["other"] = {"title": "Other", "source": {"kind": "tiny"}}
    config["arms"] |= {
        "random-on": {"method": "random", "ratios": ["0.5"], "start": "warm"},
        "scored": {"method": "grads", "ratios": ["0.5"], "start": "warm", "scorer": "other"},
    }
    assert baselines(parse_study(config), Run("scored", "0.5"))["random"] == Run("random-on", "0.5")


def test_a_column_is_one_family(study, make_cells):
    estimates = Estimates(collect(study, make_cells(study)))
    compared = compare(study, estimates, "tiny", "law", METEOR)
    pairs = [(run, one) for run, found in compared.items() for one in found]
    names = [(run.title, one.baseline) for run, one in pairs]
    assert names == [
        ("random@0.05", "full"),
        ("random@0.5", "full"),
        ("grads_density@0.5", "full"),
        ("grads_density@0.5", "random"),
    ]
    assert [one.p for _, one in pairs] == holm([one.estimate.p for _, one in pairs])
    expected = estimates.difference("tiny", "law", Run("grads_density", "0.5"), Run("random", "0.5"), METEOR)
    assert pairs[-1][1].estimate == expected


def estimate(value: float) -> Estimate:
    return Estimate(value, value - 1, value + 1, 40, 3, spread=Spread(Part(0.5, 20.0)), kind="items and seeds")


@pytest.mark.parametrize(("higher", "marks"), [(True, f"f+ r{MINUS}"), (False, f"f{MINUS} r+")])
def test_marks_say_better_and_worse(higher, marks):
    found = [Comparison("full", estimate(2), 0.01), Comparison("random", estimate(-2), 0.049)]
    assert significance(found, higher) == marks
    nothing = [Comparison("full", estimate(2), 0.0501), Comparison("full", estimate(2), math.nan)]
    assert significance(nothing, True) == ""
    alone = dataclasses.replace(estimate(2), kind="items only")
    assert significance([Comparison("full", alone, 0.0001)], True) == ""


def test_columns_hold_what_the_marks_are_made_of():
    columns = comparison_columns([Comparison("full", estimate(2), 0.01, 0.05 / 3)])
    assert list(columns) == [f"against_full{end}" for end in ("", "_low", "_high", "_p", "_detectable")]
    smallest = 0.5 * (stats.t.ppf(1 - 0.05 / 6, 20) + stats.t.ppf(0.8, 20))
    assert list(columns.values()) == pytest.approx([2, 1, 3, 0.01, smallest])


def test_notes_say_what_could_have_been_seen(study, config):
    found = [Comparison("full", estimate(2), 0.01), Comparison("full", estimate(0), math.nan)]
    smallest = f"{0.5 * (stats.t.ppf(0.975, 20) + stats.t.ppf(0.8, 20)):.2f}"
    assert detectable_note(found, "BLEU", 2) == f"BLEU {smallest} from full"
    (note,) = detectable_notes([detectable_note(found, "BLEU", 2), ""])
    assert "80 % power" in note
    assert note.endswith(": BLEU " + smallest + " from full.")
    assert detectable_notes([detectable_note([], "BLEU", 2)]) == []
    (note,) = significance_note(study)
    assert "No marks" in note
    (note,) = significance_note(parse_study(config | {"seeds": [0, 1, 2]}))
    assert "Holm's correction" in note
    assert "r+" in note
    config["arms"] = {"untuned": {"method": "untuned"}, "full": {"method": "full"}}
    assert significance_note(parse_study(config)) == []


@pytest.fixture
def controlled(config):
    """Two arms that select, each with a control of its own lengths, and `full_steps`."""
    lengths = {"method": "random_length", "ratios": ["0.5"]}
    config["arms"] |= {
        "grads": {"method": "grads", "ratios": ["0.5", "0.1"]},
        "full_steps": {"method": "full_steps", "ratios": ["0.5"]},
        "lengths": lengths,
        "lengths-of-dense": lengths | {"parameters": {"reference": "grads_density"}},
        "el2n": {"method": "el2n", "ratios": ["0.5"]},
    }
    return config


def test_an_arm_is_compared_with_the_control_of_its_own_lengths(controlled):
    study = parse_study(controlled)
    full, half, steps = Run("full", "1"), Run("random", "0.5"), Run("full_steps", "0.5")
    both = {"full": full, "random": half}
    assert baselines(study, Run("grads", "0.5")) == both | {
        "random_length": Run("lengths", "0.5"),
        "full_steps": steps,
    }
    assert baselines(study, Run("grads_density", "0.5")) == both | {
        "random_length": Run("lengths-of-dense", "0.5"),
        "full_steps": steps,
    }
    # Lengths of another arm are no control of this one; neither is a control of another ratio.
    assert baselines(study, Run("el2n", "0.5")) == both | {"full_steps": steps}
    assert baselines(study, Run("grads", "0.1")) == {"full": full}


def test_controls_are_compared_with_full_data_and_a_random_subset_only(controlled):
    study = parse_study(controlled)
    both = {"full": Run("full", "1"), "random": Run("random", "0.5")}
    for control in ("lengths", "lengths-of-dense", "full_steps"):
        assert baselines(study, Run(control, "0.5")) == both
    assert baselines(study, Run("random", "0.5")) == {"full": Run("full", "1")}


def test_steps_are_equal_only_where_arms_are_trained_in_the_same_way(controlled):
    """A subset that is repeated to the steps of all data, or mixed with others, takes more than `full_steps` does."""
    controlled["arms"]["repeated"] = {"method": "grads", "ratios": ["0.5"], "match": "steps"}
    controlled["arms"]["mixed"] = {"method": "grads", "ratios": ["0.5"], "strategy": "replay"}
    controlled["arms"]["steps-mixed"] = {"method": "full_steps", "ratios": ["0.5"], "strategy": "replay"}
    study = parse_study(controlled)
    assert "full_steps" not in baselines(study, Run("repeated", "0.5"))
    assert baselines(study, Run("mixed", "0.5"))["full_steps"] == Run("steps-mixed", "0.5")


def test_a_number_of_records_that_an_arm_finds_by_itself_has_its_own_control_of_steps(controlled):
    for arm in ("grads", "grads_density", "full_steps", "lengths"):
        controlled["arms"][arm]["ratios"] = ["auto"]
    del controlled["arms"]["lengths-of-dense"], controlled["arms"]["el2n"]
    study = parse_study(controlled)
    names = {arm: set(baselines(study, Run(arm, "auto"))) for arm in ("grads", "grads_density")}
    assert names == {"grads": {"full", "random_length", "full_steps"}, "grads_density": {"full"}}


def test_every_control_has_a_mark_of_its_own(controlled):
    values = {"full": 2, "random": -2, "random_length": 2, "full_steps": -2}
    found = [Comparison(name, estimate(value), 0.01) for name, value in values.items()]
    assert significance(found, True) == f"f+ r{MINUS} l+ s{MINUS}"
    assert set(comparison_columns(found)) >= {f"against_{name}_p" for name in values}
    (note,) = significance_note(parse_study(controlled | {"seeds": [0, 1, 2]}))
    for part in ("f+ (f\u2212)", "r+ (r\u2212)", "l+ (l\u2212)", "s+ (s\u2212)"):
        assert part in note
    assert [name for name in values if f"from {name}" in detectable_note(found, "BLEU", 2)] == list(values)


def test_all_controls_of_a_column_are_one_family(controlled, make_cells):
    controlled["evaluation"]["metrics"] = ["meteor"]
    controlled["arms"]["grads"]["ratios"] = ["0.5"]
    study = parse_study(controlled)
    estimates = Estimates(collect(study, make_cells(study)))
    compared = compare(study, estimates, "tiny", "law", METEOR)
    found = {(run.title, one.baseline): one for run, row in compared.items() for one in row}
    lengths = found["grads_density@0.5", "random_length"].estimate
    runs = Run("grads_density", "0.5"), Run("lengths-of-dense", "0.5")
    assert lengths == estimates.difference("tiny", "law", *runs, METEOR)
    assert [one.p for one in found.values()] == holm([one.estimate.p for one in found.values()])
