"""DaaR on records whose domains are known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from grads.runtime.errors import GradsError
from grads.selection.contract import Inputs
from grads.selection.methods.daar import FOLDS, METHOD, Daar, predicted

Make = Callable[..., Inputs]


def two_domains(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return states of two domains far apart, the last record between them, and their domains."""
    random = np.random.default_rng(0)
    domain = np.arange(count) % 2
    states = np.stack([6.0 * domain - 3, np.zeros(count)], axis=1) + random.normal(size=(count, 2)) / 4
    states[-1] = 0
    return states, domain


def test_what_lies_between_two_domains_comes_first(inputs_of: Make) -> None:
    states, domain = two_domains(40)
    inputs = inputs_of({"base": {"layer_hidden": states, "embeddings": np.eye(2)[domain]}}, 1)
    choice = METHOD.select(inputs, Daar(domains=2))
    assert int(choice.score.argmax()) == 39
    assert choice.score[39] == pytest.approx(np.log(2), abs=0.1)
    assert choice.score[:39].max() < 0.4
    assert sorted(choice.notes["domains"]) == [20, 20]
    assert choice.notes["predicted_right"] >= 0.95


def test_each_part_is_predicted_by_a_probe_of_the_others() -> None:
    states, domain = two_domains(20)
    found = predicted(states, domain)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    out = np.arange(20) % FOLDS == 2
    centre, spread = states[~out].mean(axis=0), states[~out].std(axis=0)
    probe = LogisticRegression(max_iter=300).fit((states[~out] - centre) / spread, domain[~out])
    np.testing.assert_allclose(found[out], probe.predict_proba((states[out] - centre) / spread), atol=1e-3)


def test_one_domain_has_no_entropy(inputs_of: Make) -> None:
    states = np.random.default_rng(1).normal(size=(12, 3))
    inputs = inputs_of({"base": {"layer_hidden": states, "embeddings": np.ones((12, 2))}}, 3)
    assert METHOD.select(inputs, Daar()).score.tolist() == [0] * 12


def test_records_may_bring_their_domains(inputs_of: Make) -> None:
    states, domain = two_domains(40)
    texts = {"train": pd.DataFrame({"id": [f"r{row:03}" for row in range(40)], "kind": np.array(["a", "b"])[domain]})}
    given = METHOD.select(inputs_of({"base": {"layer_hidden": states}}, 1, texts=texts), Daar(field="kind"))
    clustered = METHOD.select(
        inputs_of({"base": {"layer_hidden": states, "embeddings": np.eye(2)[domain]}}, 1), Daar(domains=2)
    )
    np.testing.assert_allclose(given.score, clustered.score, atol=1e-5)
    needs: Any = METHOD.needs(Daar(field="kind"))
    assert needs.stores == {"base": {"layer_hidden"}}
    with pytest.raises(GradsError, match="no record has a field 'kinds'"):
        METHOD.select(inputs_of({"base": {"layer_hidden": states}}, 1, texts=texts), Daar(field="kinds"))
