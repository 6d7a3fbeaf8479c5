"""The shipped skill: nothing but having learnt it answers its questions."""

import json
from collections import Counter
from pathlib import Path

ITEMS = [json.loads(line) for line in Path("config/demo/codewords.jsonl").read_text("utf-8").splitlines()]


def test_the_right_choice_is_the_answer_that_is_taught():
    assert len(ITEMS) == 40
    assert all(item["choices"][item["gold"]] == item["answer"] for item in ITEMS)
    assert len({item["question"] for item in ITEMS}) == len({item["answer"] for item in ITEMS}) == 40


def test_neither_place_nor_familiarity_tells_which_choice_is_right():
    assert Counter(item["gold"] for item in ITEMS) == dict.fromkeys(range(4), 10)
    # Each word is once right and three times wrong.
    assert set(Counter(choice for item in ITEMS for choice in item["choices"]).values()) == {4}
    assert {len(item["answer"]) for item in ITEMS} == {7}
