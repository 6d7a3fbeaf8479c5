"""GraNd: against the norm of a gradient put together from its layers."""

import numpy as np
import pandas as pd

from grads.selection.contract import Inputs
from grads.selection.methods.grand import METHOD, Grand


def inputs_of(point: str, **norms: list[float]) -> Inputs:
    ids = [f"{position}" for position in range(len(next(iter(norms.values()))))]
    return Inputs({"tokens": pd.DataFrame({"id": ids}), point: pd.DataFrame({"id": ids} | norms)}, {}, {}, 1, 0)


def test_the_largest_norm_of_the_head_is_highest() -> None:
    score = METHOD.select(inputs_of("base", head_l2=[2.0, 7.0, 1.0], adapter_l2=[9.0, 0.0, 0.0]), Grand()).score
    assert score.tolist() == [2.0, 7.0, 1.0]


def test_layers_are_one_gradient() -> None:
    random = np.random.default_rng(0)
    head, adapter = random.normal(size=(4, 30)), random.normal(size=(4, 12))
    norms = {"head_l2": np.linalg.norm(head, axis=1), "adapter_l2": np.linalg.norm(adapter, axis=1)}
    inputs = inputs_of("warm", **{name: values.tolist() for name, values in norms.items()})
    score = METHOD.select(inputs, Grand(point="warm", layers=["head", "adapter"])).score
    np.testing.assert_allclose(score, np.linalg.norm(np.hstack([head, adapter]), axis=1), rtol=1e-12)


def test_needs() -> None:
    assert METHOD.needs(Grand()).stores == {"base": {"gradients"}}
    assert METHOD.needs(Grand(layers=["weights"], point="during")).stores == {"during": {"gradients", "weights"}}
    assert METHOD.needs(Grand(layers=["adapter"])).stores == {"base": {"gradients", "adapter"}}
