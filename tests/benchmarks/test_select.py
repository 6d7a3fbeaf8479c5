"""The benchmark of selection: what is measured, on what, and what is said about it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from benchmarks import select
from benchmarks.select_cases import GROUPS, Group, chooses, comparisons, groups
from benchmarks.select_losses import coverage, kernel_density_errors, matching
from benchmarks.select_report import markdown
from benchmarks.select_worker import Case, measure
from benchmarks.synthetic import OTHERS, synthetic_stores, synthetic_texts
from grads.data.records.record import load_records
from grads.runtime.errors import GradsError
from grads.selection.contract import Needs
from grads.selection.registry import methods


def test_every_method_that_chooses_is_in_one_group() -> None:
    found = groups()
    names = [name for group in found.values() for name in group]
    assert sorted(names) == sorted(name for name, method in methods().items() if chooses(method))
    assert {"random", "grads_density"} <= set(found["columns"])
    assert {"grads", "kcenter", "craig"} <= set(found["embeddings"])
    assert "grad_match" in found["gradients"]
    assert not {"full", "untuned", "full_steps", "subset"} & set(names)


def test_the_bars_are_those_of_the_largest_size() -> None:
    sizes = {name: (group.counts[-1], group.dimensions, group.seconds) for name, group in GROUPS.items()}
    assert sizes["columns"] == (1_000_000, 0, 10)
    assert sizes["embeddings"] == (100_000, 384, 300)
    assert sizes["gradients"] == (100_000, 1024, 600)


def test_every_method_with_an_exact_form_is_compared_with_it() -> None:
    exact = {name for name, method in methods().items() if "exact" in method.parameters.model_fields}
    assert exact | {"craig", "grad_match"} == {one.method for one in comparisons(quick=False)}


def test_synthetic_signals_are_those_that_are_needed(tmp_path: Path) -> None:
    needs = Needs(
        {"warm": frozenset({"gradients", "adapter", "sgd_features"}), "base-validation": frozenset({"hidden", "el2n"})},
        texts=frozenset({"train"}),
    )
    stores = synthetic_stores(needs, 300, 8, tmp_path)
    assert set(stores) == {"tokens", "warm", "base-validation"}
    ids = stores["tokens"].signals["id"].tolist()
    assert stores["warm"].signals["id"].tolist() == ids
    assert ids != sorted(ids), "stores are in no order of ids"
    assert {"embedding_l2", "head_min", "adapter_max"} <= set(stores["warm"].signals)
    assert (stores["warm"].signals["head_min"] < 0).all()
    assert "el2n" in stores["base-validation"].signals
    assert stores["base-validation"].features["hidden"].shape == (OTHERS, 8)
    vectors = stores["warm"].features["sgd_features"]
    assert vectors.shape == (300, 8)
    assert isinstance(vectors.directions, np.memmap)
    lengths = np.linalg.norm(np.asarray(vectors), axis=1)
    assert lengths.max() > 3 * lengths.min()
    records = load_records(synthetic_texts(needs, 300, tmp_path)["train"])
    assert sorted(record.id for record in records) == sorted(ids)
    assert 0 <= json.loads(records[0].metadata)["quality"] <= 1


def test_a_case_is_measured_and_its_table_kept(tmp_path: Path) -> None:
    out = tmp_path / "selection.parquet"
    found = measure(Case("random_length", 200, 0, "0.05", {}, str(out)))
    assert out.is_file()
    assert found["kept"] == 10
    assert found["peak"] > 2**20


def test_coverage_is_the_mean_distance_to_the_nearest() -> None:
    points = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    expected = cdist(points, points[:7]).min(axis=1).mean()
    assert coverage(points, points[:7], np.ones(7)) == pytest.approx(expected, rel=1e-4)


def test_matching_is_the_sine_of_the_angle_to_the_sum() -> None:
    points = np.array([[3.0, 0.0], [0.0, 4.0]])
    assert matching(points, points, np.ones(2)) == pytest.approx(0.0, abs=1e-7)
    assert matching(points, points[:1], np.ones(1)) == pytest.approx(4 / 5)
    assert matching(points, points[:1], np.full(1, 9.0)) == pytest.approx(4 / 5)


def test_densities_on_a_grid_are_near_those_by_pairs() -> None:
    found = kernel_density_errors(6_000, 500)
    assert [row["name"] for row in found] == ["one number", "its logarithm", "two numbers"]
    for row in found:
        assert row["of_peak"] < 1e-3
        assert row["overlap"] > 0.99


def test_growth_is_an_exponent_of_the_number() -> None:
    runs = [{"count": 9, "seconds": 1.0}, {"count": 10, "seconds": 2.0}, {"count": 100, "seconds": 200.0}]
    assert select.growth(runs) == pytest.approx(2.0)


def runs_of(monkeypatch: pytest.MonkeyPatch, *seconds: float) -> None:
    """Let the next runs take so long, and 5 GiB each."""
    times = iter(seconds)

    def run(_case: Case, _threads: int) -> dict[str, Any]:
        return {"seconds": next(times), "processor_seconds": 1.0, "peak": 5 * 2**30, "kept": 10, "notes": {}}

    monkeypatch.setattr(select, "run", run)


@pytest.mark.parametrize(
    ("seconds", "peak", "met"), [(9.0, None, True), (8.0, None, False), (9.0, 4, False), (9.0, 6, True)]
)
def test_a_bar_is_for_the_last_run(
    seconds: float, peak: int | None, met: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs_of(monkeypatch, 0.09, 9.0)
    row = select.scale("length", "columns", Group("Made", (10, 100), 0, seconds, peak and peak * 2**30), threads=1)
    assert row["met"] is met
    assert row["exponent"] == pytest.approx(2.0)


def test_results_are_written_after_every_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs_of(monkeypatch, 1.0, 10.0, 3.0, 700.0)
    select.main(["--quick", "--only", "length", "kcenter", "--parts", "scale", "--out", str(tmp_path)])
    page = (tmp_path / "select.md").read_text(encoding="utf-8")
    assert "| `length` | 1.00 | 10.00 | 3.32 | 5120 |  |" in page
    assert "| `kcenter` | 3.00 | 700.00 | 7.87 | 5120 |  |" in page
    results = json.loads((tmp_path / "select.json").read_text(encoding="utf-8"))
    assert [row["method"] for row in results["scale"]] == ["length", "kcenter"]
    results["scale"][1]["met"] = False
    assert "5120 | **not met** |" in markdown(results)


def test_an_unknown_method_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        select.main(["--quick", "--only", "kcentre"])
    assert "did you mean 'kcenter'" in capsys.readouterr().err


def test_a_process_that_fails_is_an_error() -> None:
    with pytest.raises(GradsError, match="no_such with 10 records ended with status 1"):
        select.run(Case("no_such", 10, 0, "0.05"), threads=1)


@pytest.mark.slow
def test_quick_goes_through_losses_and_densities(tmp_path: Path) -> None:
    select.main(["--quick", "--only", "craig", "--out", str(tmp_path), "--scratch", str(tmp_path / "scratch")])
    results = json.loads((tmp_path / "select.json").read_text(encoding="utf-8"))
    assert {row["method"] for row in results["losses"]} == {"craig"}
    for row in results["losses"]:
        assert 0 < row["overlap"] <= 1
        assert 0.9 < row["objectives"][0] / row["objectives"][1] < 1.2
    assert "What approximate forms lose" in (tmp_path / "select.md").read_text(encoding="utf-8")
