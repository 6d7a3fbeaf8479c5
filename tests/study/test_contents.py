"""What comes from outside is known by what is in it."""

import os

import pytest

from grads.runtime.errors import GradsError
from grads.runtime.files import sha256_file
from grads.runtime.fingerprints import Fingerprints
from grads.study.contents import contents, own_files, task_files


def test_a_date_changes_nothing_and_content_does(tmp_path):
    file = tmp_path / "data.jsonl"
    file.write_text("1")
    first = contents([file], Fingerprints())
    assert first == {str(file): sha256_file(file)}
    os.utime(file, (1, 1))
    assert contents([file], Fingerprints()) == first
    file.write_text("2")
    os.utime(file, (1, 1))
    assert contents([file], Fingerprints()) != first


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(GradsError, match=r"data\.jsonl is not there"):
        contents([tmp_path / "data.jsonl"], Fingerprints())


def test_of_a_models_folder_what_is_read_counts(tmp_path):
    for name in ("config.json", "model.safetensors", "merges.txt", "pytorch_model.bin", "README.md", "modeling.py"):
        (tmp_path / name).write_text(name)
    (tmp_path / "checkpoint-20").mkdir()
    (tmp_path / "checkpoint-20" / "model.safetensors").write_text("x")
    assert [path.name for path in own_files(tmp_path)] == ["config.json", "merges.txt", "model.safetensors"]
    assert own_files(tmp_path / "a.gguf") == [tmp_path / "a.gguf"]


def test_a_task_file_stands_for_what_it_refers_to(tmp_path):
    files = {
        "task.yaml": "doc_to_text: !function utils.text\nmetrics:\n- metric: !function own.acc\n",
        "utils.py": "1",
        "own.py": "2",
        "other.py": "3",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert [path.name for path in task_files(tmp_path / "task.yaml")] == [
        "task.yaml",
        "own.py",
        "utils.py",
    ]


@pytest.mark.parametrize(
    "content", ["a: [", "", "- 1", "include: task.yaml", "include: none.yaml", "\udce9", "? [a]\n: b"]
)
def test_a_task_file_that_is_no_yaml_or_refers_to_nothing_is_itself(tmp_path, content):
    (tmp_path / "task.yaml").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert task_files(tmp_path / "task.yaml") == [tmp_path / "task.yaml"]
