from torch import nn

from grads.models.size import parameter_counts


def test_shared_weights_count_once_and_frozen_ones_are_not_trained():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2), nn.Linear(3, 5, bias=False))
    model[2].weight = model[0].weight
    assert parameter_counts(model) == {"parameters": 15 + 8, "trained_parameters": 15 + 8}
    model[0].requires_grad_(False)
    assert parameter_counts(model) == {"parameters": 23, "trained_parameters": 8}
