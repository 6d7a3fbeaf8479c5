"""Bad configs, task files and data files: each is refused in a sentence, before any work, without traceback."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from grads.cli.main import app
from grads.graph.needs import checked_study
from grads.runtime.errors import GradsError

ROOT = Path(__file__).parents[2]
SMOKE = yaml.safe_load((ROOT / "config" / "smoke.yaml").read_text("utf-8"))
ITEMS = [{"question": f"What is {n}?", "choices": ["a", "b", "c"], "gold": n % 3} for n in range(9)]
TASK = {
    "task": "mine",
    "dataset_path": "json",
    "dataset_kwargs": {"data_files": {"test": "DATA"}},
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "question",
    "doc_to_choice": "choices",
    "doc_to_target": "gold",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    "metadata": {"version": 1.0},
}
Refused = Callable[..., tuple[str, ...]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the smoke study's files, and a general benchmark of one's own in `task.yaml` over `items.jsonl`."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(TASK))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def study(**changes: Any) -> dict[str, Any]:
    """Return the smoke study with a benchmark over one's own files, and keys changed: `training__epochs=0`, say."""
    config = copy.deepcopy(SMOKE)
    products = {"title": "Products", "yaml": "task.yaml", "data": {"kind": "file", "path": "items.jsonl"}}
    config["general"]["tasks"]["products"] = products | {"sample": 5, "chance": 0.5}
    for path, value in changes.items():
        *outer, last = path.split("__")
        section = config
        for key in outer:
            section = section[int(key)] if isinstance(section, list) else section.setdefault(key, {})
        section[last] = value
    return config


@pytest.fixture
def refused(folder: Path) -> Refused:
    """Run `grads check` on a config, as data or as text; return its sentences, each one line of standard error."""

    def check(config: Any) -> tuple[str, ...]:
        text = config if isinstance(config, str) else yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
        (folder / "mine.yaml").write_text(text, encoding="utf-8")
        result = CliRunner().invoke(app, ["check", "mine.yaml"])
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        lines = result.stderr.splitlines()
        assert all(line.startswith("error: mine.yaml: ") for line in lines)
        assert all(len(line) < 1500 and line.isprintable() for line in lines)
        assert "Input should be" not in result.stderr
        return tuple(line.removeprefix("error: mine.yaml: ") for line in lines)

    return check


def test_the_study_that_the_cases_change_is_valid(folder: Path) -> None:
    (folder / "mine.yaml").write_text(yaml.safe_dump(study()))
    assert checked_study("mine.yaml").general.tasks["products"].yaml == "task.yaml"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training__batch_size": 8}, "'training.batch_size': it is called 'global_batch' here"),
        ({"training__lr": 1.0}, "'training.lr': it is called 'learning_rate' here"),
        ({"training__num_train_epochs": 1}, "'training.num_train_epochs': it is called 'epochs' here"),
        ({"training__per_device_train_batch_size": 1}, "it is called 'global_batch' here"),
        ({"training__lora_r": 8}, "write it as 'training.adapter.rank'"),
        ({"training__cutoff_len": 8}, "it is called 'max_length' here"),
        ({"training__max_seq_length": 8}, "did you mean 'max_length'?"),
        ({"training__adapter": {"target_modules": ["q_proj"]}}, "it is called 'targets' here"),
        ({"batch_size": 8}, "'batch_size': write it as 'training.global_batch'"),
        ({"training__max_new_tokens": 8}, "write it as 'generation.max_new_tokens'"),
        ({"training__adapter": {"targets": []}}, "'training.adapter.targets': write 'all-linear' or at least 1 entry"),
        ({"training__epochs": 10**12}, "'training.epochs': write 10000 or less"),
        ({"generation__max_new_tokens": 10**12}, "'generation.max_new_tokens': write 1000000 or less"),
        ({"evaluation__metrics": []}, "'evaluation.metrics': write at least 1 entry"),
        ({"evaluation__metrics": ["blue"]}, "there is no metric 'blue': did you mean 'bleu'"),
        ({"arms__grads__ratios": ["\u0660.\u0665"]}, "'arms.grads.ratios.0': a ratio is a number"),
        ({"arms__grads__ratios": ["1e-5000"]}, "'arms.grads.ratios.0': a ratio is at least"),
        ({"arms__grads__ratios": ["0_1.5"]}, "'arms.grads.ratios.0': a ratio is a number"),
        ({"domains__sums__title": "\u200b"}, "'domains.sums.title': the character \\u200b cannot be seen"),
        ({"domains__sums__title": "\u200d"}, "'domains.sums.title' is empty"),
        ({"domains__sums__title": "a\u202eb"}, "'domains.sums.title': the character \\u202e"),
        ({"models__tiny__title": "\x1b[31mred"}, "'models.tiny.title' holds a control character"),
        ({"label": "x" * 5000}, "'label': write text of at most 2000 characters"),
        ({"domains__sums__source__path": "config/smoke.yaml"}, "'config/smoke.yaml' is none of .jsonl, .json"),
        ({"domains__sums__source__path": "ev{il}.jsonl"}, "holds '{', which no path here may"),
        ({"archives__wn__file": "..whl"}, "'archives.wn.file': '..whl' is no plain name"),
        ({"seeds": 0}, "'seeds': write a list; found 0"),
        ({"study": "Mine Study"}, "'study': write a name of a-z, 0-9"),
        ({"claims": ["grads wins"]}, "'claims.0': write a mapping with keys such as 'claim'"),
        ({"splits": {"train": 24, "validaton": 4, "test": 8}}, "unknown key 'splits.validaton': did you mean"),
        ({"general__text__source__field": "txt"}, "'txt' is not a text (did you mean 'text'?)"),
        ({"domains__sums__fields": {"instruction": "ask"}}, "config/smoke/sums.jsonl:1: 'ask' is missing"),
    ],
)
def test_a_mistake_in_a_config_is_one_sentence(refused: Refused, changes: dict[str, Any], words: str) -> None:
    sentences = refused(study(**changes))
    assert len(sentences) == 1
    assert words in sentences[0]


def test_all_mistakes_are_said_at_once(refused: Refused) -> None:
    changes = {
        "study": "Mine Study",
        "seeds": 0,
        "training__lr": 1.0,
        "training__epochs": "2",
        "evaluation__metrics": [],
    }
    changes |= {"splits": {"validaton": 4, "test": 8}, "claims": ["x"], "arms__grads__ratio": [1], "label": 3}
    assert len(refused(study(**changes))) == 9
    changes = {"evaluation__metrics": ["blue", "bleu", "bleu"], "arms__grads__method": "grad"}
    changes |= {"domains__sums__source__path": "absent.jsonl", "general__tasks__products__metric": "nope"}
    changes |= {"claims": [{"claim": "grads@0.5 beats nobody on bleu"}], "arms__random__strategy": "stn"}
    assert len(refused(study(**changes))) == 7


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB + "study: *i\n", "aliases (*) repeat more than"),
        ("study: &a [*a]\n", "an alias (*) repeats what it stands in"),
        ("study: " + "[" * 5000 + "]" * 5000, "nested too deep"),
        ("study: " + "{a: " * 5000 + "}" * 5000, "nested too deep"),
        ("study: " + "[" * 5000, "nested too deep"),
        ('label: "a \\ud800 b"\n', "'label' holds half of a surrogate pair"),
        ('label: "a \\0 b"\n', "'label' holds a control character"),
        ("study: x\nstudy: y\n", "line 2: the key 'study' is there twice"),
        ("study: [x\n", "not valid YAML"),
        ("study: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("- a list\n", "a study's config is a mapping"),
        ("", "a study's config is a mapping"),
        ("x" * 5_000_000, "is larger than 4 MB"),
    ],
)
def test_what_is_no_config_is_one_sentence(refused: Refused, text: str, words: str) -> None:
    sentences = refused(text)
    assert len(sentences) == 1
    assert words in sentences[0]


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in TASK.items() if key not in keys}


TASK_FILES: dict[str, tuple[Any, str]] = {
    "broken YAML": ("task: [x", "not valid YAML"),
    "a list": ([1], "is a mapping with keys such as 'task'"),
    "a key twice": ("task: a\ntask: b\n", "the key 'task' is there twice"),
    "an unknown key": (TASK | {"doc_to_txt": "question"}, "unknown key 'doc_to_txt': did you mean 'doc_to_text'?"),
    "a key that is missing": (without("task"), "key 'task' is missing"),
    "a field that is not there": (TASK | {"doc_to_text": "nofield"}, "'nofield', which names no field of an item"),
    "a misspelt field": (TASK | {"doc_to_text": "qestion"}, "did you mean 'question'?"),
    "a text without a field": (TASK | {"doc_to_text": "Question: question"}, "names no field of an item"),
    "a target that is not there": (TASK | {"doc_to_target": "golden"}, "'doc_to_target' is 'golden', which names no"),
    "a default for what is not there": (
        TASK | {"doc_to_text": "{{ nofield | default('x') }}"},
        "names no field of an item",
    ),
    "one of two fields": (TASK | {"doc_to_text": "{{question}} {{nofield}}"}, "'nofield' is undefined"),
    "broken Jinja": (TASK | {"doc_to_text": "{{ question"}, "'doc_to_text' is no template"),
    "failing Jinja": (TASK | {"doc_to_text": "{{ question[0].x.y }}"}, "'doc_to_text' fails (UndefinedError"),
    "dividing Jinja": (TASK | {"doc_to_text": "{{ gold / 0 }}"}, "'doc_to_text' fails (ZeroDivisionError"),
    "Jinja that reaches for Python": (
        TASK | {"doc_to_text": "{{ question }}{{ cycler.__init__.__globals__.os.system('touch PWNED') }}"},
        "'doc_to_text' fails (SecurityError",
    ),
    "Jinja that fills the memory": (TASK | {"doc_to_text": "{{ question * 10**12 }}"}, "fails (OverflowError"),
    "choices that are no list": (TASK | {"doc_to_choice": "question"}, "'doc_to_choice' gives"),
    "choices that are not there": (TASK | {"doc_to_choice": "chioces"}, "not a list of texts"),
    "one choice": (TASK | {"doc_to_choice": ["yes"]}, "'doc_to_choice' gives ['yes']"),
    "no choices": (without("doc_to_choice"), "'doc_to_choice' is missing"),
    "no target": (without("doc_to_target"), "'doc_to_target' is missing"),
    "gold out of range": (TASK | {"doc_to_target": "{{ gold + 5 }}"}, "none of the 3 choices"),
    "gold below 0": (TASK | {"doc_to_target": "{{ gold - 9 }}"}, "none of the 3 choices"),
    "a metric that there is not": (TASK | {"metric_list": [{"metric": "ac"}]}, "lm-eval has no 'ac'"),
    "a metric of another kind": (TASK | {"metric_list": [{"metric": "bleu"}]}, "no 'bleu' for multiple_choice"),
    "a metric from the hub": (TASK | {"metric_list": [{"metric": "x", "hf_evaluate": True}]}, "code from the hub"),
    "a metric without a name": (TASK | {"metric_list": [{"aggregation": "mean"}]}, "'metric_list.0.metric' is missing"),
    "an unknown aggregation": (
        TASK | {"metric_list": [{"metric": "acc", "aggregation": "average"}]},
        "'metric_list.0.aggregation' is 'average'",
    ),
    "an unsupported output": (
        TASK | {"output_type": "loglikelihood_rolling"},
        "'output_type': write 'multiple_choice'",
    ),
    "an unknown filter": (
        TASK | {"filter_list": [{"name": "x", "filter": [{"function": "rgex"}]}]},
        "did you mean 'regex'?",
    ),
    "a broken pattern": (
        TASK | {"filter_list": [{"name": "none", "filter": [{"function": "regex", "regex_pattern": "("}]}]},
        "is no regular expression",
    ),
    "a function": (yaml.safe_dump(without("doc_to_text")) + "doc_to_text: !function evil.pwn\n", "general.allow_code"),
    "a Python tag": (
        yaml.safe_dump(without("doc_to_text")) + "doc_to_text: !!python/name:os.system\n",
        "could not determine a constructor",
    ),
    "a group": (TASK | {"group": "g"}, "'group' is not supported"),
    "a list of tasks": (TASK | {"task": ["a", "b"]}, "'task': write text"),
    "an include": (TASK | {"include": "other.yaml"}, "'include' is not supported"),
    "a class": (TASK | {"class": "x.Y"}, "'class' is not supported"),
    "a script for data": (TASK | {"dataset_path": "./script.py"}, "'dataset_path': write 'json'"),
    "data of the hub": (TASK | {"dataset_path": "allenai/openbookqa"}, "'dataset_path': write 'json'"),
    "no DATA": (TASK | {"dataset_kwargs": {"data_files": {"test": "task.yaml"}}}, "the word DATA 0 times"),
    "DATA twice": (TASK | {"description": "DATA"}, "the word DATA 2 times"),
    "a file that is missing": (
        TASK | {"dataset_kwargs": {"data_files": {"test": "DATA", "train": "absent.jsonl"}}},
        "'absent.jsonl' is not there",
    ),
    "no data files": (TASK | {"dataset_kwargs": {"files": "DATA"}}, "names no file"),
    "a split that is not there": (TASK | {"test_split": "tst"}, "did you mean 'test'?"),
    "no split": (without("test_split"), "'test_split' is missing"),
    "code of the model": (TASK | {"unsafe_code": True}, "'unsafe_code' runs what the model writes"),
}


@pytest.mark.parametrize("case", TASK_FILES)
def test_a_mistake_in_a_task_file_is_one_sentence(refused: Refused, folder: Path, case: str) -> None:
    content, words = TASK_FILES[case]
    (folder / "task.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    sentences = refused(study())
    assert len(sentences) == 1
    assert sentences[0].startswith("general.tasks.products.yaml: task.yaml: ")
    assert words in sentences[0]
    assert not (folder / "PWNED").exists()


@pytest.mark.parametrize(
    ("metric", "words"),
    [("nope", "task.yaml has acc; choose one"), ("acc,strict", "has acc; choose"), ("f1", "task.yaml has acc; choose")],
)
def test_a_metric_that_the_task_file_has_not_is_one_sentence(refused: Refused, metric: str, words: str) -> None:
    (sentence,) = refused(study(general__tasks__products__metric=metric))
    assert sentence.startswith(f"general.tasks.products.metric is '{metric}'")
    assert words in sentence


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ('{"question": "Q", "choices": ["a"], "gold": 0}', "write each item as"),
        ('{"question": "Q", "choices": ["a", "b"], "gold": 2}', "'gold' is 2 with 2 choices"),
        ('{"question": "Q", "question": "R", "choices": ["a", "b"], "gold": 0}', "the key 'question' is there twice"),
        ('{"question": "\\ud800", "choices": ["a", "b"], "gold": 0}', "half of a surrogate pair"),
        ("[1]", "found a JSON list"),
    ],
)
def test_the_first_items_of_ones_own_are_read(refused: Refused, folder: Path, line: str, words: str) -> None:
    (folder / "items.jsonl").write_text(line + "\n")
    (sentence,) = refused(study())
    assert sentence.startswith("items.jsonl:1: ")
    assert words in sentence


@pytest.mark.parametrize(
    ("python", "words"),
    [
        (None, "there is no module utils.py"),
        ("def other(doc): return ''\n", "utils.py has no 'prompt'"),
        ("def prompt(:\n", "utils.py is no Python"),
    ],
)
def test_python_that_is_allowed_and_wrong_is_one_sentence(
    refused: Refused, folder: Path, python: str | None, words: str
) -> None:
    task = yaml.safe_dump(without("doc_to_text")) + "doc_to_text: !function utils.prompt\n"
    (folder / "task.yaml").write_text(task)
    if python is not None:
        (folder / "utils.py").write_text(python)
    (sentence,) = refused(study(general__allow_code=True))
    assert words in sentence


def test_python_that_is_allowed_is_not_run_to_check_it(folder: Path) -> None:
    (folder / "task.yaml").write_text(yaml.safe_dump(without("doc_to_text")) + "doc_to_text: !function utils.prompt\n")
    (folder / "utils.py").write_text("open('PWNED', 'w')\ndef prompt(doc): return doc['question']\n")
    (folder / "mine.yaml").write_text(yaml.safe_dump(study(general__allow_code=True)))
    assert checked_study("mine.yaml").general.allow_code
    assert not (folder / "PWNED").exists()


def test_the_task_files_that_come_with_grads_are_fine(folder: Path) -> None:
    for path in sorted((ROOT / "config" / "tasks").glob("*.yaml")):
        (folder / "task.yaml").write_text(path.read_text("utf-8"))
        item = {"question": "Q", "passage": "P", "choices": ["a", "b"], "gold": 1}
        (folder / "items.jsonl").write_text(json.dumps(item) + "\n")
        (folder / "mine.yaml").write_text(yaml.safe_dump(study()))
        assert checked_study("mine.yaml")


def test_a_broken_file_of_methods_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from grads.study.parameters import Registry

    package = folder / "lent"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(folder))
    for name, text, words in (
        ("one", "def broken(:\n", r"lent/one\.py:1 cannot be imported \(invalid syntax"),
        ("two", "import absent_module\n", r"lent/two\.py:1 cannot be imported \(ModuleNotFoundError"),
        ("three", "\nraise RuntimeError('x')\n", r"lent/three\.py:2 cannot be imported \(RuntimeError: x"),
        ("four", "THING = 3\n", r"lent/four\.py declares no THING"),
        # The line is that of the file itself, wherever the error was raised.
        ("five", "import json\n\njson.loads('[')\n", r"lent/five\.py:3 cannot be imported \(JSONDecodeError"),
        ("six", "from lent import one\n", r"lent/six\.py:1 cannot be imported \(.*lent/one\.py:1: invalid syntax"),
        ("seven", "import sys\nsys.exit(3)\n", r"lent/seven\.py:2 cannot be imported \(SystemExit: 3"),
        ("eight", "THING = 'a'\nTHING = a\n", r"lent/eight\.py:2 cannot be imported \(NameError"),
    ):
        (package / f"{name}.py").write_text(text)
        with pytest.raises(GradsError, match=words):
            Registry("lent", "THING", str, "there is no thing", ()).collect([f"lent.{name}"])
