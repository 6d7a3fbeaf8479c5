import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.study.config import Training
from grads.train.schedule import micro_batch, optimiser_steps, training_order

IDS = [f"id{i}" for i in range(21)]


def settings(**changes):
    return Training(**{"epochs": 2, "global_batch": 8} | changes)


def test_every_record_is_visited_once_an_epoch():
    order = training_order(IDS, settings(epochs=3), seed=1)
    for epoch in range(3):
        assert sorted(order[21 * epoch : 21 * (epoch + 1)]) == sorted(IDS)
    assert order[:21] != order[21:42]


def test_a_subset_is_visited_in_the_order_of_the_whole():
    whole = training_order(IDS, settings(epochs=1), seed=1)
    assert training_order(IDS[5:9], settings(epochs=1), seed=1) == [i for i in whole if i in IDS[5:9]]


def test_full_steps_is_the_head_of_the_full_run_and_takes_the_steps_of_the_subset():
    training = settings()
    full = training_order(IDS, training, seed=1)
    short = training_order(IDS, training, seed=1, steps_of_records=5)
    assert short == full[: len(short)]
    # 5 records, 2 epochs, batches of 8: 2 steps, each of a whole batch of fresh records.
    assert optimiser_steps(5, 2, 8) == 2
    assert len(short) == 16


def test_full_steps_of_all_records_is_the_full_run():
    assert training_order(IDS, settings(), 1, 21) == training_order(IDS, settings(), 1)


@pytest.mark.parametrize(
    ("whole", "most", "size"), [(8, 8, 8), (8, 100, 8), (8, 5, 4), (12, 8, 6), (7, 4, 1), (8, 0, 1)]
)
def test_the_micro_batch_divides_the_global_batch(whole, most, size):
    assert micro_batch(whole, most) == size


@given(st.integers(1, 200), st.integers(1, 5), st.integers(1, 16))
def test_steps_hold_all_visits_in_whole_batches_but_the_last(records, epochs, batch):
    steps = optimiser_steps(records, epochs, batch)
    assert (steps - 1) * batch < records * epochs <= steps * batch
