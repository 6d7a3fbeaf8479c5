"""What a word is."""

import re

import pytest

from grads.data.compared_words import WORD


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("don't stop-it, été 3_4", ["don", "t", "stop", "it", "été", "3_4"]),
        ("今天天气", ["今", "天", "天", "气"]),
        ("用GPT模型、快", ["用", "GPT", "模", "型", "快"]),
        ("カタ・ひら ﾊﾝ", ["カ", "タ", "ひ", "ら", "ﾊ", "ﾝ"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("\U00020000a", ["\U00020000", "a"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert re.findall(WORD, text) == words
