"""The policy of OGS where its best choice is known, and what it foresees against the formula."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grads.runtime.errors import GradsError
from grads.selection.contract import Choice, Inputs
from grads.selection.methods.ogs_rl import METHOD, Foreseen, Navigator, OgsRl
from grads.signals.vectors import Vectors, split_lengths

Make = Callable[..., Inputs]


def choose(
    inputs_of: Make, train: Any, validation: Any, anchor: Any, count: int, seed: int = 0, **parameters: Any
) -> Choice:
    rows = {"base": train, "base-validation": validation, "base-anchor": anchor}
    inputs = inputs_of({store: {"sgd_features": found} for store, found in rows.items()}, count, seed)
    return METHOD.select(inputs, OgsRl(**parameters))


def two_clusters(random: np.random.Generator) -> np.ndarray:
    """Return 60 gradients that serve the domain and hurt what is general, and 60 that serve the domain less."""
    noise = random.normal(size=(120, 4)) / 50
    return noise + np.where(np.arange(120)[:, None] < 60, [1.0, -0.8, 0, 0], [0.5, 0, 0.5, 0])


@pytest.mark.parametrize(("budget", "harmful"), [(0.0, 0), (100.0, 30)])
def test_the_budget_decides_which_cluster_is_drawn_from(inputs_of: Make, budget: float, harmful: int) -> None:
    train = two_clusters(np.random.default_rng(0))
    choice = choose(inputs_of, train, [[1, 0, 0, 0]] * 3, [[0, 1, 0, 0]] * 3, 30, clusters=2, budget=budget, reach=0.5)
    assert choice.order is not None
    assert len(set(choice.order.tolist())) == 30
    assert abs((choice.order < 60).sum() - harmful) <= 3
    assert choice.notes["general_loss_rises"] <= max(budget, 0.1)
    assert sum(choice.notes["kept_of_clusters"]) == 30
    if budget:
        assert choice.notes["domain_loss_falls"] > choice.notes["domain_loss_falls_at_random"]


def test_what_is_foreseen_is_the_second_order_of_the_losses() -> None:
    random = np.random.default_rng(1)
    train, domain, general = (random.normal(size=(count, 5)) + 0.5 for count in (12, 4, 3))
    made = [Vectors(*split_lengths(rows, np.float64)) for rows in (train, domain, general)]
    foreseen = Foreseen.of(*made, np.zeros(12, dtype=int), 1.0)
    wanted = domain.mean(axis=0)
    step = wanted @ wanted / np.square(domain @ wanted).mean()
    unit = step * (wanted @ wanted) / 2
    moved = -step * np.linalg.norm(wanted) * train[[2, 5]].mean(axis=0) / np.linalg.norm(train.mean(axis=0))
    changes = [(rows @ moved + np.square(rows @ moved) / 2).mean() / unit for rows in (domain, general)]
    np.testing.assert_allclose(foreseen.after(np.array([2, 5])), [-changes[0], changes[1]], rtol=1e-5)
    # The best step along the domain's own gradient gains the unit.
    own = Foreseen.of(made[1], made[1], made[2], np.zeros(4, dtype=int), 1.0)
    assert own.after(np.arange(4))[0] == pytest.approx(1, rel=1e-5)


def test_steps_add_up_to_the_choice() -> None:
    random = np.random.default_rng(2)
    made = [Vectors(*split_lengths(random.normal(size=(count, 5)) + 0.5, np.float64)) for count in (50, 4, 3)]
    cluster = np.arange(50) % 3
    foreseen = Foreseen.of(*made, cluster, 1.0)
    navigator = Navigator(foreseen, cluster, random.permutation(50), random.uniform(-1, 1, 50), 40, budget=0.0)
    received = []
    while not navigator.done:
        features, allowed = navigator.features()
        assert features.shape == (3, 6)
        assert np.isfinite(features).all()
        action = int(random.choice(np.flatnonzero(allowed)))
        received.append(navigator.step(action))
    assert len(set(navigator.taken)) == 40
    np.testing.assert_allclose(np.sum(received, axis=0), foreseen.after(np.array(navigator.taken)), atol=1e-9)


def test_an_anchor_or_a_target_without_gradient_is_refused(inputs_of: Make) -> None:
    with pytest.raises(GradsError, match="mean gradient of the anchor to be zero"):
        choose(inputs_of, [[1, 0]], [[1, 0]], [[1, 0], [-1, 0]], 1)
    with pytest.raises(GradsError, match="mean gradient of the validation records to be zero"):
        choose(inputs_of, [[1, 0]], [[1, 0], [-1, 0]], [[1, 0]], 1)


def test_it_sees_the_target_and_its_static_form_does_not() -> None:
    assert METHOD.uses_target is True
    assert set(METHOD.needs(OgsRl(point="warm")).stores) == {"warm", "warm-validation", "warm-anchor"}
