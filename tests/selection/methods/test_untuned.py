"""The untuned model: nothing is chosen, nothing is trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from grads.selection.contract import Inputs, Parameters
from grads.selection.methods.untuned import METHOD
from grads.selection.run import select_records


def test_nothing_is_chosen_of_any_pool() -> None:
    for size in (1, 4):
        pool = pd.DataFrame({"id": list("abcd")[:size]})
        choice = METHOD.select(Inputs({"tokens": pool}, {}, {}, 0, 0), Parameters())
        assert choice.order is not None
        assert len(choice.order) == 0
        assert len(choice.score) == size


def test_its_selection_is_empty_and_no_shortfall(tmp_path: Path, stores_of: Callable[..., Any]) -> None:
    meta = select_records("untuned", {}, "0", 0, stores_of(7), {}, tmp_path / "0.parquet")
    assert (meta["requested"], meta["actual"], meta["eligible"], meta["shortfall"]) == (0, 0, 7, 0)
    assert not pd.read_parquet(tmp_path / "0.parquet")["kept"].any()


def test_it_is_the_only_method_that_does_not_train() -> None:
    from grads.selection.registry import methods

    assert (METHOD.fixed_ratio, METHOD.trains) == ("0", False)
    assert [method.name for method in methods().values() if not method.trains] == ["untuned"]
