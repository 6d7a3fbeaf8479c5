"""The probe's stages on a tiny prepared model, from Parquet records to stores."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from grads.data.formatting import Formatter
from grads.data.records import Record, make_record, write_records
from grads.models.adapter import fresh_adapter
from grads.models.load import load_model, load_tokenizer
from grads.probe.gradients import COLUMNS, columns, gradient_statistics
from grads.probe.stage import probe_base, probe_tokens, probe_warm
from grads.probe.store import read_store
from grads.runtime.errors import GradsError
from grads.study.config import Adapter, Format, Probe, Training

RECORDS = [
    make_record(f"Define the word {word}.", "", f"It is {word} and {word[::-1]}.") for word in ("ox", "law", "tree")
]
FORM, PROBE = Format(), Probe(token_budget=200, precision="float32")
MORE = ["adapter", "gradients", "mean_abs"]


@pytest.fixture
def records_path(tmp_path: Path) -> Path:
    too_long = make_record("Define the word sea.", "", "water " * 100)
    write_records(tmp_path / "train.parquet", [*RECORDS, too_long])
    return tmp_path / "train.parquet"


@pytest.fixture
def adapter_folder(tmp_path: Path, tiny_model_folder: Path, with_adapter: Callable[[nn.Module], nn.Module]) -> Path:
    with_adapter(load_model(tiny_model_folder, "float32")).save_pretrained(str(tmp_path / "adapter"))
    return tmp_path / "adapter"


def ids(records: list[Record]) -> list[str]:
    return [record.id for record in records]


def test_tokens_are_the_eligible_records(tiny_model_folder: Path, records_path: Path, tmp_path: Path) -> None:
    probe_tokens(tiny_model_folder, records_path, FORM, Training(max_length=200), tmp_path / "tokens")
    store = read_store(tmp_path / "tokens")
    assert store.signals["id"].tolist() == ids(RECORDS)
    assert (store.meta["point"], store.meta["records"], store.meta["over_length"]) == ("tokens", 3, 1)
    # Byte-level tokens: the answer's characters and the end-of-turn token.
    assert store.signals["response_tokens"].tolist() == [len(record.output) + 1 for record in RECORDS]
    assert store.features is None


def test_truncated_records_are_marked(tiny_model_folder: Path, records_path: Path, tmp_path: Path) -> None:
    training = Training(max_length=200, over_length="truncate")
    probe_tokens(tiny_model_folder, records_path, FORM, training, tmp_path / "tokens")
    store = read_store(tmp_path / "tokens")
    assert store.signals["truncated"].tolist() == [False, False, False, True]
    assert store.meta["truncated"] == 1


def test_base_has_a_vector_a_record(
    tiny_model_folder: Path, records_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = Training(max_length=200)
    probe_base(tiny_model_folder, records_path, FORM, training, PROBE, tmp_path / "base", "base of tiny")
    store = read_store(tmp_path / "base")
    assert store.signals["id"].tolist() == ids(RECORDS)
    assert store.features.shape == (3, 32)
    assert len(np.unique(store.features, axis=0)) == 3
    assert "base of tiny: 3/3 records" in capsys.readouterr().err


def test_base_measures_gradients_only_where_they_are_asked_for(
    tiny_model_folder: Path, records_path: Path, tmp_path: Path
) -> None:
    training = Training(max_length=200, adapter=Adapter(rank=2))
    stores = {}
    for name, measures in (("plain", ["hidden"]), ("both", ["gradients", "hidden"]), ("adapter", MORE)):
        begin = (tiny_model_folder, records_path, FORM, training, PROBE, tmp_path / name, name)
        probe_base(*begin, measures, adapter_seed=3)
        stores[name] = read_store(tmp_path / name)
    assert list(stores["plain"].signals.columns)[4:] == []
    assert list(stores["both"].signals.columns)[4:] == list(COLUMNS)
    assert list(stores["adapter"].signals.columns)[4:] == list(columns(MORE))
    assert stores["adapter"].features is None
    assert [stores[name].meta["gradient_passes"] for name in stores] == [0, 1, 1]
    np.testing.assert_allclose(stores["both"].features, stores["plain"].features, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stores["adapter"].signals["head_l2"], stores["both"].signals["head_l2"], rtol=1e-5)
    assert stores["adapter"].meta["adapter"].startswith("B only")
    # The adapter is the one that training with the seed begins with.
    torch.manual_seed(0)
    model = fresh_adapter(load_model(tiny_model_folder, "float32"), training.adapter, 3)
    examples = [Formatter(load_tokenizer(tiny_model_folder), FORM).example(record) for record in RECORDS]
    rows = gradient_statistics(model, examples, 10_000, 0, measures=MORE)
    expected = [row["adapter_l2"] for row in rows]
    np.testing.assert_allclose(stores["adapter"].signals["adapter_l2"], expected, rtol=1e-4)


def test_warm_measures_the_trained_model(
    tiny_model_folder: Path,
    adapter_folder: Path,
    records_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    training = Training(max_length=200)
    out = tmp_path / "warm-0"
    probe_warm(tiny_model_folder, adapter_folder, records_path, FORM, training, PROBE, out, "warm probe")
    store = read_store(out)
    assert list(store.signals.columns)[4:] == list(COLUMNS)
    tokenizer = load_tokenizer(tiny_model_folder)
    examples = [Formatter(tokenizer, FORM).example(record) for record in RECORDS]
    for trained, equal in ((adapter_folder, True), (None, False)):
        model = load_model(tiny_model_folder, "float32", trained)
        rows = gradient_statistics(model, examples, 10_000, tokenizer.pad_token_id)
        assert np.allclose([row["head_l2"] for row in rows], store.signals["head_l2"], rtol=1e-4) == equal
    assert (store.meta["point"], store.meta["precision"]) == ("warm", "float32")
    assert "warm probe: 3/3 records" in capsys.readouterr().err


def test_no_eligible_record_is_an_error(tiny_model_folder: Path, records_path: Path, tmp_path: Path) -> None:
    with pytest.raises(GradsError, match=r"none of 4 records fits into training\.max_length = 8"):
        probe_tokens(tiny_model_folder, records_path, FORM, Training(max_length=8), tmp_path / "tokens")
    assert not (tmp_path / "tokens").exists()
