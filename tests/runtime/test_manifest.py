import hashlib

from grads.runtime.files import read_json
from grads.runtime.manifest import content_sha256, write_manifests


def test_a_manifest_names_what_was_read_made_and_with_what(tmp_path):
    data, made, other = tmp_path / "data.txt", tmp_path / "out" / "a.json", tmp_path / "out" / "b.json"
    made.parent.mkdir()
    for path in (data, made, other):
        path.write_text(path.name)
    write_manifests([made, other], [data], {"rate": 1.0}, started=0.0)
    assert [path.name for path in tmp_path.rglob("*.manifest.json")] == ["a.manifest.json"]
    manifest = read_json(tmp_path / "out" / "a.manifest.json")
    assert manifest["inputs"] == {str(data): hashlib.sha256(b"data.txt").hexdigest()}
    assert set(manifest["outputs"]) == {str(made), str(other)}
    assert manifest["settings"] == {"rate": 1.0}
    assert manifest["libraries"]["torch"]
    assert manifest["seconds"] > 0


def test_every_folder_of_a_job_gets_one(tmp_path):
    made = [tmp_path / "x" / "a.csv", tmp_path / "y" / "a.svg", tmp_path / "model"]
    for path in made[:2]:
        path.parent.mkdir()
        path.touch()
    made[2].mkdir()
    write_manifests(made, [], {}, 0.0)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.manifest.json")}
    assert found == {"x/a.manifest.json", "y/a.manifest.json", "model.manifest.json"}


def test_an_input_with_a_manifest_is_not_read_again(tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("1")
    write_manifests([model], [], {}, 0.0)
    known = content_sha256(model)
    (model / "weights").write_text("2")
    write_manifests([_made(tmp_path)], [model], {}, 0.0)
    assert read_json(tmp_path / "run" / "a.manifest.json")["inputs"] == {str(model): known}


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
