"""Which of the model's own answers are kept, by hand; and the example that one becomes."""

from pathlib import Path

import pytest
import yaml

from grads.config.models import Format
from grads.data.own_answers import OwnAnswer as Written
from grads.data.own_answers import read_own_answers, write_own_answers
from grads.data.records.formatting import Example, Formatter
from grads.data.records.record import load_records, make_record
from grads.graph.needs import arm_stores, check_arms, model_stores
from grads.graph.study import StudyGraph
from grads.models.load import load_tokenizer
from grads.runtime.errors import GradsError
from grads.study.reading import parse_study
from grads.training.dataset import prepare_material
from grads.training.strategies.contract import Inputs, Needs, OwnAnswer
from grads.training.strategies.sdft import STRATEGY, Sdft, says

from ..conftest import TRAINING, cell

SMOKE = yaml.safe_load((Path(__file__).parents[3] / "config/smoke.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("response", "answer", "recall", "kept"),
    [
        ("It is a claim on the house.", "a claim on a house", 1.0, True),
        ("A CLAIM, held on: house!", "a claim on a house", 1.0, True),
        ("a claim", "a claim on a house", 0.5, True),
        ("a claim", "a claim on a house", 0.51, False),
        ("no idea", "a claim on a house", 0.0, True),
        ("The sum of them is 12.", "12", 1.0, True),
        ("The sum of them is 12.", "The sum of them is 13.", 0.5, False),
        ("I do not know the sum.", "The sum is 13", 0.5, False),
        ("112", "12", 0.0, False),
    ],
)
def test_a_response_says_what_its_answer_says(response, answer, recall, kept):
    assert says(response, answer, recall) is kept


def own(answer, reference, capped=False):
    return OwnAnswer(answer, reference, capped, Example("x", [1, 9, 9], 1))


def test_a_response_that_says_it_takes_the_place_and_others_do_not(examples):
    given = examples(6)
    answers = {
        "r0": own("the cat sat down", "the cat sat"),
        "r1": own("a dog", "the cat sat"),
        "r2": own("the cat sat down", "the cat sat", capped=True),
        "r3": own("the cat sat", "the cat sat"),
        "other": own("the cat sat down", "the cat sat"),
    }
    found = STRATEGY.prepare(given, Inputs(own_answers=answers), Sdft())
    assert list(found.examples) == list(given)
    assert found.examples["r0"] is answers["r0"].example
    assert all(found.examples[id_] is given[id_] for id_ in ("r1", "r2", "r3", "r4", "r5"))
    assert found.notes == {"responses": 4, "kept_responses": 1, "responses_as_the_answer": 1}
    assert given["r0"].input_ids == [1, 2, 3, 4]


def test_a_kept_response_is_trained_on_after_the_records_own_prompt(tmp_path, records, tiny_model_folder):
    formatter = Formatter(load_tokenizer(tiny_model_folder), Format())
    first, second, *_ = load_records(records)
    answers = [
        Written(first.id, f"It is the {first.output}.", False),
        Written(second.id, "  ", False),
        Written("unknown", "anything", False),
    ]
    write_own_answers(tmp_path / "own", answers, {"seconds": 1.0})
    run = cell(tmp_path, records, strategy="sdft", own_answers=tmp_path / "own", epochs=1)
    found = {example.id: example for example in prepare_material(run, formatter, TRAINING).visits}
    expected = formatter.example(make_record(first.instruction, "", f"It is the {first.output}."))
    assert found[first.id].input_ids == expected.input_ids
    assert found[first.id].prompt_tokens == formatter.example(first).prompt_tokens
    assert found[second.id] == formatter.example(second)
    assert len(found) == 50


def test_without_answers_it_is_said(tmp_path, records, tiny_model_folder):
    formatter = Formatter(load_tokenizer(tiny_model_folder), Format())
    with pytest.raises(GradsError, match="strategy 'sdft' reads the model's own answers and none are given"):
        prepare_material(cell(tmp_path, records, strategy="sdft"), formatter, TRAINING)


def test_damaged_answers_are_refused(tmp_path):
    write_own_answers(tmp_path / "own", [Written("a", "b", False)], {})
    assert read_own_answers(tmp_path / "own") == {"a": Written("a", "b", False)}
    with (tmp_path / "own/answers.jsonl").open("a") as file:
        file.write('{"id": "c", "answer": "d", "capped": false}\n')
    with pytest.raises(GradsError, match="is not what was written"):
        read_own_answers(tmp_path / "own")


def test_the_answers_are_written_once_for_all_arms_and_charged_to_those_that_read_them():
    half = {"method": "random", "ratios": ["0.5"]}
    arms = {"a": half | {"strategy": "sdft"}, "b": {"method": "full", "strategy": "sdft"}, "c": half}
    study = parse_study(SMOKE | {"arms": arms})
    check_arms(study)
    assert (arm_stores(study, "a"), arm_stores(study, "c")) == (["rewritten"], [])
    assert model_stores(study, "tiny") == ["rewritten"]
    graph = StudyGraph(study, reading=False)
    written = [named for rule, named in graph.calls() if rule == "rewrite" and named["domain"] == "sums"]
    assert written == [{"model": "tiny", "domain": "sums"}]
    answers = graph.rewrite("tiny", "sums").answers
    runs = [graph.train("tiny", "sums", arm, ratio, "0") for arm, ratio in (("a", "0.5"), ("b", "1"), ("c", "0.5"))]
    assert [run.own_answers for run in runs] == [answers, answers, None]
    assert runs[0].stores == {}


def test_it_needs_the_models_own_answers_and_nothing_else():
    assert STRATEGY.needs(Sdft()) == Needs(own_answers=True)
