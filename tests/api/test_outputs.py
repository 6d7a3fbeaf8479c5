"""Two models' answers, compared: against scipy where it has the same, and by what lm-eval writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

import grads
from grads.api.outputs import compare_outputs
from grads.cli.main import app
from grads.runtime.errors import GradsError

SIZE = 60


def write(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def predictions(path: Path, right, **more) -> Path:
    rows = [
        {"id": f"r{n}", "reference": f"it is {n}", "prediction": f"it is {n if ok else 'no'}"}
        | {key: values[n] for key, values in more.items()}
        for n, ok in enumerate(right)
    ]
    return write(path, rows)


def logged(folder: Path, right, task: str = "arc", choices: int = 4, time: str = "2026-01-02T03-04-05.678901") -> Path:
    rows = [
        {
            "doc_id": n,
            "doc_hash": f"doc{n}",
            "prompt_hash": "p",
            "filter": "none",
            "metrics": ["acc", "word_perplexity"],
            "filtered_resps": [[-1.0, "False"]] * choices,
            "acc": float(ok),
            "word_perplexity": [1.0, 2],
        }
        for n, ok in enumerate(right)
    ]
    return write(folder / f"samples_{task}_{time}.jsonl", rows)


@pytest.fixture(scope="module")
def answers() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    first = random.random(SIZE) < 0.5
    return first, np.where(random.random(SIZE) < 0.25, ~first, first)


def test_right_and_wrong_answers_have_the_exact_test(tmp_path, answers):
    before, after = answers
    found = compare_outputs(
        predictions(tmp_path / "a.jsonl", before), predictions(tmp_path / "b.jsonl", after), ["exact_match"]
    )
    row = found["exact_match"]
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    assert (row.changed.right_to_wrong, row.changed.wrong_to_right) == (lost, gained)
    assert row.exact
    assert row.p == pytest.approx(stats.binomtest(gained, gained + lost, 0.5).pvalue)
    assert row.difference == pytest.approx((gained - lost) / SIZE)
    assert row.low < row.difference < row.high
    assert (row.low <= 0 <= row.high) == (row.p > 0.05)
    assert row.changed.right_to_wrong_less_chance[0] == pytest.approx(lost / SIZE)


def test_means_of_paired_numbers_are_those_of_the_t_test(tmp_path):
    random = np.random.default_rng(2)
    before = random.normal(2, 1, SIZE)
    after = before + random.normal(0.3, 0.5, SIZE)
    paths = [
        predictions(tmp_path / name, [True] * SIZE, response_nll=values.tolist(), response_tokens=[3] * SIZE)
        for name, values in (("a.jsonl", before), ("b.jsonl", after))
    ]
    row = compare_outputs(*paths)["response_nll"]
    test = stats.ttest_rel(after, before)
    interval = test.confidence_interval(0.95)
    assert row.p == pytest.approx(test.pvalue, rel=1e-6)
    assert (row.low, row.high) == pytest.approx((interval.low, interval.high))
    error = (after - before).std(ddof=1) / np.sqrt(SIZE)
    by_t = error * (stats.t.ppf(0.975, SIZE - 1) + stats.t.ppf(0.8, SIZE - 1))
    assert row.detectable == pytest.approx(by_t)
    assert not row.exact
    assert row.changed is None


def test_several_rows_are_one_family(tmp_path, answers):
    paths = [predictions(tmp_path / name, right) for name, right in zip(("a.jsonl", "b.jsonl"), answers, strict=True)]
    found = compare_outputs(*paths, ["exact_match", "token_f1", "chrf"])
    smallest = min(found.rows, key=lambda row: row.p)
    assert smallest.p_holm == pytest.approx(min(1.0, 3 * smallest.p))
    assert list(found.frame()["metric"]) == ["exact_match", "token_f1", "chrf"]


def test_items_of_one_only_are_counted_and_left_out(tmp_path, answers):
    before, after = answers
    a, b = predictions(tmp_path / "a.jsonl", before), predictions(tmp_path / "b.jsonl", after[:-2])
    found = compare_outputs(a, b, ["exact_match"])
    assert (found.only_a, found.only_b) == ({"predictions": 2}, {})
    assert found["exact_match"].n == SIZE - 2
    lines = b.read_text("utf-8").splitlines()
    write(b, map(json.loads, lines[::-1]))
    assert compare_outputs(a, b, ["exact_match"]).rows == found.rows


def test_items_of_one_group_are_drawn_together(tmp_path):
    """Copies of an item say nothing more of its kind: the interval is about that of the items without their copies."""
    random = np.random.default_rng(3)
    before, change = random.normal(2, 1, 20), random.normal(0.2, 0.5, 20)
    groups = np.repeat([f"g{n}" for n in range(20)], 4).tolist()
    alone, copied = [], []
    for name, values in (("a", before), ("b", before + change)):
        tokens = {"response_tokens": [3] * 80}
        alone.append(
            predictions(tmp_path / f"{name}1.jsonl", [1] * 20, response_nll=values.tolist(), response_tokens=[3] * 20)
        )
        nll = np.repeat(values, 4).tolist()
        copied.append(predictions(tmp_path / f"{name}4.jsonl", [1] * 80, response_nll=nll, group=groups, **tokens))
    one, four = (compare_outputs(*paths)["response_nll"] for paths in (alone, copied))
    assert (four.low, four.high) == pytest.approx((one.low, one.high))
    assert (four.n, four.groups) == (80, 20)


def test_samples_of_lm_eval_are_paired_by_document_and_less_chance_by_their_choices(tmp_path, answers):
    before, after = answers
    for folder, right in (("a/model", before), ("b/model", after)):
        logged(tmp_path / folder, right)
        logged(tmp_path / folder, ~right, time="2025-01-01T00-00-00.000000")
    found = compare_outputs(tmp_path / "a", tmp_path / "b")
    row = found["acc"]
    assert row == found["arc/acc"]
    assert [one.metric for one in found.rows] == ["acc"]
    lost, gained = int((before & ~after).sum()), int((~before & after).sum())
    assert row.p == pytest.approx(stats.binomtest(gained, gained + lost, 0.5).pvalue)
    both_wrong = int((~before & ~after).sum())
    assert row.changed.chance == 0.25
    by_chance = 0.25 / 0.75 * both_wrong / SIZE
    assert row.changed.right_to_wrong_less_chance[0] == pytest.approx(lost / SIZE - by_chance)
    assert row.changed.wrong_to_right_less_chance[0] == pytest.approx(gained / SIZE - by_chance)


def test_the_command_says_what_the_function_says(tmp_path, answers):
    paths = [predictions(tmp_path / name, right) for name, right in zip(("a.jsonl", "b.jsonl"), answers, strict=True)]
    out = tmp_path / "compared.json"
    command = ["compare", *map(str, paths), "--metric", "exact_match", "--out", str(out)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    found = grads.compare(*paths, metrics=["exact_match"])
    assert str(found) in result.output
    assert json.loads(out.read_text("utf-8"))["rows"][0]["p"] == found["exact_match"].p
    assert max(map(len, str(found).splitlines()[2:])) <= 120


def test_nothing_that_changed_is_no_certainty(tmp_path):
    paths = [predictions(tmp_path / name, [True, False] * 10) for name in ("a.jsonl", "b.jsonl")]
    row = compare_outputs(*paths, ["exact_match"])["exact_match"]
    assert (row.difference, row.p) == (0, 1.0)
    assert row.low < 0 < row.high


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [{**rows[0], "reference": "other"}], "item 'r0' of predictions is another one"),
        (lambda rows: [*rows, rows[0]], "item 'r0' is there twice"),
        (lambda rows: [{"reference": "a", "prediction": "b"}], r"b\.jsonl:1 has no text 'id'"),
        (lambda rows: [{**rows[0], "id": "x"}], "no item of predictions in common"),
        (lambda rows: [], r"b\.jsonl is empty"),
    ],
)
def test_what_cannot_be_paired_is_one_sentence(tmp_path, change, words):
    a = predictions(tmp_path / "a.jsonl", [True] * 4)
    rows = [json.loads(line) for line in a.read_text("utf-8").splitlines()]
    with pytest.raises(GradsError, match=words):
        compare_outputs(a, write(tmp_path / "b.jsonl", change(rows)))


def test_outputs_of_different_kinds_or_models_are_refused(tmp_path, answers):
    a = predictions(tmp_path / "a.jsonl", answers[0])
    samples = logged(tmp_path / "one", answers[1])
    with pytest.raises(GradsError, match=r"has answers to predictions, and .* to arc"):
        compare_outputs(a, samples)
    logged(tmp_path / "one" / "two", answers[1])
    with pytest.raises(GradsError, match="has samples in several folders"):
        compare_outputs(tmp_path / "one", samples)
    (tmp_path / "none").mkdir()
    with pytest.raises(GradsError, match=r"has no samples_\*\.jsonl"):
        compare_outputs(tmp_path / "none", samples)
    with pytest.raises(GradsError, match="--metric f1: valid names are 'acc'"):
        compare_outputs(samples, samples, ["f1"])
