"""Tables and figures are found by their being there: their names, order and places, and a new one in one file."""

from pathlib import Path

import pandas as pd
import pytest

import grads.report.figures
import grads.report.tables
from grads.report.captions import caption_file, in_report
from grads.report.measurements import collect
from grads.report.registry import (
    FIGURES,
    TABLES,
    figure_names,
    measured_figures,
    measured_tables,
    modules_of,
    selection_figures,
    selection_tables,
    training_figures,
)
from grads.report.run import write_tables
from grads.report.selections import make_selection_tables
from grads.report.statistics.estimates import Estimates
from grads.study.reading import parse_study

PAGE = (Path(__file__).parents[2] / "docs/extending.md").read_text(encoding="utf-8")
OWN_TABLE, DOCUMENTED_FIGURE = (
    PAGE.partition(f"`our_grads/{name}.py`:\n\n```python\n")[2].partition("```")[0] for name in ("rows", "row_bars")
)
OWN_FIGURE = '''
"""Which arms agree, again."""
from grads.report.contract import SelectionFigure
from grads.report.tables.overlap import gather


def draw(study, facts):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.text(0, 0, f"{len(facts)} facts")
    return figure


FIGURE = SelectionFigure(name="facts", title="Facts", gather=gather, draw=draw, caption="Facts.")
'''


def test_names_stand_in_the_order_of_the_report(study, choose):
    assert [one.name for one in selection_tables()] == ["overlap", "subsets", "extremes"]
    assert [one.name for one in training_figures()] == ["curves"]
    assert [one.name for one in selection_figures([])] == ["overlap"]
    assert figure_names(study) == ["overview", "differences", "ratio", "tradeoff", "benchmarks", "efficiency"]
    shown = [one.on_domain_pages for one in measured_figures(study)]
    assert [bool(what) for what in shown] == [True, True, True, True, False, True]


def test_a_study_without_benchmarks_has_no_figure_of_them(config):
    study = parse_study(config | {"general": config["general"] | {"tasks": {}}})
    assert "benchmarks" not in figure_names(study)


def test_each_part_of_the_report_has_its_titles(study):
    parts = {(table.category, table.title) for table in measured_tables(study)}
    assert parts >= {("Tables", "Main"), ("Tables", "Transitions")}
    assert {(table.category, table.title) for table in selection_tables()} >= {("Selection", "Overlap (table)")}
    assert [one.name for one in selection_tables() if not one.latex] == ["extremes"]


def test_the_code_of_a_table_is_that_of_its_module():
    assert modules_of([TABLES.find("ranks"), FIGURES.find("overlap")]) == [
        "grads.report.tables.ranks",
        "grads.report.figures.overlap",
    ]


@pytest.fixture
def own(monkeypatch, tmp_path):
    """One more table and one more figure, each a file among the others."""
    for package, registry, texts in (
        (grads.report.tables, TABLES, [OWN_TABLE]),
        (grads.report.figures, FIGURES, [OWN_FIGURE, DOCUMENTED_FIGURE]),
    ):
        folder = tmp_path / package.__name__
        folder.mkdir()
        for number, text in enumerate(texts):
            (folder / f"own_{registry.attribute.lower()}_{number}.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
        monkeypatch.setattr(registry, "found", type(registry).found.func(registry))


@pytest.mark.usefixtures("own")
def test_a_table_is_one_file_as_the_page_on_extending_has_it(study, make_cells, tmp_path):
    estimates = Estimates(collect(study, make_cells(study)))
    write_tables(study, estimates, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("rows.*")} == {"rows.csv", "rows.html", "rows.md", "rows.tex"}
    written = pd.read_csv(tmp_path / "out/rows.csv")
    assert dict(zip(written["arm"], written["rows"], strict=True)) == dict(estimates.frame["arm"].value_counts())
    assert measured_tables(study)[-1].name == "rows"


@pytest.mark.usefixtures("own")
def test_a_figure_of_measurements_is_one_file_as_the_page_on_extending_has_it(study, make_cells):
    estimates = Estimates(collect(study, make_cells(study)))
    assert figure_names(study)[-1] == "row_bars"
    (axes,) = FIGURES.find("row_bars").draw(study, estimates).axes
    counts = estimates.frame["arm"].value_counts(sort=False)
    drawn = {label.get_text(): bar.get_width() for label, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)}
    assert drawn == dict(counts)


@pytest.mark.usefixtures("own")
def test_a_figure_is_one_file_and_shares_what_a_table_gathers(study, choose, tmp_path, monkeypatch):
    from grads.report.building import overlap

    calls = []
    real = overlap.overlap_facts
    monkeypatch.setattr(overlap, "overlap_facts", lambda study, pool: calls.append(pool) or real(study, pool))
    scores = {letter: float(place) for place, letter in enumerate("abcdef")}
    files = choose(study, {("random", "0.05", seed): ("f", scores) for seed in study.seeds})
    make_selection_tables(study, files, tmp_path / "tables", tmp_path / "figures")
    assert len(calls) == 1
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        f"{name}.{suffix}" for name in ("overlap", "facts") for suffix in ("svg", "pdf")
    }


@pytest.mark.usefixtures("own")
def test_a_caption_is_a_file_for_snakemake_that_is_written_once(tmp_path):
    path = caption_file(TABLES.find("rows"), tmp_path / "captions")
    assert path == Path(tmp_path / "captions/rows.rst")
    assert path.read_text().endswith("\n\nHow much was measured of each arm.\n")
    before = path.stat().st_ino
    assert caption_file(TABLES.find("rows"), tmp_path / "captions").stat().st_ino == before
    path.write_text("of an older version")
    assert caption_file(TABLES.find("rows"), tmp_path / "captions").read_text() != "of an older version"


@pytest.mark.parametrize(("item", "kind"), [(TABLES.find("overlap"), "tables"), (FIGURES.find("overlap"), "figures")])
def test_a_table_and_a_figure_of_one_name_have_captions_of_their_own(item, kind, tmp_path):
    shown = in_report(item, tmp_path)
    assert shown["caption"] == str(tmp_path / kind / "overlap.rst")
    assert Path(shown["caption"]).is_file()
    assert (shown["category"], shown["labels"]) == ("Selection", {"show": f"Overlap ({kind[:-1]})"})


def test_a_table_of_running_text_is_not_written_as_latex():
    assert TABLES.find("main").suffixes == [".csv", ".md", ".tex"]
    assert TABLES.find("extremes").suffixes == [".csv", ".md"]
