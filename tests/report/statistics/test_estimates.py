import numpy as np
import pandas as pd
import pytest
from scipy import stats

from grads.report.measurements import collect
from grads.report.statistics.estimates import Estimates, Quantity, Run, runs, untuned_run
from grads.report.statistics.samples import ABSENT, CROSSED, ITEMS_ONLY
from grads.runtime.errors import GradsError
from grads.study.reading import parse_study

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
    """An arm that is better by the same amount on every item differs nearly without doubt, however much items vary."""
    shifted = frame.copy()
    mask = (frame["metric"] == "meteor") & (frame["domain"] == "law")
    base = frame[mask & (frame["arm"] == "untuned")].iloc[0]
    index = frame[mask & (frame["arm"] == "random") & (frame["ratio"] == "0.5")].index[0]
    shifted.at[index, "items"] = [[item[0] + 0.1] for item in base["items"]]
    shifted.at[index, "value"] = base["value"] + 0.1
    gain = Estimates(shifted).difference("tiny", "law", RANDOM, UNTUNED, METEOR)
    # As if one of the six had not changed; t(0.975, 5) is 2.571.
    assert (gain.value, gain.half) == pytest.approx((0.1, 2.571 * 0.1 / 6), rel=1e-3)
    assert gain.p == pytest.approx(2**-5)
    assert Estimates(shifted).of("tiny", "law", RANDOM, METEOR).half > 0.05


def test_difference_to_itself_is_nothing(frame):
    """It is 0, but ten items that did not change do not say that none ever would."""
    gain = Estimates(frame).difference("tiny", "law", UNTUNED, UNTUNED, Quantity.general("quiz", "acc"))
    assert (gain.value, gain.p) == (0, 1)
    assert gain.low < 0 < gain.high


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


@pytest.fixture
def two_seeds(config, make_cells):
    """The long table of two seeds, with METEOR alone: BLEU's bootstrap takes most of the time."""
    config["evaluation"]["metrics"] = ["meteor"]
    study = parse_study(config | {"seeds": [0, 4]})
    return collect(study, make_cells(study))


@pytest.mark.parametrize("quantity", [METEOR, Quantity.general("quiz", "acc"), Quantity.general("text", "kl")])
def test_the_interval_of_a_difference_over_seeds_is_that_of_its_definition(two_seeds, quantity):
    """One draw of items serves both arms and all seeds; the untuned model has one seed, the other arm two."""
    frame = two_seeds
    mine = frame[(frame["task"] == quantity.task) & (frame["metric"] == quantity.metric) & (frame["domain"] == "tax")]
    items = {
        run: np.mean(
            [np.array(one)[:, 0] for one in mine[(mine["arm"] == run.arm) & (mine["ratio"] == run.ratio)]["items"]],
            axis=0,
        )
        for run in (RANDOM, UNTUNED)
    }
    change = items[RANDOM] - items[UNTUNED]
    changed, number = np.count_nonzero(change), len(change)
    # Pseudo-items stand in for those that might have changed.
    error = change.std(ddof=1) / number**0.5 * (1 + 2 * (1 - changed / number) / changed) ** 0.5
    half = stats.t.ppf(0.975, number - 1) * error
    found = Estimates(frame).difference("tiny", "tax", RANDOM, UNTUNED, quantity)
    assert found.value == pytest.approx(change.mean(), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((change.mean() - half, change.mean() + half), abs=1e-12)
    assert (found.n, found.seeds) == (len(change), 2)


def test_a_difference_turns_its_sign_with_its_sides(frame):
    one = Estimates(frame).difference("tiny", "law", RANDOM, Run("full", "1"), METEOR)
    other = Estimates(frame).difference("tiny", "law", Run("full", "1"), RANDOM, METEOR)
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert one.half == pytest.approx(other.half)


def test_a_partial_table_has_holes_where_the_strict_one_has_errors(frame):
    without = frame[~((frame["arm"] == "random") & (frame["ratio"] == "0.5") & (frame["domain"] == "law"))]
    strict, partial = Estimates(without), Estimates(without, partial=True)
    for base, run in ((UNTUNED, RANDOM), (RANDOM, UNTUNED)):
        assert partial.difference("tiny", "law", run, base, METEOR) == ABSENT
        with pytest.raises(GradsError, match=r"no 'meteor' of 'test' for random@0\.5 of model"):
            strict.difference("tiny", "law", run, base, METEOR)
    assert partial.of("tiny", "law", RANDOM, METEOR) == ABSENT
    assert partial.signature("tiny", "law", RANDOM, METEOR) == ""
    with pytest.raises(GradsError, match="no 'meteor'"):
        strict.signature("tiny", "law", RANDOM, METEOR)
    assert (ABSENT.n, ABSENT.seeds, ABSENT.has_interval) == (0, 0, False)
    assert partial.of("tiny", "tax", RANDOM, METEOR) == Estimates(frame).of("tiny", "tax", RANDOM, METEOR)


def test_a_seed_without_items_takes_the_interval_from_all(two_seeds):
    """A mean over seeds of which one cannot be resampled has no interval, rather than that of the others."""
    frame = two_seeds
    index = frame[(frame["arm"] == "random") & (frame["seed"] == 4) & (frame["metric"] == "meteor")].index
    frame.loc[index, "statistic"] = ""
    assert not Estimates(frame).of("tiny", "law", RANDOM, METEOR).has_interval
    assert not Estimates(frame).difference("tiny", "law", RANDOM, UNTUNED, METEOR).has_interval
    assert Estimates(frame).of("tiny", "law", Run("full", "1"), METEOR).has_interval


def test_items_that_belong_together_are_in_the_estimate(frame):
    """Six test items in three groups: the interval is that of three."""
    grouped = frame.copy()
    for index in grouped[grouped["metric"] == "meteor"].index:
        grouped.at[index, "item_groups"] = [0, 0, 1, 1, 2, 2]
    found = Estimates(grouped).difference("tiny", "law", RANDOM, UNTUNED, METEOR)
    assert (found.n, found.groups, found.spread.items.freedom) == (6, 3, 2)
    grouped.at[grouped[(grouped["arm"] == "untuned") & (grouped["metric"] == "meteor")].index[0], "item_groups"] = []
    with pytest.raises(GradsError, match=r"have the items of test in other groups; evaluate both again"):
        Estimates(grouped).difference("tiny", "law", RANDOM, UNTUNED, METEOR)


def test_drift_of_nothing_is_no_share_of_wrong_answers(frame):
    """The untuned model's KL to itself is 0 on every text, by definition and not by chance."""
    zero = frame.copy()
    for index in zero[(zero["metric"] == "kl") & (zero["arm"] == "untuned")].index:
        zero.at[index, "items"] = [[0.0]] * 8
        zero.at[index, "value"] = 0.0
    found = Estimates(zero).of("tiny", "law", UNTUNED, Quantity.general("text", "kl"))
    assert (found.low, found.high) == (0, 0)
    quiz = Estimates(zero).of("tiny", "law", UNTUNED, Quantity.general("quiz", "acc"))
    assert 0 <= quiz.low < quiz.high <= 1


def test_other_numbers_of_items_are_not_compared(frame):
    changed = frame.copy()
    changed.loc[(frame["arm"] == "untuned") & (frame["metric"] == "meteor"), "n"] = 5
    sentence = r"were not measured alike: \(items, signature\) of test meteor are \[\(6, ''\)\] and \[\(5, ''\)\]"
    with pytest.raises(GradsError, match=sentence):
        Estimates(changed).difference("tiny", "law", RANDOM, UNTUNED, METEOR)


def test_a_ratio_is_a_share_and_auto_the_mean_share_of_its_seeds():
    cell = {"model": "tiny", "domain": "law", "arm": "grads", "ratio": "auto", "part": "cost", "task": "selection"}
    counts = [(0, "requested", 14), (1, "requested", 6), (0, "eligible", 20), (1, "eligible", 20)]
    nothing = {"signature": "", "statistic": "", "items": [], "n": 0}
    rows = [cell | nothing | {"seed": seed, "metric": name, "value": float(value)} for seed, name, value in counts]
    estimates = Estimates(pd.DataFrame(rows))
    assert estimates.share("tiny", "law", Run("grads", "auto")) == (14 + 6) / 2 / 20
    assert estimates.share("tiny", "law", Run("random", "0.05")) == 0.05
    with pytest.raises(GradsError, match="no 'requested' of 'selection' for random@auto"):
        estimates.share("tiny", "law", Run("random", "auto"))


@pytest.mark.parametrize(
    ("run", "title", "trained"),
    [
        (Run("untuned", "0"), "untuned", False),
        (Run("full", "1"), "full", True),
        (Run("random", "auto"), "random@auto", True),
        (Run("random", "0.05"), "random@0.05", True),
    ],
)
def test_a_run_is_named_by_its_ratio_where_it_has_a_choice(run, title, trained):
    assert (run.title, run.trained) == (title, trained)


def test_three_seeds_are_in_the_interval(config, make_cells):
    config["evaluation"]["metrics"] = ["meteor"]
    study = parse_study(config | {"seeds": [0, 4, 9]})
    estimates = Estimates(collect(study, make_cells(study)))
    assert estimates.of("tiny", "law", RANDOM, METEOR).kind == CROSSED
    assert estimates.difference("tiny", "law", RANDOM, UNTUNED, METEOR).kind == CROSSED
    assert estimates.of("tiny", "law", UNTUNED, METEOR).kind == ITEMS_ONLY
    values = estimates.frame.query("domain == 'law' and arm == 'random' and ratio == '0.5' and metric == 'meteor'")
    assert estimates.sample("tiny", "law", RANDOM, METEOR).values["tiny/law"].tolist() == values["value"].tolist()
