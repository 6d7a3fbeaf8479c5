import hashlib

import pytest

from grads.runtime import fingerprints, manifest
from grads.runtime.damage import damage_below
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, write_json
from grads.runtime.fingerprints import Fingerprints
from grads.runtime.manifest import content_sha256, verified, write_manifests


def test_a_manifest_names_what_was_read_made_and_with_what(tmp_path):
    data, made, other = tmp_path / "data.txt", tmp_path / "out" / "a.json", tmp_path / "out" / "b.json"
    made.parent.mkdir()
    for path in (data, made, other):
        path.write_text(path.name)
    write_manifests([made, other], [data], {"rate": 1.0}, started=0.0)
    assert [path.name for path in tmp_path.rglob("*.manifest.json")] == ["a.manifest.json"]
    found = read_json(tmp_path / "out" / "a.manifest.json")
    assert found["inputs"] == {str(data): hashlib.sha256(b"data.txt").hexdigest()}
    assert set(found["outputs"]) == {str(made), str(other)}
    assert found["settings"] == {"rate": 1.0}
    assert found["libraries"]["torch"]


def test_every_folder_of_a_job_gets_one(tmp_path):
    made = [tmp_path / "x" / "a.csv", tmp_path / "y" / "a.svg", tmp_path / "model"]
    for path in made[:2]:
        path.parent.mkdir()
        path.touch()
    made[2].mkdir()
    write_manifests(made, [], {}, 0.0)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.manifest.json")}
    assert found == {"x/a.manifest.json", "y/a.manifest.json", "model.manifest.json"}


def test_a_dot_in_the_name_of_a_folder_opens_no_suffix(tmp_path):
    for name in ("Qwen2.5-7B", "Qwen2.5-14B"):
        (tmp_path / name).mkdir()
        write_manifests([tmp_path / name], [], {"model": name}, 0.0)
    found = {path.name: read_json(path)["settings"]["model"] for path in tmp_path.glob("*.manifest.json")}
    assert found == {f"{name}.manifest.json": name for name in ("Qwen2.5-7B", "Qwen2.5-14B")}


def test_an_input_with_a_manifest_is_not_read_again(tmp_path, monkeypatch):
    model = _model(tmp_path)
    known = content_sha256(model)
    monkeypatch.setattr(manifest, "content_sha256", lambda _path: pytest.fail("read again"))
    monkeypatch.setattr(fingerprints, "sha256_file", lambda _path: pytest.fail("read again"))
    write_manifests([_made(tmp_path)], [model], {}, 0.0)
    assert read_json(tmp_path / "run" / "a.manifest.json")["inputs"] == {str(model): known}


def test_an_input_that_is_not_what_its_manifest_says_is_refused(tmp_path):
    model = _model(tmp_path)
    (model / "weights").write_text("2")
    with pytest.raises(GradsError, match=rf"{model}/weights is not what was written .*: delete {model} and run again"):
        write_manifests([_made(tmp_path)], [model], {}, 0.0)


def _model(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("1")
    write_manifests([model], [], {}, 0.0)
    return model


def _made(tmp_path):
    path = tmp_path / "run" / "a.json"
    path.parent.mkdir()
    path.touch()
    return path


def test_a_folder_is_hashed_by_names_and_contents(tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "a").write_text("1")
    (tmp_path / "two" / "b").write_text("1")
    (tmp_path / "three" / "a").write_text("1")
    one, two, three = (content_sha256(tmp_path / name) for name in ("one", "two", "three"))
    assert one == three != two


def test_the_manifest_is_called_like_the_first_artefact_of_its_folder(tmp_path):
    for name in ("b.json", "a.json"):
        (tmp_path / name).touch()
    write_manifests([tmp_path / "b.json", tmp_path / "a.json"], [], {}, 0.0)
    assert [path.name for path in tmp_path.glob("*.manifest.json")] == ["b.manifest.json"]


def test_an_input_that_a_manifest_next_to_it_does_not_list_is_read(tmp_path):
    """The manifest of training.json says nothing of training.csv, which somebody put there."""
    (tmp_path / "training.json").write_text("1")
    write_manifests([tmp_path / "training.json"], [], {}, 0.0)
    (tmp_path / "training.csv").write_text("2")
    write_manifests([_made(tmp_path)], [tmp_path / "training.csv"], {}, 0.0)
    inputs = read_json(tmp_path / "run" / "a.manifest.json")["inputs"]
    assert inputs == {str(tmp_path / "training.csv"): hashlib.sha256(b"2").hexdigest()}


def test_a_folder_is_hashed_below_itself_and_wherever_it_lies(tmp_path):
    for root in ("one", "two"):
        (tmp_path / root / "deep").mkdir(parents=True)
        (tmp_path / root / "deep" / "a").write_text("1")
        (tmp_path / root / "z").write_text("2")
    assert content_sha256(tmp_path / "one") == content_sha256(tmp_path / "two")
    (tmp_path / "two" / "deep" / "a").write_text("3")
    assert content_sha256(tmp_path / "one") != content_sha256(tmp_path / "two")
    lines = [f"{name} {hashlib.sha256(text).hexdigest()}\n" for name, text in (("deep/a", b"1"), ("z", b"2"))]
    assert content_sha256(tmp_path / "one") == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_seconds_are_those_since_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(manifest.time, "time", lambda: 1012.34567)
    write_manifests([_made(tmp_path)], [], {"a": [1]}, started=1000.0)
    content = read_json(tmp_path / "run" / "a.manifest.json")
    assert content["seconds"] == 12.346
    made = {"outputs", "folder", "artefacts", "files", "inputs", "settings", "sha256"}
    assert made | {"seconds", "finished", "git", "host", "machine", "libraries", "plugins"} == set(content)


def test_a_manifest_of_an_earlier_version_has_the_hash_of_the_whole(tmp_path):
    """It listed the artefacts of all folders of a job, whose names may be alike."""
    for domain in ("law", "tax"):
        (tmp_path / domain).mkdir()
        (tmp_path / domain / "train.parquet").write_text(domain)
    files = {f"data/{name}/train.parquet": tmp_path / name / "train.parquet" for name in ("law", "tax")}
    outputs = {name: content_sha256(path) for name, path in files.items()}
    write_json(tmp_path / "tax" / "train.manifest.json", {"outputs": outputs, "inputs": {}})
    assert verified(tmp_path / "tax" / "train.parquet") == outputs["data/tax/train.parquet"]
    assert list(damage_below(tmp_path / "tax", Fingerprints(), strict=True)) == []
    (tmp_path / "tax" / "train.parquet").write_text("other")
    with pytest.raises(GradsError, match=r"train\.parquet is not what was written"):
        verified(tmp_path / "tax" / "train.parquet")


def test_an_artefact_that_is_recorded_again_under_another_name_is_that_of_the_newer_manifest(tmp_path):
    for name in ("a.json", "text.json", "z.json"):
        (tmp_path / name).write_text("1")
    write_manifests([tmp_path / "a.json", tmp_path / "text.json"], [], {}, 0.0)
    (tmp_path / "text.json").write_text("2")
    write_manifests([tmp_path / "z.json", tmp_path / "text.json"], [], {}, 0.0)
    assert list(damage_below(tmp_path, Fingerprints(), strict=True)) == []
    assert verified(tmp_path / "text.json") == hashlib.sha256(b"2").hexdigest()


def test_the_hash_of_a_folder_is_that_of_its_content_whatever_its_names(tmp_path):
    for name in ("deep/a", "deep-x", "deep.y"):
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_text(name)
    known = content_sha256(tmp_path / "model")
    write_manifests([tmp_path / "model"], [], {}, 0.0)
    (tmp_path / "model" / ".snakemake_timestamp").touch()
    assert verified(tmp_path / "model") == content_sha256(tmp_path / "model") == known
