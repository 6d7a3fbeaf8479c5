"""Benchmarks that lm-eval knows by name: their data from a cache in the hub's layout, with the network off."""

import json
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub.constants
import lm_eval.tasks
import pyarrow.parquet as pq
import pytest

from grads.config.general import HarnessData
from grads.data.sources.named_tasks import (
    TASKS,
    _index,
    _leaves,
    check_code,
    fetch_task,
    load_harness,
    sample_harness,
    temporary_cache,
)
from grads.runtime.errors import GradsError
from grads.runtime.files import read_json, write_json
from grads.study.paths import hub_path

HASH = "0123456789abcdef0123456789abcdef01234567"


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def place(cache: Path, repository: str, configs: dict[str, dict[str, list[dict[str, Any]]]]) -> None:
    """Put a data set into a cache of the hub: configuration to split to rows."""
    root = cache / f"datasets--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / HASH
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(HASH)
    card = ["---", "configs:"]
    for config, splits in configs.items():
        card += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            (snapshot / f"{config}-{split}.jsonl").write_text(lines(rows))
            card += [f"  - split: {split}", f"    path: {config}-{split}.jsonl"]
    (snapshot / "README.md").write_text("\n".join([*card, "---", ""]))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub with two data sets, and no way to the hub itself."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    sums = [{"question": f"What is {n} + 1?", "answer": f"{n} + 1 = {n + 1}\n#### {n + 1}"} for n in range(12)]
    place(folder, "openai/gsm8k", {"main": {"train": sums[:5], "test": sums[5:]}})
    arc = {
        name: {split: [arc_row(name, split, n) for n in range(4)] for split in ("train", "validation", "test")}
        for name in ("ARC-Easy", "ARC-Challenge")
    }
    place(folder, "allenai/ai2_arc", arc)
    return folder


def arc_row(*names: Any) -> dict[str, Any]:
    choices = {"text": ["a stone", "a cloud", "a tree"], "label": ["A", "B", "C"]}
    return {"question": f"Which grows? {names}", "choices": choices, "answerKey": "C"}


def source(name: str, revision: str = "main") -> HarnessData:
    return HarnessData(kind="harness", name=name, revision=revision)


def test_a_task_is_fetched_once_and_read_back_without_the_hub(cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "gsm8k"
    fetch_task(source("gsm8k"), False, out)
    content = read_json(out / TASKS)
    assert content["commits"] == {"openai/gsm8k": HASH}
    assert [task["task"] for task in content["tasks"]] == ["gsm8k"]
    assert pq.read_table(out / "0" / "test.parquet").num_rows == 7
    cache.rename(tmp_path / "gone")
    loaded = load_harness(out, 2, False)
    task = loaded["tasks"]["gsm8k"]
    assert task.OUTPUT_TYPE == "generate_until"
    assert task.config.num_fewshot == 2
    assert task.eval_docs[0]["question"] == "What is 5 + 1?"
    # What is not said stays lm-eval's own.
    assert load_harness(out, None, False)["tasks"]["gsm8k"].config.num_fewshot == 5


def test_a_name_may_stand_for_several_tasks(cache: Path, tmp_path: Path) -> None:
    fetch_task(source("ai2_arc", HASH), False, tmp_path / "arc")
    loaded = load_harness(tmp_path / "arc", None, False)
    assert list(loaded["tasks"]) == ["arc_challenge", "arc_easy"]
    for name, task in loaded["tasks"].items():
        assert ("Easy" in task.eval_docs[0]["question"]) == (name == "arc_easy")
    everything, read = sample_harness(loaded, None, 0, "general.tasks.arc")
    assert (len(everything), read) == (8, 8)
    assert everything[0] == {
        "task": "arc_challenge",
        "doc_id": 0,
        "question": "Question: Which grows? ('ARC-Challenge', 'test', 0)\nAnswer:",
        "answer": "a tree",
    }


def test_samples_are_seeded_over_all_tasks_and_a_smaller_one_is_a_head(cache: Path, tmp_path: Path) -> None:
    fetch_task(source("ai2_arc"), False, tmp_path / "arc")
    loaded = load_harness(tmp_path / "arc", None, False)

    def drawn(number: int, seed: int) -> set[tuple[str, int]]:
        rows, _ = sample_harness(loaded, number, seed, "general.tasks.arc")
        places = [(row["task"], row["doc_id"]) for row in rows]
        assert places == sorted(places)
        return set(places)

    assert drawn(5, 0) == drawn(5, 0)
    assert drawn(3, 0) < drawn(5, 0)
    assert len({frozenset(drawn(3, seed)) for seed in range(8)}) > 1
    with pytest.raises(GradsError, match=r"general\.tasks\.arc: 'sample' asks for 9 of 8"):
        drawn(9, 0)


def test_papers_benchmarks_are_known_by_name() -> None:
    """By these names shipped configs ask for them; a new lm-eval may rename some."""
    expected = {
        "mmlu": 57, "gsm8k": 1, "arc_easy": 1, "arc_challenge": 1, "hellaswag": 1, "bbh": 27, "bbh_cot_fewshot": 27,
        "ifeval": 1, "humaneval": 1, "mbpp": 1, "truthfulqa_mc1": 1, "truthfulqa_mc2": 1, "piqa": 1, "boolq": 1,
        "winogrande": 1, "lambada_openai": 1,
    }  # fmt: skip
    assert {name: len(list(_leaves(_index(), name))) for name in expected} == expected
    leaves = {name: [leaf for leaf, _ in _leaves(_index(), name)] for name in expected}
    unsafe = {name for name, below in leaves.items() if any(_index()[leaf].cfg.get("unsafe_code") for leaf in below)}
    assert unsafe == {"humaneval", "mbpp"}


def test_what_a_group_changes_reaches_its_tasks() -> None:
    kinds = {name: SimpleNamespace(name=name) for name in ("TASK", "GROUP", "TAG", "PY_TASK")}
    index = {
        "a": SimpleNamespace(kind=kinds["TASK"]),
        "b": SimpleNamespace(kind=kinds["TASK"]),
        "code": SimpleNamespace(kind=kinds["PY_TASK"]),
        "tagged": SimpleNamespace(kind=kinds["TAG"], tags={"b", "a"}),
        "inner": SimpleNamespace(kind=kinds["GROUP"], cfg={"task": ["a", {"task": "b", "num_fewshot": 3}]}),
        "outer": SimpleNamespace(kind=kinds["GROUP"], cfg={"task": ["inner", "tagged"]}),
        "wrong": SimpleNamespace(kind=kinds["GROUP"], cfg={"task": ["code"]}),
    }
    assert list(_leaves(index, "outer")) == [("a", {}), ("b", {"num_fewshot": 3}), ("a", {}), ("b", {})]
    with pytest.raises(GradsError, match="'code' is Python code, not YAML"):
        list(_leaves(index, "wrong"))


@pytest.mark.parametrize(
    ("name", "revision", "message"),
    [
        ("gsm9k", "main", "has no task 'gsm9k': did you mean 'gsm8k'"),
        ("gsm8k", "v2", "openai/gsm8k at v2 is not in the hub's cache"),
        ("hellaswag", "main", "Rowan/hellaswag at main is not in the hub's cache"),
        ("humaneval", "main", "'humaneval' runs the Python code that the model writes.*'general.allow_code: true'"),
        ("mbpp", "main", "'mbpp' runs the Python code"),
    ],
)
def test_what_cannot_be_fetched_is_a_sentence(
    cache: Path, tmp_path: Path, name: str, revision: str, message: str
) -> None:
    with pytest.raises(GradsError, match=message) as raised:
        fetch_task(source(name, revision), False, tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_code_is_refused_again_where_it_would_run(cache: Path, tmp_path: Path) -> None:
    """The data may be there from a study that allowed it."""
    fetch_task(source("gsm8k"), True, tmp_path / "gsm8k")
    write_json(tmp_path / "gsm8k" / TASKS, read_json(tmp_path / "gsm8k" / TASKS) | {"unsafe": True})
    with pytest.raises(GradsError, match="runs the Python code"):
        load_harness(tmp_path / "gsm8k", None, False)
    check_code("gsm8k", True, True)


def test_choices_that_are_shuffled_while_read_are_the_same_in_every_job(cache: Path, tmp_path: Path) -> None:
    """As gpqa's are, by the state of `random`, which is left as it was."""
    fetch_task(source("gsm8k"), False, tmp_path / "gsm8k")
    (tmp_path / "shuffle.py").write_text(
        "import random\n\ndef process_docs(dataset):\n"
        "    return dataset.map(lambda doc: doc | {'question': str(random.random())})\n"
    )
    shipped = Path(lm_eval.tasks.__file__).parent / "gsm8k/gsm8k.yaml"
    yaml = tmp_path / "shuffled.yaml"
    yaml.write_text(f"include: {shipped}\nprocess_docs: !function shuffle.process_docs\n")
    content = read_json(tmp_path / "gsm8k" / TASKS)
    write_json(tmp_path / "gsm8k" / TASKS, content | {"tasks": [content["tasks"][0] | {"yaml": str(yaml)}]})

    def questions(seed: int) -> list[str]:
        random.seed(seed)
        before = random.getstate()
        with temporary_cache():
            loaded = load_harness(tmp_path / "gsm8k", None, False)
            assert random.getstate() == before
            return [doc["question"] for doc in loaded["tasks"]["gsm8k"].eval_docs]

    assert len(set(questions(1))) == 7
    assert questions(1) == questions(2)


def test_data_of_another_lm_eval_is_refused(cache: Path, tmp_path: Path) -> None:
    fetch_task(source("gsm8k"), False, tmp_path / "gsm8k")
    write_json(tmp_path / "gsm8k" / TASKS, read_json(tmp_path / "gsm8k" / TASKS) | {"lm_eval": "0.3"})
    with pytest.raises(GradsError, match=r"was fetched with lm-eval 0\.3, installed is"):
        load_harness(tmp_path / "gsm8k", None, False)


def test_every_benchmark_and_revision_has_a_place_of_its_own() -> None:
    sources = [source("gsm8k"), source("gsm8k", "v1"), source("mmlu")]
    assert len({hub_path(one) for one in sources}) == 3
