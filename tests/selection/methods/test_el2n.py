"""EL2N: the signal is the score, at the point asked for."""

import pandas as pd

from grads.selection.contract import Inputs
from grads.selection.methods.el2n import METHOD, El2n


def test_the_largest_error_is_highest_at_the_point_asked_for() -> None:
    pool = pd.DataFrame({"id": list("abc")})
    signals = {"tokens": pool, "base": pool.assign(el2n=[0.3, 1.2, 0.9]), "warm": pool.assign(el2n=[1.0, 0.0, 0.5])}
    inputs = Inputs(signals, {}, {}, 1, 0)
    assert METHOD.select(inputs, El2n()).score.tolist() == [0.3, 1.2, 0.9]
    assert METHOD.select(inputs, El2n(point="warm")).score.tolist() == [1.0, 0.0, 0.5]
    assert METHOD.needs(El2n()).stores == {"base": {"el2n"}}
