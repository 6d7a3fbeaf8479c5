import json
import math

import pytest

from grads.report.files import AnswerFiles
from grads.report.items import changed_items, changes_section
from grads.study.grid import Cell

UNTUNED = Cell("tiny", "law", "untuned", "0", 0)
FULL = Cell("tiny", "law", "full", "1", 0)
RANDOM = Cell("tiny", "law", "random", "0.5", 0)
# Right and wrong by item: the first is lost by full, the second won by both, the third stays, the last is never right.
CORRECT = {UNTUNED: [1, 0, 1, 0], FULL: [0, 1, 1, 0], RANDOM: [1, 1, 1, 0]}


@pytest.fixture
def asked(tmp_path):
    """Return a function that writes the answers of three cells to four items, of the given texts."""

    def write(texts, row, correct=CORRECT):
        (tmp_path / "quiz.jsonl").write_text("".join(json.dumps(text) + "\n" for text in texts))
        documents = {}
        for cell, answers in correct.items():
            documents[cell] = tmp_path / f"{cell.arm}.jsonl"
            rows = [{"benchmark": "quiz", "doc_id": n, "correct": c} | row(n, c) for n, c in enumerate(answers)]
            documents[cell].write_text("".join(json.dumps(one) + "\n" for one in rows))
        return AnswerFiles({}, {}, documents, {"quiz": tmp_path / "quiz.jsonl"})

    return write


def choice(number, correct):
    """Return an item whose right choice is the first one, at 80 % where it is taken."""
    scores = [0.8, 0.2] if correct else [0.2, 0.8]
    return {"gold": 0, "choice_logprobs": [math.log(score) for score in scores]}


OWN = [{"question": f"Is {n} < 5?", "choices": [f"yes {n}", f"no {n}"], "gold": 0} for n in range(4)]


def test_items_that_changed_say_for_which_arms_and_what_was_answered(study, asked):
    changes = changed_items(study, asked(OWN, choice))["quiz"]
    assert changes.asked == 4
    # What changed for most comes first.
    assert [one.question for one in changes.items] == ["Is 1 < 5?", "Is 0 < 5?"]
    won, lost = changes.items
    assert (won.changed(True), won.changed(False)) == ([FULL, RANDOM], [])
    assert (lost.changed(True), lost.changed(False)) == ([], [FULL])
    assert (lost.right, lost.untuned["tiny"].text, lost.tuned[FULL].text) == ("yes 0", "yes 0", "no 0")
    assert (lost.untuned["tiny"].aside, lost.tuned[FULL].aside) == ("p(right) 0.80", "p(right) 0.20")


def test_the_page_says_how_many_changed_and_escapes_what_was_asked(study, asked):
    text = changes_section(study, changed_items(study, asked(OWN, choice)))
    assert "Quiz 2 of 4" in text
    assert "Is 0 &lt; 5?" in text
    assert text.count("<details") == 2
    assert "1 right \u2192 wrong" in text
    assert "2 wrong \u2192 right" in text
    assert "[&quot;full&quot;, &quot;random@0.5&quot;]" in text


def test_answers_that_are_written_freely_stand_as_they_are(study, asked):
    texts = [{"task": "quiz_a", "doc_id": n, "question": f"{n} + 1?", "answer": str(n + 1)} for n in range(4)]
    files = asked(texts, lambda n, c: {"task": "quiz_a", "response": str(n + c)})
    (_, lost) = changed_items(study, files)["quiz"].items
    assert (lost.question, lost.right) == ("0 + 1?", "1")
    assert (lost.untuned["tiny"].text, lost.tuned[FULL].text) == ("1", "0")


@pytest.mark.parametrize(
    "correct",
    [
        CORRECT | {FULL: [0.5, 1, 1, 0]},
        {FULL: [0, 1, 1, 0]},
        {UNTUNED: [1, 0, 1, 0]},
    ],
    ids=["right in part", "no untuned model", "no tuned one"],
)
def test_where_nothing_can_go_from_right_to_wrong_there_are_none(study, asked, correct):
    assert changed_items(study, asked(OWN, choice, correct)) == {}
