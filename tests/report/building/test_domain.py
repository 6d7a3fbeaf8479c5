import json
import re

import numpy as np
import pandas as pd
import pytest

from grads.report.building.claims import claims_table
from grads.report.building.domain import domain_table
from grads.report.measurements import collect
from grads.report.statistics.estimates import Estimates
from grads.study.reading import parse_study


@pytest.fixture
def frame(study, make_cells):
    return collect(study, make_cells(study))


def _set(frame: pd.DataFrame, metric: str, domain: str, values: dict[tuple[str, str], float]) -> None:
    """Put values in place of those measured; the items stay, and with them an interval."""
    for (arm, ratio), value in values.items():
        where = (frame["metric"] == metric) & (frame["domain"] == domain) & (frame["arm"] == arm)
        index = frame[where & (frame["ratio"] == ratio)].index
        assert len(index) == 1
        frame.loc[index, "value"] = value


BLEUS = {
    ("untuned", "0"): 9.0,
    ("full", "1"): 6.004,
    ("random", "0.05"): 2.0,
    ("random", "0.5"): 7.5,
    ("grads_density", "0.5"): 6.001,
}


def test_rows_and_columns_are_arms_and_metrics(study, frame):
    table = domain_table(study, Estimates(frame))
    metrics = ["BLEU ↑", "METEOR ↑", "chrF ↑", "NLL ↓"]
    assert table.header == ["arm", *[*metrics, "tokens"] * 2, *metrics]
    assert table.groups == [("", 1), ("Law", 5), ("Tax", 5), ("Mean over domains", 4)]
    (block,) = table.blocks
    assert block.title == "Tiny_1"
    arms = ["untuned", "full", "random@0.05", "random@0.5", "grads_density@0.5"]
    assert [row[0].text for row in block.rows] == arms
    assert {len(row) for row in block.rows} == {15}
    assert table.label == study.label


def test_best_and_second_trained_arm_are_marked(study, frame):
    """The untuned model is best here and takes no part; the two that print as 6.00 are both second."""
    _set(frame, "bleu", "law", BLEUS)
    column = [row[1] for row in domain_table(study, Estimates(frame)).blocks[0].rows]
    assert [entry.text for entry in column] == ["9.00", "6.00", "2.00", "7.50", "6.00"]
    assert [entry.place for entry in column] == [0, 2, 0, 1, 2]
    assert all(entry.aside.startswith("±") for entry in column)


def test_what_has_no_interval_is_not_ranked(study, frame):
    _set(frame, "bleu", "law", BLEUS)
    frame.loc[(frame["metric"] == "bleu") & (frame["ratio"] == "0.5") & (frame["arm"] == "random"), "statistic"] = ""
    column = [row[1] for row in domain_table(study, Estimates(frame)).blocks[0].rows]
    assert [(entry.text, entry.place) for entry in column][1:] == [("6.00", 1), ("2.00", 2), ("7.50", 0), ("6.00", 1)]
    assert column[3].aside == ""


def test_lengths_and_the_share_that_was_cut_stand_next_to_the_metrics(study, frame):
    _set(frame, "capped", "tax", {("full", "1"): 0.0})
    table = domain_table(study, Estimates(frame))
    full, half = (next(row for row in table.blocks[0].rows if row[0].text == name) for name in ("full", "random@0.5"))
    assert [full[place].text for place in (5, 10)] == ["11.5", "11.5"]
    assert ["12 % cut" in full[place].aside for place in (5, 10)] == [True, False]
    assert (half[10].text, half[10].place) == ("11.5", 0)
    assert "12 % cut" in half[10].aside
    lengths = table.tidy[table.tidy["metric"] == "new_tokens"]
    assert len(lengths) == 10
    assert set(lengths["value"]) == {11.5}


def test_what_bleu_says_of_lengths_stands_next_to_them(study, frame, config):
    """The ratio of lengths with its interval in the CSV file; a study without BLEU has neither."""
    _set(frame, "length_ratio", "tax", {("full", "1"): 0.876})
    _set(frame, "brevity_penalty", "tax", {("full", "1"): 0.868})
    table = domain_table(study, Estimates(frame))
    full = next(row for row in table.blocks[0].rows if row[0].text == "full")
    assert full[10].aside == "(12 % cut, ratio 0.88, BP 0.87)"
    ratios, penalties = (table.tidy[table.tidy["metric"] == one] for one in ("length_ratio", "brevity_penalty"))
    assert len(ratios) == len(penalties) == 10
    assert (ratios["interval"] == "items only").all()
    assert (penalties["interval"] == "none").all()
    config["evaluation"]["metrics"] = ["meteor"]
    other = domain_table(parse_study(config), Estimates(frame))
    assert other.blocks[0].rows[1][2].aside == "(12 % cut)"
    assert not {"length_ratio", "brevity_penalty"} & set(other.tidy["metric"])


def test_verdicts_are_a_column_compared_like_any_other(judge):
    study, files = judge()
    table = domain_table(study, Estimates(collect(study, files)))
    assert table.header[:4] == ["arm", "BLEU ↑", "Verdict ↑", "tokens"]
    column = [row[2] for row in table.blocks[0].rows]
    assert all(entry.aside.startswith("±") for entry in column)
    facts = table.tidy[(table.tidy["metric"] == "verdict") & (table.tidy["domain"] == "law")].set_index("arm")
    assert facts.loc["full", "gain"] == pytest.approx(facts.loc["full", "value"] - facts.loc["untuned", "value"])
    assert facts.loc["grads_density", ["against_full", "against_random", "against_full_p"]].notna().all()
    assert "Verdict worst:0|best:1|sha256:ab12" in " ".join(table.notes)


def test_claims_may_be_about_verdicts(judge, config):
    config["claims"] = [{"claim": "full beats random@0.5 on verdict"}]
    study, files = judge()
    (row, *_) = claims_table(study, Estimates(collect(study, files))).tidy.to_dict("records")
    assert row["measure"] == "verdict"
    assert -1 <= row["low"] <= row["value"] <= row["high"] <= 1


def test_lower_likelihood_loss_is_better(study, frame):
    values = dict(zip(BLEUS, (1.0, 2.1, 2.2, 2.0, 2.3), strict=True))
    _set(frame, "response_nll", "law", values)
    column = [row[4] for row in domain_table(study, Estimates(frame)).blocks[0].rows]
    assert [entry.place for entry in column] == [0, 2, 0, 1, 0]


def test_relative_gain_only_for_bleu_on_a_baseline_of_five(study, frame):
    _set(frame, "bleu", "law", BLEUS)
    _set(frame, "bleu", "tax", BLEUS | {("untuned", "0"): 4.99})
    tidy = domain_table(study, Estimates(frame)).tidy.set_index(["domain", "arm", "ratio", "metric"])
    assert tidy.loc[("law", "random", "0.5", "bleu"), "gain"] == -1.5
    assert tidy.loc[("law", "random", "0.5", "bleu"), "relative_gain"] == pytest.approx(-1.5 / 9)
    assert tidy.loc[("tax", "random", "0.5", "bleu"), "gain"] == pytest.approx(2.51)
    relative = tidy["relative_gain"].dropna().reset_index()
    assert set(relative["domain"]) == {"law"}
    assert set(relative["metric"]) == {"bleu"}


def test_full_precision_in_the_tidy_columns(study, frame):
    tidy = domain_table(study, Estimates(frame)).tidy
    assert len(tidy) == 2 * 5 * 8 + 5 * 4
    measured = frame[frame["metric"] == "meteor"].set_index(["domain", "arm", "ratio"])["value"]
    found = tidy[(tidy["metric"] == "meteor") & (tidy["domain"] != "mean")].set_index(["domain", "arm", "ratio"])[
        "value"
    ]
    assert found.to_dict() == measured.to_dict()


def test_notes_say_items_seeds_cap_and_signatures(study, frame):
    notes = " ".join(domain_table(study, Estimates(frame)).notes)
    for part in (
        "Test items: Law 6; Tax 6.",
        "items only",
        "(1 seed)",
        "answers stopped at 64 tokens",
        "Signatures: BLEU nrefs:1|case:mixed.",
        "grads_density: arXiv 2511.08620",
    ):
        assert part in notes
    assert re.search(r"Methods: .*random.*: control", notes)
    assert "†" not in notes


def test_models_that_were_tested_on_other_records_are_named(study, frame):
    other = frame.assign(model="other")
    both = pd.concat([frame, other], ignore_index=True)
    models = study.models | {"other": study.models["tiny"].model_copy(update={"title": "Other"})}
    study = study.model_copy(update={"models": models})
    alike = " ".join(domain_table(study, Estimates(both)).notes)
    assert "not tested on the same records" not in alike
    both.loc[(both["model"] == "other") & (both["domain"] == "law"), "n"] = 4
    notes = " ".join(domain_table(study, Estimates(both)).notes)
    assert "not tested on the same records" in notes
    assert "(Law: Tiny_1 6, Other 4)" in notes
    assert "Test items: Law 4 to 6; Tax 6." in notes


def test_a_selection_that_fell_short_is_marked(study, make_cells):
    files = make_cells(study)
    short = next(one for one in files if str(one.cell) == "tiny/tax/grads_density/0.5/0")
    content = json.loads(short.selection.read_text())
    short.selection.write_text(json.dumps(content | {"actual": content["requested"] - 1}))
    table = domain_table(study, Estimates(collect(study, files)))
    assert [row[0].text for row in table.blocks[0].rows if "†" in row[0].text] == ["grads_density@0.5†"]
    assert any(note.startswith("†") for note in table.notes)


def test_a_study_without_untuned_has_no_gain(config, make_cells):
    del config["arms"]["untuned"]
    study = parse_study(config)
    table = domain_table(study, Estimates(collect(study, make_cells(study))))
    assert "gain" not in table.tidy.columns
    assert len(table.blocks[0].rows) == 4


def test_published_values_stand_next_to_ours(config, make_cells):
    config["published"] = [
        {"run": "full", "measure": "bleu", "domain": "law", "value": 23.456, "source": "Table 2"},
        {"run": "random@0.5", "measure": "bleu", "domain": "law", "value": 20.0, "source": "Table 2"},
        {"run": "full", "measure": "quiz", "domain": "law", "value": 61.25, "source": "Table 3"},
    ]
    study = parse_study(config)
    table = domain_table(study, Estimates(collect(study, make_cells(study))))
    rows = {row[0].text: row for row in table.blocks[0].rows}
    assert rows["full"][1].aside.endswith(" [23.46]")
    assert rows["random@0.5"][1].aside.endswith("[20.00]")
    assert not any("[" in entry.aside for entry in [*rows["untuned"], *rows["full"][2:]])
    known = table.tidy[table.tidy["published"].notna()]
    assert list(zip(known["arm"], known["domain"], known["metric"], known["published"], strict=True)) == [
        ("full", "law", "bleu", 23.456),
        ("random", "law", "bleu", 20.0),
    ]
    assert "In square brackets the published value, for full, random@0.5: Table 2." in table.notes


@pytest.mark.parametrize("seeds", [[0, 1], [0, 1, 2]])
def test_what_is_surely_better_than_full_is_marked(config, make_cells, seeds):
    """Every answer of one arm is better than full's by half a point; with two seeds there are no marks."""
    config["evaluation"]["metrics"] = ["meteor"]
    study = parse_study(config | {"seeds": seeds})
    frame = collect(study, make_cells(study))
    luck = np.random.default_rng(0)
    for index in frame[frame["metric"] == "meteor"].index:
        better = 0.5 * (frame.at[index, "arm"] == "grads_density")
        items = 0.3 + better + luck.normal(scale=0.01, size=20)
        frame.at[index, "items"] = [[item] for item in items]
        frame.loc[index, ["value", "n"]] = items.mean(), 20
    table = domain_table(study, Estimates(frame))
    entry = next(row for row in table.blocks[0].rows if row[0].text == "grads_density@0.5")[1]
    assert ("f+" in entry.aside) == (len(seeds) > 2)
    if len(seeds) == 2:
        assert any(note.startswith("No marks") for note in table.notes)
        return
    assert any("f+ (f\u2212): better (worse) than full" in note for note in table.notes)
    assert any(note.startswith("Smallest true difference") and "METEOR" in note for note in table.notes)
    fact = table.tidy.set_index(["domain", "arm", "metric"]).loc[("law", "grads_density", "meteor")]
    assert fact["against_full"] == pytest.approx(0.5, abs=0.02)
    assert fact["groups"] == 20
    assert fact["against_full_p"] < 0.05


def test_means_over_domains_count_each_domain_alike(config, make_cells):
    config["evaluation"]["metrics"] = ["meteor"]
    study = parse_study(config | {"seeds": [0, 1, 2]})
    estimates = Estimates(collect(study, make_cells(study)))
    table = domain_table(study, estimates)
    tidy = table.tidy.set_index(["domain", "arm", "ratio", "metric"])
    law, tax, mean = (tidy.loc[(domain, "random", "0.5", "meteor")] for domain in ("law", "tax", "mean"))
    for column in ("value", "gain", "against_full"):
        assert mean[column] == pytest.approx((law[column] + tax[column]) / 2)
    assert mean["against_full_low"] < mean["against_full"] < mean["against_full_high"]
    # Drawn apart and trained apart, two domains know more together than each alone.
    assert mean["high"] - mean["low"] < max(law["high"] - law["low"], tax["high"] - tax["low"])
    row = next(row for row in table.blocks[0].rows if row[0].text == "random@0.5")
    assert row[5].text == f"{mean['value']:.3f}"
    assert {row[5].place for row in table.blocks[0].rows} >= {1, 2}
    assert table.blocks[0].rows[0][5].place == 0
    assert any("domains, which are fixed" in note for note in table.notes)
    assert any("METEOR, mean over domains" in note for note in table.notes if note.startswith("Smallest"))


def test_one_domain_has_no_mean(config, make_cells):
    del config["domains"]["tax"]
    study = parse_study(config)
    table = domain_table(study, Estimates(collect(study, make_cells(study))))
    assert table.groups == [("", 1), ("Law", 5)]
    assert set(table.tidy["domain"]) == {"law"}
    assert "fixed" not in " ".join(table.notes)


def test_the_domain_that_lacks_a_baseline_is_named(study, frame):
    """One that is not measured yet, and an untuned BLEU that is too small for a relative gain."""
    _set(frame, "bleu", "law", BLEUS)
    _set(frame, "bleu", "tax", BLEUS | {("untuned", "0"): 4.99})
    whole = " ".join(domain_table(study, Estimates(frame)).notes)
    assert "No relative gain of BLEU where the untuned model has less than 5: Tax (4.99)." in whole
    assert "lacks" not in whole
    gone = (frame["domain"] == "law") & frame["arm"].isin(["full", "untuned"])
    gone |= (frame["domain"] == "tax") & (frame["arm"] == "random") & (frame["ratio"] == "0.5")
    # No run is compared with random@0.05, so that none misses it.
    gone |= (frame["domain"] == "tax") & (frame["arm"] == "random") & (frame["ratio"] == "0.05")
    table = domain_table(study, Estimates(frame[~gone], partial=True))
    assert "there: Law lacks untuned, full; Tax lacks random@0.5." in " ".join(table.notes)
    means = {row[0].text: row[11].text for row in table.blocks[0].rows}
    assert means["full"] == means["random@0.5"] == "\u2013"
    assert means["grads_density@0.5"] != "\u2013"
