"""The signal store on disk."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grads.data.records.formatting import Example
from grads.runtime.errors import GradsError
from grads.signals.blocks import Rows, make_rows
from grads.signals.measured import Measured
from grads.signals.store import example_frame, read_store, write_parts, write_store

EXAMPLES = [Example("a", [1, 2, 3], 2), Example("b", [1, 2, 3, 4], 1, truncated=True)]


def rows_of(*numbers: int) -> Rows:
    """Return rows of synthetic records, whose numbers say which they are."""
    examples = [Example(f"r{number}", [1] * (number + 2), 1) for number in numbers]
    vectors = {"sgd_features": np.array([[3.0, 4.0 * number] for number in numbers], dtype=np.float32) * 1e-12}
    losses = [np.full(number + 1, number, dtype=np.float32) for number in numbers]
    return make_rows(example_frame(examples), Measured({"el2n": np.array(numbers, dtype=float)}, vectors, losses))


def test_store_comes_back_as_it_was_written(tmp_path: Path) -> None:
    signals = example_frame(EXAMPLES).assign(head_l2=[0.1, 1e-30])
    vectors = np.array([[1.5, 2.0], [3.0, 4.0]], dtype=np.float32)
    write_store(tmp_path / "store", signals, {"hidden": vectors}, {"point": "warm"})
    store = read_store(tmp_path / "store")
    pd.testing.assert_frame_equal(store.signals, signals.assign(hidden_norm=[2.5, 5.0]))
    found = store.features["hidden"]
    assert (found.shape, found[:].dtype, found.directions.dtype) == ((2, 2), np.float32, np.float16)
    np.testing.assert_allclose(found[:], vectors, rtol=2**-11)
    np.testing.assert_allclose(found.unit[1:], [[0.6, 0.8]], rtol=2**-11)
    assert isinstance(found.directions, np.memmap)
    assert (store.meta["point"], store.meta["records"]) == ("warm", 2)
    assert set(store.meta["sha256"]) == {"signals.parquet", "features-hidden.npy"}
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_lengths_that_half_precision_does_not_know_survive(tmp_path: Path) -> None:
    tiny = np.array([[3e-12, 4e-12], [0.0, 0.0]], dtype=np.float32)
    write_store(tmp_path / "store", example_frame(EXAMPLES), {"sgd_features": tiny})
    store = read_store(tmp_path / "store")
    np.testing.assert_allclose(store.features["sgd_features"][:], tiny, rtol=2**-11)
    np.testing.assert_allclose(store.signals["sgd_features_norm"], [5e-12, 0], rtol=1e-6)
    np.testing.assert_allclose(store.features["sgd_features"].mean(), [1.5e-12, 2e-12], rtol=2**-11)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 1, 0, 2)])
def test_a_store_in_parts_is_that_of_the_whole(order: tuple[int, ...], tmp_path: Path) -> None:
    ids = [f"r{number}" for number in range(4)]
    write_parts(tmp_path / "whole", [rows_of(0, 1, 2, 3)], ids)
    # A record that was measured again counts as it was the last time.
    parts = [rows_of(order[0]), rows_of(*order[1:3]), rows_of(order[0]), rows_of(order[3])]
    write_parts(tmp_path / "parts", (Rows.from_bytes(part.to_bytes()) for part in parts), ids)
    names = ["features-sgd_features.npy", "meta.json", "signals.parquet", "token_losses.parquet"]
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == names
    for name in names:
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()
    store = read_store(tmp_path / "parts")
    assert store.signals["el2n"].tolist() == [0, 1, 2, 3]
    assert [losses.tolist() for losses in store.token_losses()] == [[0], [1, 1], [2, 2, 2], [3, 3, 3, 3]]
    np.testing.assert_allclose(store.features["sgd_features"][[2, 0]], [[3e-12, 8e-12], [3e-12, 0]], rtol=2**-11)


def test_a_record_that_was_not_measured_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="2 of 3 records were measured"):
        write_parts(tmp_path / "store", [rows_of(0, 2)], ["r0", "r1", "r2"])
    assert not list(tmp_path.iterdir())


def test_token_losses_that_are_not_there_are_named(tmp_path: Path) -> None:
    write_store(tmp_path / "store", example_frame(EXAMPLES))
    with pytest.raises(GradsError, match="store holds no token losses: ask its probe for 'token_losses'"):
        read_store(tmp_path / "store").token_losses()


def test_example_frame_counts_prompt_and_response() -> None:
    frame = example_frame(EXAMPLES)
    assert frame.to_dict("list") == {
        "id": ["a", "b"],
        "prompt_tokens": [2, 1],
        "response_tokens": [1, 3],
        "truncated": [False, True],
    }
    assert example_frame([]).dtypes.equals(frame.dtypes)


def test_writing_again_replaces_the_whole_store(tmp_path: Path) -> None:
    signals = example_frame(EXAMPLES)
    write_store(tmp_path / "store", signals, {"hidden": np.zeros((2, 1), dtype=np.float32)})
    write_store(tmp_path / "store", signals)
    assert read_store(tmp_path / "store").features == {}
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["meta.json", "signals.parquet"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_signal_that_is_no_number_is_refused_by_name(value: float, tmp_path: Path) -> None:
    signals = example_frame(EXAMPLES)
    with pytest.raises(GradsError, match=r"record b has head_l2 = (nan|inf), which is no finite number: .*nonfinite"):
        write_store(tmp_path / "store", signals.assign(head_l2=[0.0, value]))
    with pytest.raises(GradsError, match=r"record b has hidden_norm = (nan|inf)"):
        write_store(tmp_path / "store", signals, {"hidden": np.array([[0.0], [value]], dtype=np.float32)})
    assert not list(tmp_path.iterdir())


def test_features_of_other_records_are_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 vectors 'hidden' for 2 records"):
        write_store(tmp_path / "store", example_frame(EXAMPLES), {"hidden": np.zeros((3, 1))})


def test_missing_or_mixed_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GradsError, match="holds no signals"):
        read_store(tmp_path / "absent")
    write_store(tmp_path / "store", example_frame(EXAMPLES))
    example_frame(EXAMPLES[:1]).to_parquet(tmp_path / "store" / "signals.parquet")
    with pytest.raises(GradsError, match="do not belong together"):
        read_store(tmp_path / "store")
