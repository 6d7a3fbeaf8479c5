"""What is kept of each document of a task."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from grads.evaluation.documents import LONGEST_TEXT, Place, find_items
from grads.runtime.errors import GradsError

CHOICES = ["yes", "no"]


def definition(kind="multiple_choice", multiple_input=0, choices=CHOICES):
    return SimpleNamespace(
        OUTPUT_TYPE=kind, multiple_input=multiple_input, doc_to_choice=lambda doc: choices, doc_to_text=lambda doc: 1
    )


def sample(doc_id, target, correct, *values, chosen="none", written=None):
    hashes = {f"{part}_hash": f"{part}{doc_id}" for part in ("doc", "prompt", "target")}
    found = {"doc_id": doc_id, "doc": {}, "target": target, "filter": chosen, "metrics": ["acc"], "acc": correct}
    # As lm-eval has them: a list for each request, with an entry each time that it is asked.
    resps = [[value] for value in values] if written is None else [written]
    return found | {"filtered_resps": list(values), "resps": resps} | hashes


def place(metric="acc"):
    return Place("quiz", Path("quiz.yaml"), metric)


def test_items_come_in_the_order_of_their_documents():
    """Whatever order lm-eval gave them in."""
    samples = [
        sample(1, 0, 0.0, (-4.0, False), (-1.0, True)),
        sample(0, 1, 1.0, (-3.0, False), (-2.0, True)),
        sample(2, "no", 1.0, (-9.0, False), (-0.5, True)),
    ]
    items, hashed = find_items(place(), definition(), samples)
    assert [item["doc_id"] for item in items] == [0, 1, 2]
    assert [item["gold_logprob"] for item in items] == [-2.0, -4.0, -0.5]
    assert [item["gold"] for item in items] == [1, 0, 1]
    assert items[0]["choice_logprobs"] == [-3.0, -2.0]
    assert "choice_lengths" not in items[0]
    assert hashed == "".join(f"doc{i}prompt{i}target{i}" for i in range(3))
    assert find_items(place(), definition(), samples[::-1]) == (items, hashed)


def test_where_contexts_are_chosen_from_the_text_names_the_right_one():
    (item,), _ = find_items(place(), definition(multiple_input=2), [sample(0, "end", 1.0, (-3.0, 0), (-2.0, 0))])
    assert item["gold_logprob"] == -2.0


@pytest.mark.parametrize(("metric", "lengths"), [("acc_norm", [1, 4]), ("acc_bytes", [2, 4])])
def test_lengths_by_which_a_metric_compares_choices_are_kept(metric, lengths):
    given = sample(0, 1, 1.0, (-3.0, False), (-2.0, True)) | {metric: 1.0}
    (item,), _ = find_items(place(metric), definition(choices=["é", "four"]), [given])
    assert item["choice_lengths"] == lengths


def test_log_probabilities_without_the_question_are_kept_apart():
    """lm-eval puts them behind the others; they are no choices."""
    responses = ((-3.0, False), (-2.0, True), (-1.0, False), (-4.0, False))
    given = sample(0, 1, 1.0, *responses) | {"acc_mutual_info": 1.0}
    (item,), _ = find_items(place("acc_mutual_info"), definition(), [given])
    assert (item["choice_logprobs"], item["choice_unconditional"]) == ([-3.0, -2.0], [-1.0, -4.0])
    (item,), _ = find_items(place(), definition(), [given])
    assert item["choice_logprobs"] == [-3.0, -2.0]
    assert "choice_unconditional" not in item


def test_an_empty_choice_is_refused_where_its_length_divides():
    given = sample(7, 1, 1.0, (-3.0, False), (-2.0, True)) | {"acc_norm": 1.0}
    with pytest.raises(
        GradsError, match=r"quiz\.yaml: item 7 has an empty choice.*general\.tasks\.quiz\.metric to 'acc'"
    ):
        find_items(place("acc_norm"), definition(choices=["", "no"]), [given])
    assert find_items(place(), definition(choices=["", "no"]), [given])[0][0]["gold"] == 1


def test_items_on_one_passage_are_a_group():
    """Named by a hash of the passage, or of the field that the study names; an item without is on its own."""
    docs = [{"passage": "a", "subject": "x"}, {"passage": "a", "subject": "y"}, {"passage": "", "subject": "x"}]
    samples = [sample(i, 0, 1.0, (-1.0, False), (-2.0, True)) | {"doc": doc} for i, doc in enumerate(docs)]
    first, second, third = find_items(place(), definition(), samples)[0]
    assert first["group"] == second["group"] != "a"
    assert "group" not in third
    subject = Place("quiz", Path("quiz.yaml"), "acc", "subject")
    first, second, third = (item["group"] for item in find_items(subject, definition(), samples)[0])
    assert first == third != second
    with pytest.raises(GradsError, match=r"general\.tasks\.quiz\.group: 'subjekt' is no field.*'subject'"):
        find_items(Place("quiz", Path("quiz.yaml"), "acc", "subjekt"), definition(), samples)


def test_other_kinds_keep_what_they_have():
    (item,), _ = find_items(place(), definition("loglikelihood"), [sample(0, " word", True, (-3.0, False))])
    assert item == {"doc_id": 0, "correct": 1.0, "target": " word", "gold_logprob": -3.0}
    long = "x" * (2 * LONGEST_TEXT)
    (item,), _ = find_items(place(), definition("generate_until"), [sample(0, long, True, long)])
    assert item == {"doc_id": 0, "correct": 1.0, "target": "x" * LONGEST_TEXT, "response": "x" * LONGEST_TEXT}


def test_the_filter_that_the_metric_names_is_taken():
    samples = [sample(0, "3", correct, text, chosen=chosen) for correct, text, chosen in
               ((0.0, "[invalid]", "strict-match"), (1.0, "3", "flexible-extract"))]  # fmt: skip
    kind = definition("generate_until")
    assert find_items(place("acc,flexible-extract"), kind, samples)[0][0]["response"] == "3"
    assert find_items(place("acc,strict-match"), kind, samples)[0][0]["correct"] == 0
    with pytest.raises(GradsError, match=r"'acc': quiz\.yaml has acc,flexible-extract, acc,strict-match; choose one"):
        find_items(place("acc"), kind, samples)


@pytest.mark.parametrize("response", ["[invalid]", "3", ["invalid"]])
def test_what_the_model_wrote_stands_next_to_what_a_filter_made_of_it(response):
    kind, text = definition("generate_until"), "Two and one are three, so 3"
    (item,), _ = find_items(place(), kind, [sample(0, "3", 0.0, response, written=[text])])
    assert item["written"] == text
    assert item["response"] == (response if isinstance(response, str) else str(response))
    (plain,), _ = find_items(place(), kind, [sample(0, "3", 0.0, text)])
    assert plain["response"] == text
    assert "written" not in plain


def test_long_texts_keep_their_end_where_the_answer_stands():
    text = "Let us think. " + "x" * (2 * LONGEST_TEXT) + " So it is 3"
    (item,), _ = find_items(place(), definition("generate_until"), [sample(0, "3", 0.0, "[invalid]", written=[text])])
    assert len(item["written"]) <= LONGEST_TEXT
    assert item["written"].startswith("Let us think. xx")
    assert item["written"].endswith("xx So it is 3")
    assert "[...]" in item["written"]


def test_all_answers_to_a_question_that_is_asked_repeatedly_are_kept():
    given = sample(0, "3", 1.0, "3", written=["It is 3", "", "Three"])
    (item,), _ = find_items(place(), definition("generate_until"), [given])
    assert item["written"] == ["It is 3", "", "Three"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (sample(0, "maybe", 1.0, (-1.0, 0)), "doc_to_target gives 'maybe': make it the index of the right choice"),
        (sample(3, 2, 0.0, (-1.0, 0), (-2.0, 0)), "doc_to_target gives 2 for item 3, which has 2 choices: count them"),
        (sample(3, -1, 0.0, (-1.0, 0), (-2.0, 0)), "doc_to_target gives -1 for item 3"),
        (sample(0, 0, [True, False], (-1.0, 0)), "metric is 'acc', which has no number for each item"),
    ],
)
def test_what_cannot_be_counted_is_refused(given, sentence):
    with pytest.raises(GradsError, match=sentence):
        find_items(place(), definition(), [given])
