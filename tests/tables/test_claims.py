"""Claims judged: by hand, where the truth is known, and in a whole table."""

import math
import re

import numpy as np
import pytest

from grads.study.claims import read_claims
from grads.study.load import parse_study
from grads.tables.claims import claims_table, decide, judge_claims
from grads.tables.estimates import Estimates
from grads.tables.forgetting import forgetting_table
from grads.tables.measurements import collect
from grads.tables.render import latex, markdown, page
from grads.tables.samples import Estimate, Sample, difference
from grads.tables.statistics import item_weights

CLAIMS = [
    {"claim": "grads_density@0.5 beats full on meteor", "published": 1.5, "source": "Table 1"},
    {"claim": "grads_density@0.5 beats random@0.5 on response_nll"},
    {"claim": "random@0.5 forgets less than full on general"},
    {"claim": "random@0.5 forgets less than full on kl"},
    {"claim": "random@0.5 beats full on bleu", "form": "relative", "published": 28.08},
]


def estimate(value: float, error: float = 1.0) -> Estimate:
    return Estimate(value, 0, 0, 50, 3, error=error, freedom=1e9)


def test_decisions_by_hand():
    """Three normal tests: levels 0.05/3, 0.05/2, then stop; two-sided quantiles 2.394 and 2.241."""
    decided = decide([estimate(2.1), estimate(3.0), estimate(-2.3)])
    assert [verdict for *_, verdict in decided] == ["supported", "supported", "refuted"]
    decided = decide([estimate(1.9), estimate(2.3), estimate(-2.2)])
    assert [verdict for *_, verdict in decided] == ["undecided"] * 3
    assert decided[1][1:3] == pytest.approx((2.3 - 2.394, 2.3 + 2.394), abs=1e-3)
    decided = decide([estimate(3.0), estimate(2.2), estimate(1.0)])
    assert [verdict for *_, verdict in decided] == ["supported", "undecided", "undecided"]
    # After the stop all bounds are those of the level that failed.
    assert decided[1][1] == pytest.approx(2.2 - 2.241, abs=1e-3)
    assert decided[2][1] == pytest.approx(1.0 - 2.241, abs=1e-3)


def test_bounds_verdict_and_p_say_the_same():
    generator = np.random.default_rng(0)
    for _ in range(100):
        results = [estimate(float(value)) for value in generator.normal(1.5, 2, size=7)]
        for p, low, high, verdict in decide(results):
            assert (verdict == "undecided") == (low <= 0 <= high) == (p > 0.05)
            assert (verdict == "supported") == (low > 0)
            assert (verdict == "refuted") == (high < 0)


def test_what_has_no_interval_is_undecided():
    unknown = Estimate(5.0, math.nan, math.nan, 10, 1)
    (p, low, _, verdict), other = decide([unknown, estimate(2.1)])
    assert math.isnan(p)
    assert math.isnan(low)
    assert verdict == "undecided"
    # It still counts among the tests: 2.1 is not enough for the first of two.
    assert other[3] == "undecided"


def family(generator, effects, seeds, of_seeds):
    """Return estimates of differences between arms that answer the same 80 items with the same seeds."""
    weights, results = item_weights("truth", 80), []
    hardness = generator.normal(size=(80, 1))
    for effect in effects:
        luck = math.sqrt(of_seeds) * generator.normal(size=(1, seeds))
        one, other = (
            hardness + 0.3 * generator.normal(size=(80, 1)) + generator.normal(size=(80, seeds)) for _ in range(2)
        )
        pair = [Sample(x.mean(axis=0), (weights @ x / 80).T, 80) for x in (effect + luck + one, other)]
        results.append(difference(*pair).estimate())
    return results


@pytest.mark.parametrize(("seeds", "of_seeds"), [(1, 0.0), (5, 0.01), (10, 0.01)])
def test_true_nulls_are_left_alone(seeds, of_seeds):
    """The family-wise error of six claims of which none is true is at most 5 %, within the simulation's own error."""
    generator, errors, runs = np.random.default_rng(7), 0, 400
    for _ in range(runs):
        errors += any(verdict != "undecided" for *_, verdict in decide(family(generator, [0.0] * 6, seeds, of_seeds)))
    assert errors / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


def test_true_effects_are_found_on_their_side():
    generator, found, runs = np.random.default_rng(7), [], 100
    for _ in range(runs):
        found.append([verdict for *_, verdict in decide(family(generator, [1.2, 1.2, -1.2, 0.0], 5, 0.01))])
    assert np.mean([row[:3] == ["supported", "supported", "refuted"] for row in found]) > 0.95
    assert np.mean([row[3] != "undecided" for row in found]) < 0.12


@pytest.fixture
def study(config):
    return parse_study(config | {"claims": CLAIMS})


@pytest.fixture
def judged(study, make_cells):
    frame = collect(study, make_cells(study))
    return study, frame, lambda: judge_claims(study, Estimates(frame), read_claims(study))


def value(frame, arm, ratio, domain, metric):
    where = (frame["arm"] == arm) & (frame["ratio"] == ratio) & (frame["domain"] == domain)
    return frame[where & (frame["metric"] == metric)]["value"].item()


def test_differences_are_in_favour_of_the_claim(judged):
    _, frame, judge = judged
    found = {(one.claim.claim.claim, one.domain): one.estimate.value for one in judge()}
    assert len(found) == 5 * 3
    meteor, nll, general, kl, relative = (claim["claim"] for claim in CLAIMS)
    dense, full, half = (("grads_density", "0.5"), ("full", "1"), ("random", "0.5"))
    expected = value(frame, *dense, "law", "meteor") - value(frame, *full, "law", "meteor")
    assert found[meteor, "law"] == pytest.approx(expected)
    expected = value(frame, *half, "tax", "response_nll") - value(frame, *dense, "tax", "response_nll")
    assert found[nll, "tax"] == pytest.approx(expected)
    expected = 100 * (value(frame, *half, "law", "acc") - value(frame, *full, "law", "acc"))
    assert found[general, "law"] == pytest.approx(expected)
    assert found[kl, "law"] == pytest.approx(value(frame, *full, "law", "kl") - value(frame, *half, "law", "kl"))
    expected = 100 * (value(frame, *half, "law", "bleu") / value(frame, *full, "law", "bleu") - 1)
    assert found[relative, "law"] == pytest.approx(expected)
    for claim in (meteor, general, relative):
        assert found[claim, "pooled"] == pytest.approx((found[claim, "law"] + found[claim, "tax"]) / 2)


def test_one_domain_has_no_pooled_row(config, make_cells):
    del config["domains"]["tax"]
    study = parse_study(config | {"claims": CLAIMS})
    found = judge_claims(study, Estimates(collect(study, make_cells(study))), read_claims(study))
    assert {one.domain for one in found} == {"law"}


def test_a_known_effect_is_supported_and_its_opposite_refuted(judged):
    study, frame, judge = judged
    for domain in study.domains:
        mask = (frame["metric"] == "meteor") & (frame["domain"] == domain)
        base = frame[mask & (frame["arm"] == "full")].iloc[0]
        index = frame[mask & (frame["arm"] == "grads_density")].index[0]
        frame.at[index, "items"] = [[item[0] + 0.5] for item in base["items"]]
        frame.at[index, "value"] = base["value"] + 0.5
    verdicts = {(one.claim.measure, one.domain): one.verdict for one in judge()}
    assert {verdicts["meteor", domain] for domain in ("law", "tax", "pooled")} == {"supported"}
    opposite = study.model_copy(
        update={"claims": parse_study(_with(study, "full beats grads_density@0.5 on meteor")).claims}
    )
    found = judge_claims(opposite, Estimates(frame), read_claims(opposite))
    assert {one.verdict for one in found} == {"refuted"}


def _with(study, claim):
    return study.model_dump(mode="json") | {"claims": [{"claim": claim}]}


def test_relative_forms_of_several_tasks_are_means_of_each_tasks_ratio(config, make_cells):
    """As in GrADS (arXiv 2511.08620), and as in the column `vs full` of the table of forgetting."""
    quiz = config["general"]["tasks"]["quiz"]
    config["general"]["tasks"]["exam"] = quiz | {"title": "Exam", "sample": 40}
    claim = {"claim": "grads_density@0.5 forgets less than full on general"}
    study = parse_study(config | {"claims": [claim, claim | {"form": "relative"}]})
    frame = collect(study, make_cells(study))
    found = {
        (one.claim.claim.form, one.domain): one.estimate
        for one in judge_claims(study, Estimates(frame), read_claims(study))
    }
    where = (frame["domain"] == "law") & (frame["metric"] == "acc")
    dense, full = (frame[where & (frame["arm"] == arm)].set_index("task")["value"] for arm in ("grads_density", "full"))
    assert found["relative", "law"].value == pytest.approx(100 * (dense / full - 1).mean())
    assert found["relative", "law"].value != pytest.approx(100 * (dense.mean() / full.mean() - 1))
    assert found["absolute", "law"].value == pytest.approx(100 * (dense - full).mean())
    row = forgetting_table(study, Estimates(frame)).tidy.query("domain == 'law' and arm == 'grads_density'")
    row = row[row["task"] == "mean"].iloc[0]
    columns = [row[f"relative_to_full{end}"] for end in ("", "_low", "_high")]
    one = found["relative", "law"]
    assert [one.value, one.low, one.high] == pytest.approx([100 * column for column in columns])


def test_a_task_without_baseline_leaves_the_mean_without(config, make_cells):
    config["general"]["tasks"]["exam"] = config["general"]["tasks"]["quiz"] | {"title": "Exam"}
    claim = {"claim": "grads_density@0.5 forgets less than full on general", "form": "relative"}
    study = parse_study(config | {"claims": [claim]})
    frame = collect(study, make_cells(study))
    where = (frame["domain"] == "law") & (frame["task"] == "exam") & (frame["arm"] == "full")
    frame.loc[where & (frame["metric"] == "acc"), ["value", "statistic"]] = 0.0, ""
    found = {one.domain: one.verdict for one in judge_claims(study, Estimates(frame), read_claims(study))}
    assert found["law"] == found["pooled"] == "no baseline"


def test_a_small_bleu_is_no_baseline(judged):
    _, frame, judge = judged
    where = (frame["metric"] == "bleu") & (frame["domain"] == "law") & (frame["arm"] == "full")
    frame.loc[where, ["value", "statistic"]] = 4.9, ""
    found = {one.domain: one for one in judge() if one.claim.claim.form == "relative"}
    assert found["law"].verdict == found["pooled"].verdict == "no baseline"
    assert math.isnan(found["law"].estimate.value)
    assert found["tax"].verdict == "undecided"


def test_the_table_has_all_claims_and_the_published_values(study, make_cells, tmp_path):
    path = tmp_path / "claims.yaml"
    lines = [f"- {{claim: {one['claim']}, form: {one.get('form', 'absolute')}}}\n" for one in CLAIMS]
    missing = "- {claim: stm@1 forgets less than full on gsm8k, published: -0.2, source: Table 2}\n"
    path.write_text("".join([*lines, missing]), encoding="utf-8")
    study = parse_study(study.model_dump(mode="json") | {"claims": str(path)})
    table = claims_table(study, Estimates(collect(study, make_cells(study))))
    titles = ["Tiny_1, absolute differences", "Tiny_1, relative differences", "Not in this study"]
    assert [block.title for block in table.blocks] == titles
    assert [len(block.rows) for block in table.blocks] == [12, 3, 1]
    texts = [entry.text for entry in table.blocks[2].rows[0]]
    expected = ["stm@1 forgets less than full on gsm8k", "", "", "", "", "not in this study", "\u22120.20", "Table 2"]
    assert texts == expected
    assert "over all 15 rows" in " ".join(table.notes)
    assert "no verdict covers what other seeds would give" in " ".join(table.notes)
    assert table.tidy["verdict"].tolist().count("not in this study") == 1
    assert set(table.tidy["form"]) == {"absolute", "relative"}
    for text in (markdown(table), latex(table), page(table)):
        assert not re.search(r"\bnan\b", text, re.I)


def test_a_hole_is_not_measured_yet(judged):
    study, frame, _ = judged
    without = frame[~((frame["arm"] == "full") & (frame["domain"] == "law"))]
    found = judge_claims(study, Estimates(without, partial=True), read_claims(study))
    verdicts = {(one.claim.base, one.domain): one.verdict for one in found}
    assert verdicts["full", "law"] == verdicts["full", "pooled"] == "not measured yet"
    assert verdicts["full", "tax"] != "not measured yet"
