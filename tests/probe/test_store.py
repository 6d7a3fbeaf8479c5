"""The signal store on disk."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from grads.data.formatting import Example
from grads.probe.store import example_frame, read_store, write_store
from grads.runtime.errors import GradsError

EXAMPLES = [Example("a", [1, 2, 3], 2), Example("b", [1, 2, 3, 4], 1, truncated=True)]


def test_store_comes_back_as_it_was_written(tmp_path: Path) -> None:
    signals = example_frame(EXAMPLES).assign(head_l2=[0.1, 1e-30])
    features = np.array([[1.5, 2.5], [3.5, 4.5]], dtype=np.float32)
    write_store(tmp_path / "store", signals, features, {"point": "warm"})
    store = read_store(tmp_path / "store")
    pd.testing.assert_frame_equal(store.signals, signals)
    assert store.features.dtype == np.float32
    assert store.features.tolist() == features.tolist()
    assert (store.meta["point"], store.meta["records"]) == ("warm", 2)
    assert set(store.meta["sha256"]) == {"signals.parquet", "features.npy"}
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


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
    write_store(tmp_path / "store", signals, np.zeros((2, 1), dtype=np.float32))
    write_store(tmp_path / "store", signals)
    assert read_store(tmp_path / "store").features is None
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["meta.json", "signals.parquet"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_signal_that_is_no_number_is_refused_by_name(value: float, tmp_path: Path) -> None:
    signals = example_frame(EXAMPLES)
    with pytest.raises(GradsError, match=r"1 of 2 records \(first: b\)"):
        write_store(tmp_path / "store", signals.assign(head_l2=[0.0, value]))
    with pytest.raises(GradsError, match=r"1 of 2 records \(first: b\)"):
        write_store(tmp_path / "store", signals, np.array([[0.0], [value]], dtype=np.float32))
    assert not list(tmp_path.iterdir())


def test_features_of_other_records_are_a_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="3 feature vectors for 2 records"):
        write_store(tmp_path / "store", example_frame(EXAMPLES), np.zeros((3, 1)))


def test_missing_or_mixed_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GradsError, match="holds no signals"):
        read_store(tmp_path / "absent")
    write_store(tmp_path / "store", example_frame(EXAMPLES))
    example_frame(EXAMPLES[:1]).to_parquet(tmp_path / "store" / "signals.parquet")
    with pytest.raises(GradsError, match="do not belong together"):
        read_store(tmp_path / "store")
