"""What a word is where texts are compared: a run of letters and digits, or one character of Chinese or Japanese."""

# Chinese characters and kana, which stand without spaces between words.
UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uff66-\uff9f\U00020000-\U0003ffff"
WORD = rf"(?=\w)[{UNSPACED}]|[^\W{UNSPACED}]+"
