from pathlib import Path

import pandas as pd
import pytest

from grads.report.files import selection_files
from grads.report.selections import make_partial_selections, make_selection_tables
from grads.runtime.errors import GradsError
from grads.selection.needs import arm_needs
from grads.study.grid import cells
from grads.study.reading import parse_study, read_study

SCORES = dict(zip("abcdef", (6.0, 5.0, 4.0, 3.0, 2.0, 1.0), strict=True))
MADE = {
    *(f"tables/{name}.{suffix}" for name in ("overlap", "subsets") for suffix in ("csv", "md", "tex", "html")),
    *(f"tables/extremes.{suffix}" for suffix in ("csv", "md", "html")),
    *(f"figures/{name}.{suffix}" for name in ("overlap", "magnitudes") for suffix in ("svg", "pdf")),
}


def all_choices(study):
    return {(cell.arm, cell.ratio, cell.seed): ("abc", SCORES) for cell in cells(study) if cell.ratio not in "01"}


def made(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_tables_and_figure_are_made_and_twice_the_same(study, choose, tmp_path):
    files = choose(study, all_choices(study))
    for name in ("first", "second"):
        make_selection_tables(study, files, tmp_path / name / "tables", tmp_path / name / "figures")
    assert set(made(tmp_path / "first")) == MADE
    assert made(tmp_path / "first") == made(tmp_path / "second")
    assert "1.00" in (tmp_path / "first/figures/overlap.svg").read_text()


def test_a_missing_file_is_named(study, choose, tmp_path):
    files = choose(study, all_choices(study))
    files[0].selection.unlink()
    with pytest.raises(GradsError, match=r"random-0\.05-0\.parquet is missing"):
        make_selection_tables(study, files, tmp_path / "tables", tmp_path / "figures")


def test_what_is_there_is_shown_and_stamped(config, choose, tmp_path):
    study = parse_study(config | {"seeds": [0, 1]})
    files = choose(study, all_choices(study))
    next(one for one in files if one.cell.arm == "grads_density").selection.unlink()
    out = tmp_path / "partial"
    assert make_partial_selections(study, files, out) == [out / "tables", out / "figures"]
    assert set(made(out)) == MADE
    for name in ("overlap", "subsets", "extremes"):
        text = (out / f"tables/{name}.md").read_text()
        assert "PARTIAL: 5 of 6 selections." in text
        assert "nan" not in text
    overlap = pd.read_csv(out / "tables/overlap.csv").set_index(["ratio", "arm", "other"])
    assert overlap["jaccard"].isna().to_dict() == {
        (0.05, "random", "random"): False,
        (0.5, "random", "random"): False,
        (0.5, "random", "grads_density"): True,
        (0.5, "grads_density", "grads_density"): True,
    }
    assert set(pd.read_csv(out / "tables/extremes.csv")["arm"]) == {"random"}


def test_nothing_is_made_of_nothing(study, choose, tmp_path):
    files = choose(study, all_choices(study))
    for one in files:
        one.selection.unlink()
    assert make_partial_selections(study, files, tmp_path / "partial") == []
    assert not (tmp_path / "partial").exists()


@pytest.mark.parametrize("arms", [{"untuned": {"method": "untuned"}}, {"full": {"method": "full"}}])
def test_a_study_that_selects_nothing_has_empty_tables(config, choose, tmp_path, arms):
    study = parse_study(config | {"arms": arms})
    files = choose(study, {("full", "1", 0): ("abcdef", dict.fromkeys("abcdef", 0.0))})
    make_selection_tables(study, files, tmp_path / "tables", tmp_path / "figures")
    assert len(pd.read_csv(tmp_path / "tables/overlap.csv")) == 0
    assert len(pd.read_csv(tmp_path / "tables/subsets.csv")) == 2 * len(files)


def test_files_of_every_selection_of_the_smoke_study():
    study = read_study(Path(__file__).parents[2] / "config/smoke.yaml")
    reads = {arm: {store: [] for store in arm_needs(study, arm).stores} for arm in study.arms}
    files = selection_files(study, reads)
    assert [one.cell for one in files] == [cell for cell in cells(study) if cell.trained]
    grads = next(one for one in files if one.cell.arm == "grads")
    signals = Path("results/smoke/signals/tiny/sums")
    assert grads.stores == {"base": signals / "base", "warm": signals / "warm-0"}
    assert grads.tokens == signals / "tokens"
    assert str(grads.selection) == "results/smoke/selections/tiny/sums/grads/0.5/0.parquet"
    assert len(grads.paths) == 5
