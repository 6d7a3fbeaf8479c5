"""All records: every one, and none before another."""

import pandas as pd

from grads.selection.contract import Inputs, Parameters
from grads.selection.methods.full import METHOD


def test_no_record_scores_above_another_and_none_is_left_out() -> None:
    pool = pd.DataFrame({"id": list("abc")})
    choice = METHOD.select(Inputs({"tokens": pool}, {}, {}, 3, 0), Parameters())
    assert choice.score.tolist() == [0, 0, 0]
    assert choice.order is None
    assert choice.notes == {}


def test_it_needs_nothing_and_has_one_ratio() -> None:
    assert (METHOD.fixed_ratio, METHOD.trains, METHOD.equal_steps) == ("1", True, False)
    assert not METHOD.needs(Parameters()).stores
    assert METHOD.needs(Parameters()).references(auto=True) == ()
