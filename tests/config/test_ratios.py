import pytest
from hypothesis import given
from hypothesis import strategies as st

from grads.config.ratios import canonical_ratio, keep_count


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        (0.05, "0.05"),
        ("0.05", "0.05"),
        (0.10, "0.1"),
        (".1", "0.1"),
        (1, "1"),
        (1.0, "1"),
        ("1e-2", "0.01"),
        (0.5, "0.5"),
    ],
)
def test_a_ratio_is_its_shortest_decimal(written, canonical):
    assert canonical_ratio(written) == canonical


@pytest.mark.parametrize("wrong", [0, -0.1, 1.01, True, None, "half", "nan", float("inf"), [0.1]])
def test_what_is_no_ratio_is_refused(wrong):
    with pytest.raises(ValueError, match="ratio is"):
        canonical_ratio(wrong)


@pytest.mark.parametrize(
    ("ratio", "eligible", "kept"),
    # 2.5 and 7.5 round to the even neighbour; a float product would give 0.29 x 100 = 28.999...
    [("0.05", 50, 2), ("0.05", 150, 8), ("0.29", 100, 29), ("0.01", 3, 1), ("1", 7, 7), ("0.5", 0, 0)],
)
def test_keep_count_rounds_half_to_even_and_keeps_at_least_one(ratio, eligible, kept):
    assert keep_count(ratio, eligible) == kept


@given(st.integers(1, 10**6), st.integers(1, 1000))
def test_keep_count_is_within_the_pool_and_near_the_product(eligible, thousandths):
    kept = keep_count(str(thousandths / 1000), eligible)
    assert 1 <= kept <= eligible
    assert abs(kept - eligible * thousandths / 1000) <= max(0.5 + 1e-6, 1 - eligible * thousandths / 1000)
