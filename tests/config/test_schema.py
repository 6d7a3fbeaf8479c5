"""The JSON schema and the reference page, against the config model and the shipped configs."""

import copy
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from grads.config.schema import REFERENCE, SCHEMA, description, main, reference_page, schema_text, study_schema
from grads.config.study import Study
from grads.runtime.errors import GradsError
from grads.study.reading import parse_study

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "config").glob("*.yaml"))
SMOKE = yaml.safe_load((ROOT / "config/smoke.yaml").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(study_schema())


def sections(model=Study, seen=None):
    """Return all sections of the config."""
    seen = set() if seen is None else seen
    if model not in seen:
        seen.add(model)
        waiting = [field.annotation for field in model.model_fields.values()]
        while waiting:
            annotation = waiting.pop()
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                sections(annotation, seen)
            waiting.extend(getattr(annotation, "__args__", ()))
    return seen


def test_the_shipped_files_are_those_of_the_model():
    assert (ROOT / SCHEMA).read_text(encoding="utf-8") == schema_text(), "run `make docs`"
    assert (ROOT / REFERENCE).read_text(encoding="utf-8") == reference_page(), "run `make docs`"


def test_main_writes_both_below_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main()
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")} == {str(SCHEMA), str(REFERENCE)}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_follow_the_schema(path):
    VALIDATOR.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(study_schema())
    assert study_schema()["$schema"].endswith("2020-12/schema")


def set_key(config, path, value):
    *above, last = path.split(".")
    for key in above:
        config = config[key]
    config[last] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("trainin", {}),
        ("training.epochs", "2"),
        ("training.epochs", 0),
        ("training.learning_rate", "2e-5"),
        ("arms.grads.ratio", ["0.5"]),
        ("domains.Sums!", {"title": "Sums", "source": {"kind": "file", "path": "x.jsonl"}}),
        ("domains.sums.source.pth", "x"),
        ("evaluation.metrics", "bleu"),
        ("seeds", []),
    ],
)
def test_what_the_schema_refuses_is_refused_by_the_model_too(path, value):
    config = copy.deepcopy(SMOKE)
    set_key(config, path, value)
    assert not VALIDATOR.is_valid(config)
    with pytest.raises(GradsError):
        parse_study(config)


@pytest.mark.parametrize("ratio", [0.5, "0.5", 1])
def test_a_ratio_may_be_written_as_number_or_text(ratio):
    config = copy.deepcopy(SMOKE)
    set_key(config, "arms.random.ratios", [ratio])
    VALIDATOR.validate(config)
    parse_study(config)


def test_every_object_with_keys_of_its_own_refuses_others():
    waiting, objects = [study_schema()], 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if node.get("type") == "object" and ("properties" in node or "patternProperties" in node):
                assert node["additionalProperties"] is False, node
                objects += 1
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    assert objects > 15


@pytest.mark.parametrize("section", sorted(sections(), key=lambda section: section.__name__), ids=lambda s: s.__name__)
def test_every_key_is_described(section):
    assert section.__doc__
    for key, field in section.model_fields.items():
        said = description(field)
        assert said, f"{section.__name__}.{key} in grads/config has no description"
        assert len(said.split()) > 1, f"{section.__name__}.{key}"
        assert said.endswith("."), f"{section.__name__}.{key}"


def test_the_page_names_every_key():
    page = reference_page()
    for section in sections():
        for key in section.model_fields:
            assert f"| `{key}` |" in page
    for heading in ("`training.adapter`", "`arms.<arm>`", "`models.<model>.source (kind: tiny)`"):
        assert f"## {heading}\n" in page


def test_the_page_has_types_limits_and_defaults():
    page = reference_page()
    assert "| `rank` | whole number >= 1 | `16` |" in page
    assert "| `train` | whole number >= 1 | none |" in page
    assert '| `weights` | `lora` or `full` | `"lora"` |' in page
    assert "| `test` | whole number >= 1 | required |" in page


def test_nothing_on_the_page_would_be_taken_for_html():
    assert not re.search(r"<[a-z]", re.sub(r"`[^`]*`", "", reference_page()))
