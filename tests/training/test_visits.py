import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.config.training import Training
from grads.training.visits import matched_order, micro_batch, optimiser_steps, training_order

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


LENGTHS = {id_: 3 + index % 5 for index, id_ in enumerate(IDS)}


def matched(ids, match, **changes):
    return matched_order({id_: LENGTHS[id_] for id_ in ids}, settings(**changes), 1, match, list(LENGTHS.values()))


def test_matched_steps_are_those_of_the_plain_run():
    order = matched(IDS[:4], "steps", epochs=3)
    plain = training_order(IDS, settings(epochs=3), seed=1)
    assert len(order) == len(plain)
    # It begins as the unmatched run does, and goes on with epochs of its own.
    assert order[:12] == training_order(IDS[:4], settings(epochs=3), seed=1)
    for epoch in range(15):
        assert sorted(order[4 * epoch : 4 * (epoch + 1)]) == sorted(IDS[:4])


def test_all_records_matched_by_steps_are_the_plain_run():
    assert matched(IDS, "steps") == training_order(IDS, settings(), seed=1)


@given(st.integers(1, 21), st.integers(1, 3), st.integers(1, 9))
def test_matched_tokens_end_with_the_first_whole_step_that_reaches_them(size, epochs, batch):
    order = matched(IDS[:size], "tokens", epochs=epochs, global_batch=batch)
    wanted = sum(LENGTHS.values()) * epochs
    assert len(order) % batch == 0
    assert sum(LENGTHS[id_] for id_ in order) >= wanted
    assert sum(LENGTHS[id_] for id_ in order[:-batch]) < wanted


def test_more_than_the_plain_run_is_cut_to_it():
    many = {f"more{i}": 4 for i in range(100)}
    assert len(matched_order(many, settings(), 1, "steps", [4] * 21)) == 42
    assert len(matched_order(many, settings(), 1, "tokens", [4] * 21)) == 48
