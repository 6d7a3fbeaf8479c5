import numpy as np
import pytest

from grads.runtime.errors import GradsError
from grads.study.load import parse_study
from grads.tables.estimates import Estimates, Quantity, Run, runs, untuned_run
from grads.tables.measurements import collect

RANDOM, UNTUNED = Run("random", "0.5"), Run("untuned", "0")
METEOR = Quantity.domain("meteor")


@pytest.fixture
def frame(study, make_cells):
    return collect(study, make_cells(study))


def test_runs_follow_the_config(study):
    assert [run.title for run in runs(study)] == ["untuned", "full", "random@0.05", "random@0.5", "grads_density@0.5"]
    assert untuned_run(study) == UNTUNED


def test_estimate_of_one_seed_is_the_measurement(frame):
    row = frame[
        (frame["arm"] == "random")
        & (frame["ratio"] == "0.5")
        & (frame["domain"] == "law")
        & (frame["metric"] == "bleu")
    ].iloc[0]
    one = Estimates(frame).of("tiny", "law", RANDOM, Quantity.domain("bleu"))
    assert (one.value, one.low, one.high, one.n, one.seeds) == (row["value"], row["low"], row["high"], 6, 1)
    assert one.half == (row["high"] - row["low"]) / 2


def test_seeds_are_averaged(config, make_cells):
    study = parse_study(config | {"seeds": [0, 4]})
    frame = collect(study, make_cells(study))
    one = Estimates(frame).of("tiny", "law", RANDOM, METEOR)
    rows = frame[(frame["arm"] == "random") & (frame["ratio"] == "0.5") & (frame["domain"] == "law")]
    values = rows[rows["metric"] == "meteor"]["value"]
    assert len(values) == 2
    assert one.value == pytest.approx(values.mean())
    assert one.seeds == 2
    # The mean of two independent answers varies less than either alone.
    half = (rows[rows["metric"] == "meteor"]["high"] - rows[rows["metric"] == "meteor"]["low"]) / 2
    assert one.half < half.max()


def test_difference_is_paired_over_items(frame):
    """An arm that is better by the same amount on every item differs without any doubt, however much items vary."""
    shifted = frame.copy()
    mask = (frame["metric"] == "meteor") & (frame["domain"] == "law")
    base = frame[mask & (frame["arm"] == "untuned")].iloc[0]
    index = frame[mask & (frame["arm"] == "random") & (frame["ratio"] == "0.5")].index[0]
    shifted.at[index, "items"] = [[item[0] + 0.1] for item in base["items"]]
    shifted.at[index, "value"] = base["value"] + 0.1
    gain = Estimates(shifted).difference("tiny", "law", RANDOM, UNTUNED, METEOR)
    assert (gain.value, gain.low, gain.high) == (pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1))
    assert Estimates(shifted).of("tiny", "law", RANDOM, METEOR).half > 0.05


def test_difference_to_itself_is_nothing(frame):
    gain = Estimates(frame).difference("tiny", "law", UNTUNED, UNTUNED, Quantity.general("quiz", "acc"))
    assert (gain.value, gain.low, gain.high) == (0, 0, 0)


def test_no_items_no_interval(frame):
    one = Estimates(frame).of("tiny", "law", RANDOM, Quantity.domain("capped"))
    assert one.value == 0.125
    assert not one.has_interval
    assert np.isnan(one.half)


def test_what_was_not_measured_is_an_error(frame):
    with pytest.raises(GradsError, match=r"no 'rouge' of 'test' for random@0.5 of model tiny on law"):
        Estimates(frame).of("tiny", "law", RANDOM, Quantity.domain("rouge"))


def test_different_items_are_not_compared(frame):
    changed = frame.copy()
    changed.loc[(frame["arm"] == "random") & (frame["task"] == "quiz"), "signature"] = "other prompts"
    with pytest.raises(GradsError, match=r"random@0.5 and untuned \(tiny, law\) were not measured alike"):
        Estimates(changed).difference("tiny", "law", RANDOM, UNTUNED, Quantity.general("quiz", "acc"))
