import pytest

from grads.tables.flops import probe_flops, training_flops


@pytest.mark.parametrize(("trained", "each"), [(1000, 6), (0, 4), (10, 4.02)])
def test_a_training_pass_takes_six_operations_a_parameter_and_token_four_if_they_are_frozen(trained, each):
    assert training_flops(1000, trained, 7) == pytest.approx(each * 1000 * 7)


@pytest.mark.parametrize(("passes", "each"), [(0, 2), (1, 4), (2, 8)])
def test_a_probe_takes_two_operations_without_gradients_and_four_with_them(passes, each):
    assert probe_flops(1000, passes, 7) == each * 1000 * 7
