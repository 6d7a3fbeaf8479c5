"""Length: which tokens count, and which end of the order is kept."""

import pandas as pd
import pytest

from grads.selection.contract import Inputs
from grads.selection.methods.length import METHOD, Length


@pytest.mark.parametrize(
    ("parameters", "score"),
    [
        ({}, [5, 9, 2]),
        ({"field": "prompt"}, [7, 1, 4]),
        ({"field": "whole"}, [12, 10, 6]),
        ({"field": "whole", "order": "shortest"}, [-12, -10, -6]),
    ],
)
def test_tokens_are_the_score(parameters: dict[str, str], score: list[int]) -> None:
    pool = pd.DataFrame({"id": list("abc"), "prompt_tokens": [7, 1, 4], "response_tokens": [5, 9, 2]})
    assert METHOD.select(Inputs({"tokens": pool}, {}, {}, 1, 0), Length(**parameters)).score.tolist() == score


def test_nothing_is_measured() -> None:
    assert not METHOD.needs(Length()).stores
