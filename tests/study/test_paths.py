"""Where things lie: apart for every cell, and outside the outputs for what is resumed."""

from pathlib import Path

import pytest

from grads.study.grid import Cell, arm_ratios, cells
from grads.study.paths import WARM, WORDNET, Paths, archive_path, encoder_store, store_point, warm_cell
from grads.study.reading import read_study

ROOT = Path(__file__).parents[2]
STUDY = read_study(ROOT / "config/demo.yaml")
PATHS = Paths(STUDY.study)


def test_every_cell_has_places_of_its_own():
    grid = cells(STUDY)
    for place in (PATHS.run, PATHS.selection):
        assert len({place(cell) for cell in grid}) == len(grid)
    warm = {PATHS.run(warm_cell(cell.model, cell.domain, cell.seed)) for cell in grid}
    assert not warm & {PATHS.run(cell) for cell in grid}
    assert len(warm) == len(STUDY.models) * len(STUDY.domains) * len(STUDY.seeds)


def test_all_of_a_study_is_below_its_folder_but_what_studies_share():
    cell = Cell("m", "d", "grads", "0.05", 3)
    own = [PATHS.run(cell), PATHS.selection(cell), PATHS.records("d", "test"), PATHS.general("text.jsonl")]
    own += [PATHS.model("m"), PATHS.store("m", "d", "warm-3"), PATHS.untuned_general("m"), PATHS.scratch("train")]
    assert {path.parts[:2] for path in own} == {("results", "demo")}
    assert archive_path("x.whl").parts[0] == WORDNET.parts[0] == "resources"


def test_what_is_resumed_lies_outside_declared_outputs():
    cell = Cell("m", "d", "grads", "0.05", 3)
    scratch = PATHS.scratch("train") / str(cell)
    for output in (PATHS.run(cell), PATHS.selection(cell).parent, PATHS.model("m")):
        assert not scratch.is_relative_to(output)


def test_the_paths_are_those_of_the_design():
    cell = Cell("m", "d", "grads", "0.05", 3)
    assert str(cell) == "m/d/grads/0.05/3"
    assert PATHS.run(cell) == Path("results/demo/runs/m/d/grads/0.05/3")
    assert PATHS.selection(cell) == Path("results/demo/selections/m/d/grads/0.05/3.parquet")
    assert PATHS.store("m", "d", "base") == Path("results/demo/signals/m/d/base")
    assert PATHS.records("d", "train") == Path("results/demo/data/d/train.parquet")
    assert warm_cell("m", "d", 3) == Cell("m", "d", WARM, "1", 3)


@pytest.mark.parametrize("encoder", ["mini", "mini-lm", "validation-of-mine"])
@pytest.mark.parametrize("records", ["train", "validation", "anchor"])
def test_the_store_of_an_encoder_says_of_which_records_it_is(encoder, records):
    assert store_point(encoder_store(encoder, records)) == ("encoder", encoder, records)


def test_patterns_of_snakemake_pass_through():
    assert "{model}/{domain}" in str(PATHS.store("{model}", "{domain}", "base"))


def test_untuned_is_not_trained_and_all_else_is():
    assert {cell.arm for cell in cells(STUDY) if not cell.trained} == {"untuned"}
    assert arm_ratios(STUDY, "untuned") == ["0"]
    assert arm_ratios(STUDY, "full") == ["1"]
    assert arm_ratios(STUDY, "grads") == STUDY.arms["grads"].ratios
