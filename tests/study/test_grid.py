"""The grid of cells, against its definition."""

import copy
from itertools import product
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from grads.study.grid import FIXED_RATIOS, Cell, arm_ratios, cells
from grads.study.reading import parse_study

SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))
RATIOS = st.lists(st.sampled_from(["0.05", "0.1", "0.5", "1", "auto"]), min_size=1, max_size=4, unique=True)


def study(models=1, domains=1, seeds=(0,), arms=None):
    """Return a study of so many models and domains."""
    config = copy.deepcopy(SMOKE)
    config["models"] = {f"m{n}": {"title": f"M{n}", "source": {"kind": "tiny"}} for n in range(models)}
    source = SMOKE["domains"]["sums"]["source"]
    config["domains"] = {f"d{n}": {"title": f"D{n}", "source": source} for n in range(domains)}
    config["seeds"] = list(seeds)
    config["arms"] = arms or {"untuned": {"method": "untuned"}, "full": {"method": "full"}}
    return parse_study(config)


@given(st.integers(1, 2), st.integers(1, 3), st.sets(st.integers(0, 50), min_size=1, max_size=3), RATIOS, RATIOS)
def test_every_combination_is_there_once(models, domains, seeds, first, second):
    arms = {
        "second": {"method": "random", "ratios": second},
        "full": {"method": "full"},
        "first": {"method": "grads", "ratios": first},
    }
    one = study(models, domains, sorted(seeds), arms)
    ratios = {"second": second, "full": ["1"], "first": first}
    expected = {
        (f"m{model}", f"d{domain}", arm, ratio, seed)
        for model, domain, arm, seed in product(range(models), range(domains), arms, seeds)
        for ratio in ratios[arm]
    }
    found = [(cell.model, cell.domain, cell.arm, cell.ratio, cell.seed) for cell in cells(one)]
    assert len(found) == len(set(found))
    assert set(found) == expected
    for arm in arms:
        assert arm_ratios(one, arm) == ratios[arm]


def test_cells_come_in_the_order_of_the_config_and_not_of_names():
    arms = {"z": {"method": "random", "ratios": ["0.5", "0.05"]}, "a": {"method": "full"}}
    found = [str(cell) for cell in cells(study(1, 2, [7, 3], arms))]
    assert found == [
        f"m0/{domain}/{rest}"
        for domain in ("d0", "d1")
        for rest in ("z/0.5/7", "z/0.5/3", "z/0.05/7", "z/0.05/3", "a/1/7", "a/1/3")
    ]


@pytest.mark.parametrize("seeds", [[0], [5], [1, 2, 3]])
def test_the_untuned_model_is_seed_0_of_every_domain(seeds):
    untuned = [cell for cell in cells(study(2, 3, seeds)) if not cell.trained]
    assert untuned == [Cell(f"m{m}", f"d{d}", "untuned", "0", 0) for m in range(2) for d in range(3)]


def test_ratios_that_belong_to_a_method_are_those_of_its_declaration():
    from grads.selection.registry import methods

    declared = {name: method.fixed_ratio for name, method in methods().items() if method.fixed_ratio is not None}
    assert declared == FIXED_RATIOS


def test_a_cell_is_a_key_and_is_written_as_its_path():
    cell = Cell("m", "d", "grads", "0.05", 3)
    assert {cell: 1}[Cell("m", "d", "grads", "0.05", 3)] == 1
    assert str(cell) == "/".join(("m", "d", "grads", "0.05", "3"))
    assert Cell("m", "d", "grads", "auto", 3).trained
    assert cell.trained
    assert cell < Cell("m", "d", "grads", "0.05", 4) < Cell("m", "e", "full", "1", 0)
    with pytest.raises(AttributeError):
        cell.seed = 4
