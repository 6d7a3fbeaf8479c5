"""The golden study: its tables come out as they were, cell by cell; `make golden` writes them anew.

Names, verdicts and counts are equal. Numbers may differ by a thousandth of their size or 0.0001 (processors add in
other orders), p-values by 0.02; seconds are not compared.
"""

import math
from pathlib import Path

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.slow
GOLDEN = Path(__file__).parents[1] / "golden"
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
def tables(make_workspace):
    workspace = make_workspace()
    (workspace.folder / "golden.yaml").write_text((GOLDEN / "study.yaml").read_text(encoding="utf-8"))
    study = yaml.safe_load((GOLDEN / "study.yaml").read_text(encoding="utf-8"))["study"]
    folder = workspace.folder / "results" / study / "tables"
    written = [f"results/{study}/tables/{path.name}" for path in sorted(GOLDEN.glob("*.csv"))]
    workspace.snakemake("--configfile", "golden.yaml", "--cores", "1", "--", *written)
    return folder


def test_there_are_tables_to_compare():
    names = {path.stem for path in GOLDEN.glob("*.csv")}
    assert {"domain", "forgetting", "cost", "claims", "ablation"} <= names


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.csv")), ids=lambda path: path.stem)
def test_a_table_is_as_it_was(tables, path):
    assert differences(pd.read_csv(tables / path.name), pd.read_csv(path)) == []
