"""Places in a flat batch, against what is read off the records one by one."""

import pytest
import torch

from grads.data.positions import following, predicted, spots
from grads.data.records.formatting import Example
from grads.models.causal import pad_right

EXAMPLES = [
    Example("a", [11, 12, 13, 14, 15], 3),
    Example("b", [21, 22], 1),
    Example("c", [31, 32, 33, 34], 0),
]


def test_a_first_token_is_not_predicted():
    assert [predicted(example) for example in EXAMPLES] == [[3, 4], [1], [1, 2, 3]]


@pytest.mark.parametrize("trimmed", [0, 1])
def test_what_follows_the_spots_are_the_response_tokens(trimmed):
    ids = pad_right([example.input_ids for example in EXAMPLES], 0)
    row = ids.shape[1] - trimmed
    places = spots(EXAMPLES, row)
    assert [following(ids, row)[place].tolist() for place in places] == [[14, 15], [22], [32, 33, 34]]
    assert [ids[:, :row].flatten()[place].tolist() for place in places] == [[13, 14], [21], [31, 32, 33]]
    assert torch.cat(places).max() < len(EXAMPLES) * row
