"""What a word is where texts are compared: a run of letters and digits, or one character of Chinese or Japanese."""

import re

# Chinese characters and kana, which stand without spaces between words.
UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f\U00020000-\U0003ffff"
WORD = rf"(?=\w)[{UNSPACED}]|[^\W{UNSPACED}]+"
# As many words in a row are no chance: two texts that share them have a common origin.
WORDS_IN_A_ROW = 8
ONE_WORD = re.compile(WORD)
HALF = re.compile(f"[{UNSPACED}]")


def word_count(text: str) -> float:
    """Return the number of words of a text; a character of Chinese or Japanese counts as half of one."""
    return sum(0.5 if HALF.fullmatch(word) else 1.0 for word in ONE_WORD.findall(text))
