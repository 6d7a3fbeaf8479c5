import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.report.drawing.claimed import forgotten, learnt
from grads.report.drawing.front import Position, pareto_front, unbeaten
from grads.report.drawing.ratio import ratio_figure
from grads.report.drawing.style import CONTROLS
from grads.report.drawing.tradeoff import tradeoff_figure
from grads.report.statistics.estimates import Quantity, Run
from grads.report.statistics.samples import ItemSet, Sample
from grads.study.reading import parse_study

UNTUNED = Run("untuned", "0")
RUNS = (Run("full", "1"), Run("random", "0.05"), Run("random", "0.5"), Run("grads_density", "0.5"))


def claims(*sentences):
    return {"claims": [{"claim": sentence} for sentence in sentences]}


def scatters(figure):
    return [panel for panel in figure.axes if panel.get_title(loc="left") in ("Law", "Tax")]


def strips(figure):
    return [panel for panel in figure.axes if panel.get_title(loc="left") == "on the front"]


def full_points(panel):
    lines = [line for line in panel.lines if line.get_marker() == CONTROLS["full"]["marker"]]
    return [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines]


def test_tradeoff_panels_show_gain_and_drift(study, estimates):
    figure = tradeoff_figure(study, estimates)
    assert [panel.get_title(loc="left") for panel in figure.axes] == ["Law", "Tax"]
    law = figure.axes[0]
    assert law.get_ylabel() == "BLEU gain over untuned (higher is better)"
    assert "nats per" in law.get_xlabel()
    assert "(lower is better)" in law.get_xlabel()
    drift = estimates.of("tiny", "law", RUNS[0], Quantity.general("text", "kl")).value
    gain = estimates.difference("tiny", "law", RUNS[0], UNTUNED, Quantity.domain("bleu")).value
    assert full_points(law) == [(drift, gain)]
    # The untuned model forgets nothing and gains nothing, and the axis reaches to it.
    (untuned,) = [line for line in law.lines if line.get_marker() == CONTROLS["untuned"]["marker"]]
    assert (untuned.get_xdata()[0], untuned.get_ydata()[0]) == (0, 0)
    assert law.get_xlim()[0] < 0


def test_axes_are_those_of_the_first_claims_that_the_study_can_decide(config, estimate):
    config |= claims(
        "random@0.5 beats full on general",
        "random@0.5 beats full on response_nll",
        "random@0.5 beats full on bleu",
        "random@0.5 forgets less than full on general",
        "random@0.5 forgets less than full on kl",
    )
    study, estimates = estimate(config)
    gain = estimates.difference("tiny", "law", RUNS[0], UNTUNED, Quantity.domain("response_nll")).value
    change = estimates.difference("tiny", "law", RUNS[0], UNTUNED, Quantity.general("quiz", "acc")).value
    law = scatters(tradeoff_figure(study, estimates))[0]
    assert full_points(law) == [pytest.approx((-100 * change, -gain))]
    assert law.get_ylabel().startswith("NLL gain over untuned")
    assert "lost, points (lower is better)" in " ".join(law.get_xlabel().split())


def test_claims_of_a_file_that_are_not_in_the_study_decide_nothing(config, tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text(
        "- claim: nobody@0.5 beats full on chrf\n- claim: random@0.5 beats full on meteor\n"
        "- claim: nobody@0.5 forgets less than full on quiz\n- claim: random@0.5 forgets less than full on nll\n"
    )
    study = parse_study(config | {"claims": str(path)})
    assert (learnt(study).name, forgotten(study).name) == ("meteor", "nll")


def test_without_claims_the_first_metric_and_the_drift_decide(config):
    config["evaluation"]["metrics"] = ["chrf", "bleu"]
    study = parse_study(config)
    assert (learnt(study).name, forgotten(study).name) == ("chrf", "kl")


def test_without_untuned_or_swept_arms_there_is_still_a_figure(config, estimate):
    for arms in (("full", "random"), ("untuned", "full")):
        study, estimates = estimate(config | {"arms": {name: config["arms"][name] for name in arms}})
        assert len(ratio_figure(study, estimates).axes) == 4
        assert len(tradeoff_figure(study, estimates).axes) == 2


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_there_is_no_front(config, estimate, seeds):
    figure = tradeoff_figure(*estimate(config | {"seeds": list(range(seeds))}))
    assert strips(figure) == []
    assert not [line for panel in figure.axes for line in panel.lines if line.get_gid() == "front"]
    assert "Pareto" not in " ".join(text.get_text() for text in figure.legends[0].texts)


@pytest.mark.parametrize("domain", ["law", "tax"])
def test_the_front_is_that_of_the_estimates_and_every_run_has_its_frequency(config, estimate, domain):
    config["evaluation"]["metrics"] = ["response_nll"]
    study, estimates = estimate(config | {"seeds": [0, 1, 2]})
    figure = tradeoff_figure(study, estimates)
    index = ["law", "tax"].index(domain)
    (front,) = [line for line in scatters(figure)[index].lines if line.get_gid() == "front"]
    found = []
    for run in RUNS:
        drift = estimates.of("tiny", domain, run, Quantity.general("text", "kl")).value
        gain = -estimates.difference("tiny", domain, run, UNTUNED, Quantity.domain("response_nll")).value
        found.append((drift, gain))
    best = [(d, g) for d, g in sorted(found) if g > max([0.0, *(h for e, h in found if e < d)])]
    assert front.get_xdata() == pytest.approx([drift for drift, _ in best])
    assert front.get_ydata() == pytest.approx([gain for _, gain in best])
    percents = [int(text.get_text()) for text in strips(figure)[index].texts]
    assert len(percents) == len(RUNS)
    assert all(0 <= percent <= 100 for percent in percents)


def test_a_front_has_no_runs_that_are_not_known(config, make_cells):
    from grads.report.measurements import collect
    from grads.report.statistics.estimates import Estimates

    study = parse_study(config | {"seeds": [0, 1, 2]})
    files = [one for one in make_cells(study) if (one.cell.arm, one.cell.domain) != ("full", "law")]
    figure = tradeoff_figure(study, Estimates(collect(study, files, partial=True), partial=True))
    assert [len(strip.texts) for strip in strips(figure)] == [3, 4]
    assert full_points(scatters(figure)[0]) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_no_point_of_the_front_is_beaten_and_all_others_are(points):
    values = np.array(points, dtype=float)
    (front,) = unbeaten(values[None, :, 0], values[None, :, 1])
    for (cost, gain), on_front in zip(points, front, strict=True):
        beaten = any((c <= cost and g >= gain) and (c, g) != (cost, gain) for c, g in points)
        assert on_front == (not beaten)


SEEDS, ITEMS = 5, 40


def sample(item_set, seed, mean, spread, shared=None):
    """Return a sample of a mean over items; with `shared` its items vary as those of another sample."""
    luck = np.random.default_rng(seed)
    rows = luck.normal(scale=spread, size=(SEEDS, ITEMS)) if shared is None else shared
    values = mean + luck.normal(scale=spread / 5, size=SEEDS)
    items = ItemSet({"tiny/law": (rows - rows.mean(axis=1, keepdims=True)) / ITEMS}, ITEMS, ITEMS)
    return Sample({"tiny/law": values}, {f"{item_set}\x1fmean": items}, 1.0)


def test_frequencies_tell_what_is_sure_from_what_is_not():
    a, b, c = (Run(name, "0.5") for name in "abc")
    positions = [
        Position(a, sample("text", 1, 1.0, 0.01), sample("law", 2, 1.0, 0.01)),
        # Costs as much as the first as far as anybody can tell, and gains the same.
        Position(b, sample("text", 3, 1.0, 0.01), sample("law", 4, 1.0, 0.01)),
        # Costs far more and gains far less.
        Position(c, sample("text", 5, 2.0, 0.01), sample("law", 6, 0.5, 0.01)),
    ]
    front = pareto_front(positions, with_origin=False)
    assert front.frequencies[c] == 0
    assert 0.05 < front.frequencies[a] < 1
    assert 0.05 < front.frequencies[b] < 1
    # One of the two is always on it.
    assert front.frequencies[a] + front.frequencies[b] >= 1
    gaining_nothing = [Position(a, positions[0].forgotten, sample("law", 2, -1.0, 0.01))]
    assert pareto_front(gaining_nothing, with_origin=True).frequencies == {a: 0.0}
    assert pareto_front(gaining_nothing, with_origin=True).runs == []


def test_without_items_nothing_is_known_of_a_front():
    bare = Sample({"tiny/law": np.arange(5.0)}, None, 1.0)
    assert pareto_front([Position(Run("a", "1"), bare, bare)], with_origin=True) is None
    assert pareto_front([], with_origin=True) is None
