import dataclasses
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from grads.report import partial
from grads.report.measurements import collect
from grads.report.partial import make_partial
from grads.report.rendering.layout import ABSENT
from grads.runtime.errors import GradsError
from grads.study.grid import Cell
from grads.study.reading import parse_study

pytestmark = pytest.mark.slow

FIGURES = ("overview", "differences", "ratio", "tradeoff", "benchmarks", "efficiency", "curves")


@pytest.fixture
def two_seeds(config):
    return parse_study(config | {"seeds": [0, 1]})


def forget(files, cell):
    next(one for one in files if str(one.cell) == cell).metrics.unlink()


def test_what_is_there_is_shown_and_what_is_not_is_listed(two_seeds, make_cells, tmp_path, capsys):
    files = make_cells(two_seeds)
    forget(files, "tiny/law/random/0.5/1")
    forget(files, "tiny/tax/full/1/0")
    made = make_partial(two_seeds, files, tmp_path / "partial")
    assert all(path.exists() for path in made)
    missing = pd.read_csv(tmp_path / "partial/missing.csv", dtype=str)
    found = ["/".join(row) for row in missing[["model", "domain", "arm", "ratio", "seed"]].to_numpy()]
    assert found == ["tiny/law/random/0.5/1", "tiny/tax/full/1/0"]
    assert missing["file"].str.endswith("metrics.json").all()
    assert "missing: tiny/law/random/0.5/1" in capsys.readouterr().err
    # Every finished cell is in the measurements, also one whose other seed is missing.
    measured = pd.read_parquet(tmp_path / "partial/measurements.parquet")
    assert len(measured[["model", "domain", "arm", "ratio", "seed"]].drop_duplicates()) == len(files) - 2
    figures = {path.name for path in (tmp_path / "partial/figures").iterdir()}
    assert figures == {f"{name}.{suffix}" for name in FIGURES for suffix in ("svg", "pdf")}


def test_no_mean_is_taken_over_a_hole(two_seeds, make_cells, tmp_path):
    files = make_cells(two_seeds)
    make_partial(two_seeds, files, tmp_path / "whole")
    forget(files, "tiny/law/random/0.5/1")
    make_partial(two_seeds, files, tmp_path / "partial")
    whole, found = (pd.read_csv(tmp_path / name / "tables/domain.csv") for name in ("whole", "partial"))
    hole = found["domain"].isin(["law", "mean"]) & (found["arm"] == "random") & (found["ratio"] == 0.5)
    assert hole.sum() == 8 + 4
    compared = [name for name in found if name.startswith("against_")]
    others = found["domain"] == "tax"
    pd.testing.assert_frame_equal(found.loc[others, compared], whole.loc[others, compared], check_dtype=False)
    assert found.loc[hole | ((found["domain"] == "law") & (found["arm"] != "full")), "against_random"].isna().all()
    whole, found = whole.drop(columns=compared), found.drop(columns=compared)
    assert found.loc[hole, ["value", "low", "high", "gain"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(found[~hole], whole[~hole], check_dtype=False)
    cost = pd.read_csv(tmp_path / "partial/tables/cost.csv")
    assert cost.loc[(cost["domain"] == "law") & (cost["arm"] == "random"), "records"].isna().tolist() == [False, True]
    row = next(
        x for x in (tmp_path / "partial/tables/cost.md").read_text().splitlines() if x.startswith("| random@0.5")
    )
    assert set(row.replace("|", "").split()[1:]) == {ABSENT, "+"}


def test_answers_that_are_not_judged_yet_are_a_dash(judge, tmp_path):
    study, files = judge()
    shutil.rmtree(tmp_path / "judgements")
    make_partial(study, files, tmp_path / "partial")
    found = pd.read_csv(tmp_path / "partial/tables/domain.csv").set_index("metric")
    assert found.loc["verdict", "value"].isna().all()
    assert found.loc["bleu", "value"].notna().all()


def test_every_table_is_stamped(study, make_cells, tmp_path):
    files = make_cells(study)
    forget(files, "tiny/law/full/1/0")
    make_partial(study, files, tmp_path / "partial")
    for name in ("main", "domain", "forgetting", "cost"):
        for suffix in ("md", "html"):
            text = (tmp_path / f"partial/tables/{name}.{suffix}").read_text()
            assert f"PARTIAL: {len(files) - 1} of {len(files)} cells." in text
            assert not re.search(r"\bnan\b", text, re.I)
    for name in FIGURES:
        # SVG holds text as outlines; each character's name is in a comment before them.
        assert (
            f"<!-- PARTIAL: {len(files) - 1} of {len(files)} cells."
            in (tmp_path / f"partial/figures/{name}.svg").read_text()
        )


@pytest.mark.parametrize("gone", ["untuned", "full", "random", "grads_density"])
def test_any_arm_may_be_missing(study, make_cells, tmp_path, gone):
    files = make_cells(study)
    for one in files:
        if one.cell.arm == gone:
            one.metrics.unlink()
    make_partial(study, files, tmp_path / "partial")
    text = (tmp_path / "partial/tables/domain.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith(f"| {gone}"))
    assert row.count(ABSENT) == 10 + 4


def test_a_study_without_a_finished_cell_is_refused(study, make_cells, tmp_path):
    files = make_cells(study)
    for one in files:
        one.metrics.unlink()
    with pytest.raises(GradsError, match=r"no cell of study 'toy' is finished"):
        make_partial(study, files, tmp_path / "partial")


def test_while_no_arm_has_all_its_seeds_there_is_one_sentence_and_a_list(two_seeds, make_cells, tmp_path):
    files = make_cells(two_seeds)
    for one in files:
        if one.cell.arm == "untuned" or one.cell.seed == 1:
            one.metrics.unlink()
    with pytest.raises(GradsError, match=r"no arm of study 'toy' has all its seeds yet.*missing\.csv names"):
        make_partial(two_seeds, files, tmp_path / "partial")
    assert len((tmp_path / "partial/missing.csv").read_text().splitlines()) == 1 + 10
    assert len(pd.read_parquet(tmp_path / "partial/measurements.parquet")) > 0


def test_one_run_is_enough(two_seeds, make_cells, tmp_path):
    files = make_cells(two_seeds)
    for one in files:
        if (one.cell.arm, one.cell.domain) != ("untuned", "tax"):
            one.metrics.unlink()
    make_partial(two_seeds, files, tmp_path / "partial")
    assert "PARTIAL: 1 of 18 cells." in (tmp_path / "partial/tables/domain.md").read_text()


def test_the_strict_table_stays_strict(study, make_cells):
    files = make_cells(study)
    with pytest.raises(GradsError, match="is missing"):
        collect(study, files[1:])
    assert len(collect(study, files[1:], partial=True)) < len(collect(study, files))


def test_a_long_list_of_missing_cells_is_cut_on_the_screen_only(study, make_cells, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(partial, "SHOWN", 3)
    files = make_cells(study)
    for one in files[1:6]:
        one.metrics.unlink()
    make_partial(study, files, tmp_path / "partial")
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith(("missing", "partial"))]
    assert said == [
        f"partial tables of 'toy': {len(files) - 5} cells are there, 5 are missing",
        *(f"missing: {one.cell} ({one.metrics})" for one in files[1:4]),
        "missing: 2 more, all in missing.csv",
    ]
    assert len((tmp_path / "partial/missing.csv").read_text().splitlines()) == 1 + 5


def test_a_hole_in_one_domain_leaves_the_others_whole():
    """Also where another model, domain, arm or ratio has the same name in part."""
    cells = [Cell(m, d, a, r, s) for m in "mn" for d in "de" for a in "ab" for r in ("0.5", "1") for s in (0, 1)]
    frame = pd.DataFrame([dataclasses.asdict(cell) for cell in cells])
    left = partial._complete_runs(frame, {Cell("m", "d", "a", "0.5", 1): [Path("x")]})
    gone = frame.drop(left.index)
    assert gone.drop(columns="seed").drop_duplicates().to_numpy().tolist() == [["m", "d", "a", "0.5"]]
    assert gone["seed"].tolist() == [0, 1]


def test_the_first_missing_file_of_a_cell_is_listed(study, make_cells, tmp_path):
    files = make_cells(study)
    one = next(one for one in files if one.cell.arm == "full")
    one.selection.unlink()
    one.training.unlink()
    make_partial(study, files, tmp_path / "partial")
    missing = pd.read_csv(tmp_path / "partial/missing.csv")
    assert missing["file"].tolist() == [str(one.training)]


@pytest.mark.parametrize("gone", ["untuned", "full", "grads_density"])
def test_tables_that_only_some_studies_have_show_holes_too(config, make_cells, tmp_path, gone):
    config["evaluation"]["metrics"] = ["meteor"]
    config["arms"]["grads_density-head"] = {"method": "grads_density", "ratios": ["0.5"], "start": "warm"}
    claims = ["grads_density@0.5 beats full on meteor", "random@0.5 forgets less than untuned on general"]
    study = parse_study(config | {"claims": [{"claim": one, "form": "relative"} for one in claims]})
    files = make_cells(study)
    for one in files:
        if one.cell.arm == gone and one.cell.domain == "law":
            one.metrics.unlink()
    make_partial(study, files, tmp_path / "partial")
    for name in ("forgetting", "claims", "ablation"):
        text = (tmp_path / f"partial/tables/{name}.md").read_text(encoding="utf-8")
        assert "PARTIAL: " in text
        assert not re.search(r"\bnan\b", text, re.I)
    claims = pd.read_csv(tmp_path / "partial/tables/claims.csv").set_index(["claim", "domain"])["verdict"]
    first = "grads_density@0.5 beats full on meteor"
    for domain in ("law", "pooled"):
        assert (claims[first, domain] == "not measured yet") == (gone != "untuned")
    assert claims[first, "tax"] == "items only"
