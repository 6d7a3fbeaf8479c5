"""The golden studies: their tables and selections come out as they were; `make golden` writes them again.

Names, verdicts, counts and the records that are kept are equal. Numbers may differ by a thousandth of their size or
0.0001 (processors add in other orders), p-values by 0.02; seconds are not compared.
"""

import json
import math
import shutil
import typing
from pathlib import Path

import pandas as pd
import pytest

from grads.config.arms import Arm
from grads.config.study import Study
from grads.evaluation.metrics.registry import computed, metrics
from grads.graph.needs import arm_stores, check_arms
from grads.selection.registry import methods
from grads.study.paths import POINTS, split_label, store_point
from grads.study.reading import read_study
from grads.training.strategies.registry import strategies
from tests.golden.compare import golden_studies, selection_hashes
from tests.golden.write import ANSWERS, MEASURED, measured_answers

ROOT = Path(__file__).parents[2]
STUDIES = golden_studies(ROOT)
TABLES = [(name, table) for name, study in STUDIES.items() for table in study.tables]
RELATIVE, ABSOLUTE, P_VALUE = 1e-3, 1e-4, 0.02


def differences(found: pd.DataFrame, expected: pd.DataFrame) -> list[str]:
    """Return what differs between two tables, a line per cell."""
    assert list(found.columns) == list(expected.columns)
    assert len(found) == len(expected)
    lines = []
    for column in expected:
        if "seconds" in column:
            continue
        for row, (one, other) in enumerate(zip(found[column], expected[column], strict=True)):
            if not alike(column, one, other):
                lines.append(f"row {row}, {column}: {one!r}, expected {other!r}")
    return lines


def alike(column: str, one: object, other: object) -> bool:
    if not isinstance(one, float) or not isinstance(other, float):
        return bool(one == other)
    if math.isnan(one) or math.isnan(other):
        return math.isnan(one) and math.isnan(other)
    absolute = P_VALUE if column == "p" or column.endswith("_p") else ABSOLUTE
    return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=absolute)


@pytest.fixture(scope="module")
def parsed() -> dict[str, Study]:
    """The studies, of which every arm could run."""
    found = {name: read_study(ROOT / study.config) for name, study in STUDIES.items()}
    for study in found.values():
        check_arms(study)
    return found


def test_every_method_strategy_and_metric_is_in_a_golden_study(parsed):
    arms = [arm for study in parsed.values() for arm in study.arms.values()]
    assert {arm.method for arm in arms} == set(methods())
    assert {arm.strategy for arm in arms} == set(strategies())
    assert {name for study in parsed.values() for name in study.evaluation.metrics} == set(computed(metrics()))


def test_every_kind_of_signals_and_way_to_train_is_in_a_golden_study(parsed):
    arms = [arm for study in parsed.values() for arm in study.arms.values()]
    for key in ("match", "start"):
        assert {getattr(arm, key) for arm in arms} == set(typing.get_args(Arm.model_fields[key].annotation))
    stores = [split_label(label) for study in parsed.values() for arm in study.arms for label in arm_stores(study, arm)]
    assert any(scorer for scorer, _ in stores)
    points = {point for point, _encoder, _records in (store_point(store) for _, store in stores)}
    assert points == {*POINTS, "encoder"} - {"tokens"}
    assert {records for _, _, records in (store_point(store) for _, store in stores)} == {
        "train",
        "validation",
        "anchor",
    }
    assert any(study.probe.shards > 1 for study in parsed.values())
    assert any(study.evaluation.cross_domain and len(study.domains) > 1 for study in parsed.values())


def test_the_tables_of_every_kind_are_expected():
    """All but `extremes`, which repeats signals and scores by the hundred."""
    expected = {table for _, table in TABLES}
    assert expected == {
        *("main", "domain", "forgetting", "transitions", "cost", "claims", "ablation", "cross", "overlap", "subsets")
    }


def test_metrics_of_written_answers_are_as_they_were(wordnet_folder):
    """The tiny model answers hardly anything right; these answers do, some of them, and to every metric."""
    found = measured_answers(ROOT / ANSWERS, wordnet_folder)
    expected = json.loads((ROOT / MEASURED).read_text(encoding="utf-8"))
    for language, named in expected.items():
        assert set(named) == {*computed(metrics()), "capped", "new_tokens"}
        assert all(result["value"] > 0 for result in named.values())
        for name, result in named.items():
            assert found[language][name]["value"] == pytest.approx(result["value"], rel=1e-9), (language, name)
            assert found[language][name]["signature"] == result["signature"], (language, name)
    assert set(found) == set(expected)


@pytest.fixture(scope="module")
def results(make_workspace):
    """Return a function that runs a golden study, once, and returns the folder of its results."""
    workspace, done = make_workspace(), set()
    shutil.copytree(ROOT / "tests/golden", workspace.folder / "tests/golden")

    def run(name: str) -> Path:
        study = STUDIES[name]
        if name not in done:
            done.add(name)
            workspace.snakemake("--configfile", study.config, "--cores", "2", "--", *study.targets)
        return workspace.folder / study.results

    return run


@pytest.mark.slow
@pytest.mark.parametrize(("name", "table"), TABLES)
def test_a_table_is_as_it_was(results, name, table):
    expected = pd.read_csv(ROOT / STUDIES[name].folder / f"{table}.csv")
    assert differences(pd.read_csv(results(name) / "tables" / f"{table}.csv"), expected) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_same_records_are_kept(results, name):
    expected = json.loads((ROOT / STUDIES[name].folder / "selections.json").read_text(encoding="utf-8"))
    assert selection_hashes(results(name)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_a_selection_keeps_as_many_as_asked(results, parsed, name):
    written = sorted((results(name) / "selections").rglob("*.parquet"))
    assert written
    for path in written:
        table = pd.read_parquet(path)
        meta = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        method = methods()[meta["method"]]
        assert meta["method"] == parsed[name].arms[path.parent.parent.name].method
        assert table["kept"].sum() == (meta["eligible"] if method.equal_steps else meta["actual"])
        assert 1 <= meta["actual"] <= meta["eligible"]
        if not (method.may_fall_short or method.equal_steps):
            assert meta["actual"] == meta["requested"]
        assert table["weight"].sum() == pytest.approx(table["kept"].sum())
