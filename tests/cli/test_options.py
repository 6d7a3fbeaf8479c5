import os
from pathlib import Path

import pytest

from grads.api.checks import (
    check_data,
    check_folder,
    check_method,
    model_source,
    ratio_of,
    section,
)
from grads.cli.options import assignments, check_absent, check_out, texts
from grads.cli.outputs import check_outputs, manifest_of
from grads.cli.shared import COLUMNS
from grads.config.training import Training
from grads.data.layouts.registry import any_of_the_columns, own_layouts
from grads.runtime.errors import GradsError
from grads.runtime.manifest import write_manifests


def test_values_are_read_as_yaml_and_dots_open_mappings():
    pairs = ["epochs=3", "learning_rate=2e-5", "weights=full", "adapter.rank=8", "adapter.targets=[a, b]", "x=true"]
    assert assignments(pairs, "--training") == {
        "epochs": 3,
        "learning_rate": 2e-5,
        "weights": "full",
        "adapter": {"rank": 8, "targets": ["a", "b"]},
        "x": True,
    }


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (["epochs"], "--training epochs: found no KEY=VALUE"),
        (["=3"], "--training =3: found no KEY=VALUE"),
        (["epochs="], "--training epochs=: found no KEY=VALUE"),
        (["epochs=1", "epochs=2"], "'epochs' is given twice"),
        (["adapter=1", "adapter.rank=2"], "'adapter' has a value already"),
        (["epochs=[1"], "the value is not YAML"),
    ],
)
def test_what_is_no_assignment_is_refused(pairs, sentence):
    with pytest.raises(GradsError, match=sentence):
        assignments(pairs, "--training")


def test_a_section_names_the_key():
    assert section(Training, {"adapter": {"rank": 3}}, "--training").adapter.rank == 3
    with pytest.raises(GradsError, match=r"--training: 'adapter.rank': .*found 0"):
        section(Training, {"adapter": {"rank": 0}}, "--training")


def test_a_ratio_has_one_spelling():
    assert ratio_of(".50") == "0.5"
    with pytest.raises(GradsError, match="--ratio"):
        ratio_of("half")
    assert ratio_of("auto") == "auto"


def test_texts_stay_texts():
    assert texts(["a=1", "b=x=y"], "--field", "OURS=YOURS") == {"a": "1", "b": "x=y"}
    with pytest.raises(GradsError, match="--field a=2: 'a' is given twice"):
        texts(["a=1", "a=2"], "--field", "OURS=YOURS")


@pytest.mark.parametrize(
    ("text", "id_", "revision"),
    [
        ("owner/name", "owner/name", "main"),
        ("owner/name-1.5_B@v1", "owner/name-1.5_B", "v1"),
        ("owner/name@refs/pr/1", "owner/name", "refs/pr/1"),
    ],
)
def test_ids_of_the_hub(text, id_, revision):
    source = model_source(text)
    assert (source.kind, source.id, source.revision) == ("hub", id_, revision)


@pytest.mark.parametrize("text", ["name", "./a/b", "/a/b", "a/b/c", "a/b.gguf", "owner/name@", "a b/c", "-a/b", "~/b"])
def test_what_is_neither_path_nor_id_is_refused(text):
    with pytest.raises(GradsError, match="there is no such folder or file, and it is no id of the hub"):
        model_source(text)


def test_a_path_goes_before_an_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner" / "name").mkdir(parents=True)
    assert model_source("owner/name").kind == "file"
    assert model_source("owner/other").kind == "hub"


def test_files_and_folders_are_told_apart(tmp_path):
    data, folder = tmp_path / "data.jsonl", tmp_path / "folder.jsonl"
    data.write_text("")
    folder.mkdir()
    check_data(data)
    for wrong, sentence in ((folder, "is a folder"), (tmp_path / "absent.jsonl", "is not there")):
        with pytest.raises(GradsError, match=sentence):
            check_data(wrong)
    check_out(tmp_path / "out.jsonl", ".jsonl", data)
    (tmp_path / "link.jsonl").symlink_to(data)
    for wrong, sentence in ((folder, "is a folder"), (tmp_path / "link.jsonl", "is the data"), (data, "is the data")):
        with pytest.raises(GradsError, match=sentence):
            check_out(wrong, ".jsonl", data)
    with pytest.raises(GradsError, match="is there already"):
        check_absent(folder)


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    check_folder(tmp_path / "new" / "inner", "--out x")
    assert not list((tmp_path / "new" / "inner").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(GradsError, match=r"--out x: nothing can be written to the folder .*inner .*: name another"):
        check_folder(tmp_path / "file" / "inner", "--out x")


@pytest.mark.parametrize(
    ("name", "parameters", "ratio", "sentence"),
    [
        ("grads", {"representativeness": 0.0}, "auto", "--ratio auto: method 'grads' with these parameters finds no"),
        ("grads_density", {"combination": "zsum"}, "auto", "--ratio auto: method 'grads_density'"),
        ("grads", {"encoder": "minilm"}, "0.5", "add --encoder minilm=FOLDER"),
        ("grads", {"point": "later"}, "0.5", "--parameter: parameter 'point'"),
        ("random_length", {"reference": "full"}, "0.5", "method 'full' is a control"),
        ("random_length", {"reference": "random_length"}, "0.5", "in a circle"),
    ],
)
def test_a_method_that_could_not_select_is_refused(name, parameters, ratio, sentence):
    with pytest.raises(GradsError, match=sentence):
        check_method(name, parameters, ratio, ["other"])


def test_a_method_that_can_select_is_allowed():
    check_method("grads", {"encoder": "other", "point": "during"}, "auto", ["other"])
    check_method("random_length", {"reference": "random"}, "auto", [])


@pytest.fixture
def written(tmp_path):
    """An output that `grads select` made, with its manifest, as write_manifests names it."""
    out = tmp_path / "out.jsonl"
    out.write_text("{}")
    write_manifests([out], [], {"command": "select"}, 0.0)
    return out


def test_a_command_may_write_over_what_it_made_and_nothing_else(written, tmp_path):
    made = [written, manifest_of(written)]
    check_outputs("select", made, [], force=False)
    with pytest.raises(GradsError, match=r"out\.jsonl is there already, and no earlier `grads evaluate` made it"):
        check_outputs("evaluate", made, [], force=False)
    check_outputs("evaluate", made, [], force=True)
    other = tmp_path / "other.jsonl"
    other.write_text("somebody's")
    with pytest.raises(GradsError, match=r"other\.jsonl is there already.*--force"):
        check_outputs("select", [other, manifest_of(other)], [], force=False)
    scores = tmp_path / "out.scores.csv"
    scores.write_text("somebody's")
    with pytest.raises(GradsError, match=r"out\.scores\.csv is there already"):
        check_outputs("select", [written, scores, manifest_of(written)], [], force=False)


@pytest.mark.parametrize("content", ["[]", "{", '{"settings": 3}', '{"settings": {}, "outputs": []}', '{"a": 1}'])
def test_a_file_that_is_called_like_a_manifest_is_somebodys(tmp_path, content):
    out = tmp_path / "out.jsonl"
    manifest_of(out).write_text(content)
    with pytest.raises(GradsError, match=r"out\.manifest\.json is there already"):
        check_outputs("select", [out, manifest_of(out)], [], force=False)


@pytest.mark.parametrize("name", ["out.jsonl", "out.scores.csv", "out.manifest.json"])
@pytest.mark.parametrize("how", ["path", "symlink", "hard link", "in a folder"])
def test_no_output_is_an_input_by_whatever_way(tmp_path, monkeypatch, name, how):
    monkeypatch.chdir(tmp_path)
    out, file = Path("out.jsonl"), Path(name)
    data = Path("model/data.csv") if how == "in a folder" else Path("data.csv")
    data.parent.mkdir(exist_ok=True)
    data.write_text("x")
    if how == "path":
        data.rename(file)
        data = tmp_path / "." / file
    elif how == "hard link":
        os.link(data, file)
    else:
        file.symlink_to(data)
    read = data.parent if how == "in a folder" else data
    made = [out, out.with_suffix(".scores.csv"), manifest_of(out)]
    with pytest.raises(GradsError, match=rf"--out out\.jsonl: {name} is an input of this command"):
        check_outputs("select", made, [read], force=True)


def test_the_help_names_the_columns_of_all_layouts():
    assert any_of_the_columns(own_layouts(), "`") == COLUMNS


def test_a_warm_up_of_its_own_is_a_studys():
    with pytest.raises(GradsError, match="reads a warm-up of its own: use a study"):
        check_method("less", {"point": "warmup"}, "0.5", [], ["validation"])
    check_method("less", {}, "0.5", [], ["validation"])
    with pytest.raises(GradsError, match="reads anchor records, which are not given: add --anchor FILE"):
        check_method("ogs", {}, "0.5", [], ["validation"])
