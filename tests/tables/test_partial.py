import pandas as pd
import pytest

from grads.runtime.errors import GradsError
from grads.study.load import parse_study
from grads.tables.layout import ABSENT
from grads.tables.measurements import collect
from grads.tables.partial import make_partial


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
    assert not (tmp_path / "partial/figures").exists()


def test_no_mean_is_taken_over_a_hole(two_seeds, make_cells, tmp_path):
    files = make_cells(two_seeds)
    make_partial(two_seeds, files, tmp_path / "whole")
    forget(files, "tiny/law/random/0.5/1")
    make_partial(two_seeds, files, tmp_path / "partial")
    whole, partial = (pd.read_csv(tmp_path / name / "tables/domain.csv") for name in ("whole", "partial"))
    hole = (partial["domain"] == "law") & (partial["arm"] == "random") & (partial["ratio"] == 0.5)
    assert hole.sum() == 4
    assert partial.loc[hole, ["value", "low", "high", "gain"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(partial[~hole], whole[~hole], check_dtype=False)
    cost = pd.read_csv(tmp_path / "partial/tables/cost.csv")
    assert cost.loc[(cost["domain"] == "law") & (cost["arm"] == "random"), "records"].isna().tolist() == [False, True]
    row = next(
        x for x in (tmp_path / "partial/tables/cost.md").read_text().splitlines() if x.startswith("| random@0.5")
    )
    assert set(row.replace("|", "").split()[1:]) == {ABSENT, "+"}


def test_every_table_is_stamped(study, make_cells, tmp_path):
    files = make_cells(study)
    forget(files, "tiny/law/full/1/0")
    make_partial(study, files, tmp_path / "partial")
    for name in ("domain", "forgetting", "cost"):
        for suffix in ("md", "html"):
            text = (tmp_path / f"partial/tables/{name}.{suffix}").read_text()
            assert f"PARTIAL: {len(files) - 1} of {len(files)} cells." in text
            assert "nan" not in text.lower()


@pytest.mark.parametrize("gone", ["untuned", "full", "random", "grads_density"])
def test_any_arm_may_be_missing(study, make_cells, tmp_path, gone):
    files = make_cells(study)
    for one in files:
        if one.cell.arm == gone:
            one.metrics.unlink()
    make_partial(study, files, tmp_path / "partial")
    text = (tmp_path / "partial/tables/domain.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith(f"| {gone}"))
    assert row.count(ABSENT) == 8


def test_a_study_without_a_finished_cell_is_refused(study, make_cells, tmp_path):
    files = make_cells(study)
    for one in files:
        one.metrics.unlink()
    with pytest.raises(GradsError, match=r"no cell of study 'toy' is finished"):
        make_partial(study, files, tmp_path / "partial")


def test_the_strict_table_stays_strict(study, make_cells):
    files = make_cells(study)
    with pytest.raises(GradsError, match="is missing"):
        collect(study, files[1:])
    assert len(collect(study, files[1:], partial=True)) < len(collect(study, files))
