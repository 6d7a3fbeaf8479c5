"""Claims judged: by hand, where the truth is known, and in a whole table."""

import math
import re

import numpy as np
import pandas as pd
import pytest

from grads.report.building.claims import claims_table
from grads.report.building.forgetting import forgetting_table
from grads.report.building.judging import Judged, judge_claims
from grads.report.measurements import collect
from grads.report.rendering.render import latex, markdown, page
from grads.report.statistics.estimates import Estimates
from grads.study.claim_sentences import read_claims
from grads.study.grid import cells
from grads.study.reading import parse_study

CLAIMS = [
    {"claim": "grads_density@0.5 beats full on meteor", "published": 1.5, "source": "Table 1"},
    {"claim": "grads_density@0.5 beats random@0.5 on response_nll"},
    {"claim": "random@0.5 forgets less than full on general"},
    {"claim": "random@0.5 forgets less than full on kl"},
    {"claim": "random@0.5 beats full on bleu", "form": "relative", "published": 28.08},
]


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
    found = {(one.row.claim.claim.claim, one.row.domain): one.row.estimate.value for one in judge()}
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
    assert {one.row.domain for one in found} == {"law"}


SEEDS = [0, 1, 2, 3, 4]
STEPS = {"full": 75, "random": 40, "grads_density": 40}


@pytest.fixture
def judge(config):
    """Return a function that gives a study, and what was measured of it where arms are better by so much.

    Effects on METEOR and on the benchmark are by arm, or by arm and domain; items are 60, and full training is better
    on METEOR by 0.2 and worse on the benchmark by 0.3 where nothing else is said.
    """

    def judge(claims, meteor=None, quiz=None, seeds=SEEDS, models=("tiny",)):
        config["evaluation"]["metrics"] = ["meteor"]
        config["models"] = {name: config["models"]["tiny"] | {"title": name.title()} for name in models}
        study = parse_study(config | {"claims": claims, "seeds": list(seeds)})
        effects = {"meteor": {"full": 0.2} | (meteor or {}), "acc": {"full": -0.3} | (quiz or {})}
        return study, Estimates(long_table(study, effects))

    return judge


def long_table(study, effects):
    """Return a long table of METEOR and a benchmark on 60 items, drift, and steps."""
    rows = []
    for cell in cells(study):
        for part, task, metric in (("domain", "test", "meteor"), ("general", "quiz", "acc"), ("general", "text", "kl")):
            hardness = np.random.default_rng(len(task)).uniform(0.3, 0.6, size=60)
            luck = np.random.default_rng(sum(map(ord, f"{cell} {metric}"))).normal(scale=0.02, size=60)
            known = effects.get(metric, {})
            effect = known.get((cell.arm, cell.domain), known.get(cell.arm, 0.0))
            values = hardness + luck + effect if metric != "kl" else np.full(60, 0.1 * cell.trained)
            items = {"statistic": "mean", "items": [[value] for value in values]}
            rows.append(row_of(cell, part, task, metric, float(values.mean())) | items)
        if cell.trained:
            rows.append(row_of(cell, "cost", "training", "steps", float(STEPS[cell.arm])))
    return pd.DataFrame(rows)


def row_of(cell, part, task, metric, value):
    names = {name: getattr(cell, name) for name in ("model", "domain", "arm", "ratio", "seed")}
    rest = {"n": 60, "signature": "", "statistic": "", "items": [], "item_groups": []}
    return names | {"part": part, "task": task, "metric": metric, "value": value} | rest


def found(study, estimates) -> dict[tuple[str, str], Judged]:
    return {(one.row.claim.sentence, one.row.domain): one for one in judge_claims(study, estimates, read_claims(study))}


BETTER = "grads_density@0.5 beats full on meteor"


def test_a_known_effect_is_supported_and_its_opposite_refuted(judge):
    opposite = "full beats grads_density@0.5 on meteor"
    by_row = found(*judge([{"claim": BETTER}, {"claim": opposite}], meteor={"grads_density": 0.5}))
    for domain in ("law", "tax", "pooled"):
        assert by_row[BETTER, domain].verdict == "supported"
        assert by_row[opposite, domain].verdict == "refuted"
        assert by_row[BETTER, domain].decision.low > 0


def test_drift_in_bits_is_in_favour_of_the_arm_that_has_fewer(config, make_cells):
    sentence = "random@0.5 forgets less than full on bits_per_byte"
    study = parse_study(config | {"claims": [{"claim": sentence}]})
    frame = collect(study, make_cells(study))
    found = {
        one.row.domain: one.row.estimate.value for one in judge_claims(study, Estimates(frame), read_claims(study))
    }
    values = [value(frame, *run, "law", "bits_per_byte") for run in (("full", "1"), ("random", "0.5"))]
    assert found["law"] == pytest.approx(values[0] - values[1])
    assert found["law"] > 0


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_too_few_seeds_have_no_verdicts(judge, seeds):
    study, estimates = judge([{"claim": BETTER}], meteor={"grads_density": 0.5}, seeds=seeds)
    assert {one.verdict for one in found(study, estimates).values()} == {"items only"}
    table = claims_table(study, estimates)
    assert not any(entry.place for block in table.blocks for row in block.rows for entry in row)
    assert all(row[3].text.startswith("[") for row in table.blocks[0].rows)
    assert "no verdict" in " ".join(table.notes)


def test_the_rows_of_domains_are_tested_only_where_the_pooled_row_comes_out(judge):
    other = "random@0.5 beats random@0.05 on meteor"
    study, estimates = judge([{"claim": BETTER}, {"claim": other}], meteor={("grads_density", "law"): 0.6})
    by_row = found(study, estimates)
    assert by_row[BETTER, "pooled"].verdict == "supported"
    assert by_row[BETTER, "law"].verdict == "supported"
    assert by_row[BETTER, "tax"].verdict == "refuted"
    # A share of 1 / 2 for the claim; within it Holm's procedure, of two rows.
    assert sorted(by_row[BETTER, domain].decision.level for domain in ("law", "tax")) == [0.05 / 4, 0.05 / 2]
    assert by_row[other, "pooled"].verdict == "undecided"
    for domain in ("law", "tax"):
        assert by_row[other, domain].verdict == "not tested"
        assert math.isnan(by_row[other, domain].decision.level)
    table = claims_table(study, estimates)
    primary = table.tidy[table.tidy["primary"]]
    assert set(primary["domain"]) == {"pooled"}
    assert f"The {len(primary)} rows" in " ".join(table.notes)
    assert len(primary) == 2
    tested = table.tidy[table.tidy["level"].notna()]
    expected = [one.row.estimate.detectable(one.decision.level) for one in by_row.values() if one.decision.level > 0]
    assert tested["detectable"].tolist() == pytest.approx(expected)
    assert table.tidy[table.tidy["level"].isna()]["detectable"].isna().all()


def test_of_two_forms_the_one_that_is_stated_first_is_tested(judge):
    forms = [{"claim": BETTER, "form": "relative"}, {"claim": BETTER}, {"claim": "random@0.5 beats full on meteor"}]
    study, estimates = judge(forms, meteor={"grads_density": 0.5})
    judged = judge_claims(study, estimates, read_claims(study))
    verdicts = {(one.row.claim.claim.form, one.verdict) for one in judged if one.row.claim.sentence == BETTER}
    assert verdicts == {("relative", "supported"), ("absolute", "see its other form")}
    assert sum(one.primary for one in judged) == 2


def test_nothing_is_said_of_forgetting_where_nothing_is_forgotten(judge):
    claim = "random@0.5 forgets less than full on general"
    by_row = found(*judge([{"claim": claim}], quiz={("full", "tax"): 0.2, ("full", "law"): -0.6, "random": 0.5}))
    verdicts = {domain: by_row[claim, domain].verdict for domain in ("law", "tax", "pooled")}
    assert verdicts == {"law": "supported", "tax": "nothing forgotten", "pooled": "supported"}
    by_row = found(*judge([{"claim": claim}], quiz={"full": 0.0, "random": 0.5}))
    assert by_row[claim, "pooled"].verdict == "nothing forgotten"


def test_nothing_is_said_of_learning_where_nothing_is_learnt(judge):
    by_row = found(*judge([{"claim": BETTER}], meteor={"full": -0.1, "grads_density": 0.5}))
    assert by_row[BETTER, "pooled"].verdict == "nothing learnt"
    # A row that is not judged counts in the family all the same, and opens none below it.
    assert by_row[BETTER, "pooled"].primary
    assert math.isnan(by_row[BETTER, "law"].decision.level)


def test_without_the_untuned_model_no_claim_is_held_back(judge, config):
    del config["arms"]["untuned"]
    by_row = found(*judge([{"claim": BETTER}], meteor={"full": -0.1, "grads_density": 0.5}))
    assert by_row[BETTER, "pooled"].verdict == "supported"


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ({"margin": 0.1}, "no larger than 0.1"),
        ({"published": -0.2}, "no larger than 0.1"),
        ({"published": 0.2, "margin": 0.00001}, "undecided"),
        ({}, "undecided"),
    ],
)
def test_a_difference_that_is_no_larger_than_what_would_matter(judge, claim, verdict):
    sentence = "random@0.5 beats random@0.05 on meteor"
    one = found(*judge([{"claim": sentence} | claim]))[sentence, "pooled"]
    assert one.verdict == verdict


def test_a_claim_may_be_pooled_over_models(judge):
    study, estimates = judge(
        [{"claim": BETTER, "pool": "models"}, {"claim": "random@0.5 beats full on meteor"}],
        meteor={"grads_density": 0.5},
        models=("tiny", "big"),
    )
    judged = judge_claims(study, estimates, read_claims(study))
    pooled = [one for one in judged if one.row.claim.sentence == BETTER]
    places = [("tiny", "law"), ("tiny", "tax"), ("big", "law"), ("big", "tax"), ("pooled", "pooled")]
    assert [(one.row.model, one.row.domain) for one in pooled] == places
    assert sum(one.primary for one in judged) == 1 + 2
    assert pooled[-1].row.estimate.value == pytest.approx(np.mean([one.row.estimate.value for one in pooled[:-1]]))
    assert pooled[-1].verdict == "supported"
    titles = [block.title for block in claims_table(study, estimates).blocks]
    assert titles == ["Tiny, absolute differences", "Big, absolute differences", "All models, absolute differences"]


def test_steps_of_both_arms_stand_next_to_the_difference(judge):
    study, estimates = judge([{"claim": BETTER}, {"claim": "full beats untuned on meteor"}])
    table = claims_table(study, estimates)
    column = table.header.index("steps")
    assert [row[column].text for row in table.blocks[0].rows] == ["40 / 75"] * 3 + ["75 / \u2013"] * 3
    assert table.tidy["steps"].tolist() == [40] * 3 + [75] * 3


def test_relative_forms_of_several_tasks_are_means_of_each_tasks_ratio(config, make_cells):
    """As in GrADS (arXiv 2511.08620), and as in the column `vs full` of the table of forgetting."""
    quiz = config["general"]["tasks"]["quiz"]
    config["general"]["tasks"]["exam"] = quiz | {"title": "Exam", "sample": 40}
    claim = {"claim": "grads_density@0.5 forgets less than full on general"}
    study = parse_study(config | {"claims": [claim, claim | {"form": "relative"}]})
    frame = collect(study, make_cells(study))
    found = {
        (one.row.claim.claim.form, one.row.domain): one.row.estimate
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
    found = {one.row.domain: one.verdict for one in judge_claims(study, Estimates(frame), read_claims(study))}
    assert found["law"] == found["pooled"] == "no baseline"


def test_a_small_bleu_is_no_baseline(judged):
    _, frame, judge = judged
    where = (frame["metric"] == "bleu") & (frame["domain"] == "law") & (frame["arm"] == "full")
    frame.loc[where, ["value", "statistic"]] = 4.9, ""
    found = {one.row.domain: one for one in judge() if one.row.claim.claim.form == "relative"}
    assert found["law"].verdict == found["pooled"].verdict == "no baseline"
    assert math.isnan(found["law"].row.estimate.value)
    assert found["law"].row.reason == found["pooled"].row.reason == "Law"
    assert found["tax"].verdict == "items only"


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
    expected = [
        "stm@1 forgets less than full on gsm8k",
        "",
        "",
        "",
        "",
        "not in this study",
        "",
        "\u22120.20",
        "Table 2",
    ]
    assert texts == expected
    assert table.tidy["verdict"].tolist().count("not in this study") == 1
    assert set(table.tidy["form"]) == {"absolute", "relative"}
    for text in (markdown(table), latex(table), page(table)):
        assert not re.search(r"\bnan\b", text, re.I)


def test_a_hole_is_not_measured_yet(judged):
    study, frame, _ = judged
    without = frame[~((frame["arm"] == "full") & (frame["domain"] == "law"))]
    found = judge_claims(study, Estimates(without, partial=True), read_claims(study))
    verdicts = {(one.row.claim.base, one.row.domain): one.verdict for one in found}
    assert verdicts["full", "law"] == verdicts["full", "pooled"] == "not measured yet"
    assert verdicts["full", "tax"] != "not measured yet"
    reasons = {(one.row.claim.base, one.row.domain): one.row.reason for one in found}
    assert reasons["full", "law"] == reasons["full", "pooled"] == "Law lacks full"
    assert reasons["full", "tax"] == ""


def test_a_claim_that_cannot_be_held_back_yet_says_what_is_missing(judge):
    """Whether full training gains anything is not known before the untuned model is measured."""
    study, estimates = judge([{"claim": BETTER}], meteor={"grads_density": 0.5})
    frame = estimates.frame
    without = frame[~((frame["arm"] == "untuned") & (frame["domain"] == "tax"))]
    by_row = found(study, Estimates(without, partial=True))
    assert by_row[BETTER, "law"].row.problem == ""
    for domain in ("tax", "pooled"):
        assert (by_row[BETTER, domain].verdict, by_row[BETTER, domain].row.reason) == (
            "not measured yet",
            "Tax lacks untuned",
        )


def test_the_verdicts_of_the_first_family_are_counted(judge):
    sentences = [BETTER, "full beats grads_density@0.5 on meteor", "random@0.5 beats random@0.05 on meteor"]
    study, estimates = judge([{"claim": one} for one in sentences], meteor={"grads_density": 0.5})
    notes = claims_table(study, estimates).notes
    assert "Verdicts of these 3 rows: 1 supported, 1 refuted, 1 undecided." in notes


def test_a_control_with_the_lengths_of_another_arm_is_named(config, make_cells):
    config["evaluation"]["metrics"] = ["meteor"]
    lengths = {"method": "random_length", "ratios": ["0.5"]}
    config["arms"]["grads"] = {"method": "grads", "ratios": ["0.5"]}
    config["arms"] |= {"lengths": lengths, "of-dense": lengths | {"parameters": {"reference": "grads_density"}}}
    claims = [
        "grads_density@0.5 beats lengths@0.5 on meteor",
        "of-dense@0.5 forgets less than grads_density@0.5 on general",
        "lengths@0.5 beats random@0.5 on meteor",
    ]
    study = parse_study(config | {"claims": [{"claim": one} for one in claims]})
    notes = claims_table(study, Estimates(collect(study, make_cells(study)))).notes
    (note,) = [note for note in notes if "lengths of" in note]
    assert note == "Controls of other lengths: lengths has the lengths of grads, not of grads_density."


def test_claims_of_papers_are_no_error_where_a_study_lacks_their_controls(config, make_cells):
    config["evaluation"]["metrics"] = ["meteor"]
    config["arms"]["grads"] = {"method": "grads", "ratios": ["0.05", "0.5"]}
    study = parse_study(config | {"claims": "config/claims/grads.yaml"})
    tidy = claims_table(study, Estimates(collect(study, make_cells(study)))).tidy.set_index("claim")
    for control in ("random_length", "full_steps"):
        lacking = tidy[tidy.index.str.contains(control)]
        assert len(lacking) >= 2
        assert set(lacking["verdict"]) == {"not in this study"}
    assert "items only" in set(tidy.loc["grads@0.05 beats full on meteor", "verdict"])
