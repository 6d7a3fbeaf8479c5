import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import grads
from grads.cli.main import app

TYPED = ("--training", "precision=float32", "--training", "learning_rate=0.01", "--training", "adapter.rank=2")


def selected_by_command(folder: Path, model: Path, records, *options) -> tuple[list, pd.DataFrame]:
    data = folder / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in records), encoding="utf-8")
    out = folder / "subset.jsonl"
    command = ["select", "--model", model, "--data", data, "--out", out, "--force", *TYPED, *options]
    result = CliRunner().invoke(app, [str(word) for word in command])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    return rows, pd.read_csv(out.with_suffix(".scores.csv"))


def test_it_selects_what_the_command_selects(signals, records, tiny_model_folder, tmp_path):
    picked = grads.select(signals, "grads", ratio=0.25)
    rows, scores = selected_by_command(tmp_path, tiny_model_folder, records, "--ratio", "0.25")
    assert picked.rows() == rows
    assert set(picked.ids) == set(scores.loc[scores["kept"], "id"])
    ours = picked.scores.loc[scores["id"]]
    np.testing.assert_array_equal(ours.to_numpy(), scores["score"].to_numpy())


def test_a_targeted_method_takes_the_targets_records(signals, records, tiny_model_folder, tmp_path):
    target = records[:3]
    with pytest.raises(grads.GradsError, match="reads validation records, which are not given: add validation"):
        grads.select(signals, "rds_plus", ratio=0.25)
    picked = grads.select(signals, "rds_plus", ratio=0.25, validation=target)
    # Whoever is asked for is nearest to itself.
    assert picked.ids[:3] == picked.scores.index[picked.scores == 1.0].tolist()[:3]
    target_file = tmp_path / "target.jsonl"
    target_file.write_text("".join(json.dumps(row) + "\n" for row in target), encoding="utf-8")
    typed = ("--ratio", "0.25", "--method", "rds_plus", "--validation", target_file)
    rows, _scores = selected_by_command(tmp_path, tiny_model_folder, records, *typed)
    assert picked.rows() == rows


def test_texts_of_the_target_are_enough_for_a_method_that_reads_no_model(signals, records):
    picked = grads.select(signals, "dsir", ratio=0.25, validation=records[:3], parameters={"rule": "highest"})
    assert len(picked) == 5


def test_general_instructions_are_an_anchor(signals, records):
    picked = grads.select(signals, "ogs", ratio=0.25, anchor=records[:4])
    assert len(picked) == 5


def test_a_count_keeps_as_many_and_several_are_nested(signals):
    found = grads.select(signals, "random", count=[3, 7])
    assert [len(found[count]) for count in (3, 7)] == [3, 7]
    assert set(found[3].ids) < set(found[7].ids)
    by_ratio = grads.select(signals, "random", ratio=[0.15, 0.35])
    assert [by_ratio[ratio].ids for ratio in (0.15, 0.35)] == [found[count].ids for count in (3, 7)]
    with pytest.raises(grads.GradsError, match="count 21: 20 records are eligible"):
        grads.select(signals, "random", count=21)
    with pytest.raises(grads.GradsError, match="count 0"):
        grads.select(signals, "random", count=0)


def test_a_record_is_explained(signals):
    picked = grads.select(signals, "random", ratio=0.25)
    known = picked.explain(picked.ids[0])
    assert (known["rank"], known["kept"]) == (1, True)
    frame = signals.frame("warm").set_index("id")
    assert known["signals"]["prompt_tokens"] == frame.loc[picked.ids[0], "prompt_tokens"]
    other = grads.select(signals, "grads", ratio=0.25).explain(signals.ids[0])
    assert other["signals"]["warm.head_l2"] == frame.loc[signals.ids[0], "head_l2"]
    with pytest.raises(grads.GradsError, match="no record 'nobody'"):
        picked.explain("nobody")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "ratio: give it or count"),
        ({"ratio": 0.5, "count": 3}, "ratio: give it or count"),
        ({"ratio": 2}, "ratio: a ratio is above 0"),
        ({"ratio": 0.5, "method": "gradss"}, "did you mean 'grads'"),
        ({"ratio": 0.5, "parameters": {"diversty": 1}}, "parameters: .*'diversity'"),
        ({"ratio": 0.5, "seed": 1}, "seed: the signals have theirs"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_argument(signals, arguments, words):
    with pytest.raises(grads.GradsError, match=words) as error:
        grads.select(signals, **arguments)
    assert "--" not in str(error.value)


# Plain arrays.


def columns(size: int = 40) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {"embedding_l2": random.lognormal(size=size), "head_l2": random.lognormal(size=size)}


def test_a_frame_of_columns_and_arrays_by_name_select_alike():
    arrays = columns()
    ids = [f"record-{number:02}" for number in range(40)]
    picked = grads.select({"id": ids, **arrays}, "grads_density", ratio=0.25)
    framed = grads.select(pd.DataFrame({"id": ids, **arrays}), "grads_density", ratio=0.25)
    assert picked.ids == framed.ids
    assert len(picked) == 10
    counted = grads.select(arrays, "grads_density", count=10)
    assert [ids[int(place)] for place in counted.ids] == picked.ids


def test_arrays_select_what_their_stores_do(signals):
    warm = signals.frame("warm")
    arrays = {name: warm[name].to_numpy() for name in warm.columns}
    hidden = np.asarray(signals.vectors("hidden"))
    picked = grads.select({**arrays, "hidden": hidden}, "grads", ratio=0.25)
    assert picked.ids == grads.select(signals, "grads", ratio=0.25).ids


def test_the_order_of_arrays_changes_nothing():
    arrays = {"id": [f"{number:02}" for number in range(40)], **columns()}
    turned = {name: array[::-1] for name, array in arrays.items()}
    assert grads.select(arrays, "grads_density", ratio=0.5).ids == grads.select(turned, "grads_density", ratio=0.5).ids


def test_targets_are_arrays_too():
    random = np.random.default_rng(0)
    states = random.normal(size=(30, 4))
    picked = grads.select(
        {"weighted_hidden": states}, "rds_plus", count=3, validation={"weighted_hidden": states[[7, 2, 11]]}
    )
    assert set(picked.ids) == {"7", "2", "11"}
    texts = {"instruction": [f"what is {n}" for n in range(30)], "output": ["law"] * 15 + ["medicine"] * 15}
    target = {"instruction": ["what is it"], "output": ["medicine"]}
    by_text = grads.select(texts, "dsir", count=5, validation=target, parameters={"rule": "highest"})
    assert all(int(place) >= 15 for place in by_text.ids)


def test_a_method_that_refers_to_another_selects_from_the_same_arrays():
    arrays = {**columns(), "prompt_tokens": np.arange(40), "response_tokens": np.arange(40)}
    parameters = {"reference": "grads_density"}
    assert len(grads.select(arrays, "random_length", count=5, parameters=parameters)) == 5
    with pytest.raises(grads.GradsError, match="circle"):
        grads.select(arrays, "random_length", count=5, parameters={"reference": "random_length"})


@pytest.mark.parametrize(
    ("arrays", "method", "words"),
    [
        ({"embedding_l2": [1.0, 2.0]}, "grads_density", "reads 'head_l2', which the arrays lack"),
        ({"head_l2": [1.0, 2.0]}, "kcenter", "reads the vectors 'hidden' of train records, which the arrays lack"),
        ({"head_l2": [1.0, 2.0]}, "length", "reads 'response_tokens'"),
        ({"weighted_hidden": np.eye(3)}, "rds_plus", "reads validation records: give their arrays as validation="),
        ({"a": [1.0], "b": [1.0, 2.0]}, "random", "'b' has 2 rows, and 'a' has 1"),
        ({"embedding_l2": [1.0, float("nan")], "head_l2": [1.0, 2.0]}, "grads_density", "no number for 'embedding_l2'"),
        ({"id": ["a", "a"]}, "random", "an id is there twice"),
        ({}, "random", "there are none"),
        ([1.0, 2.0], "random", "they are a list"),
    ],
)
def test_what_is_missing_or_wrong_is_said_by_name(arrays, method, words):
    with pytest.raises(grads.GradsError, match=words):
        grads.select(arrays, method, ratio=0.5)
