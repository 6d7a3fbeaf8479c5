from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties

from grads.report.drawing.fitting import text_width, wrap

FONT = FontProperties(size=9)


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Z"]), max_size=80), st.integers(20, 200))
def test_no_line_is_wider_than_its_room_and_nothing_is_lost(text, width):
    lines = wrap(text, width, FONT).split("\n")
    assert all(text_width(line, FONT) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_what_stands_in_brackets_goes_to_a_line_of_its_own():
    text = "accuracy on a benchmark, points (higher is better)"
    room = text_width("accuracy on a benchmark, points (higher", FONT)
    assert wrap(text, room, FONT) == "accuracy on a benchmark, points\n(higher is better)"
    assert wrap(text, 1000, FONT) == text


def test_words_that_are_too_long_are_broken():
    assert wrap("WWWW", 1.1 * text_width("WW", FONT), FONT) == "WW\nWW"
    assert wrap("WW", 0.5 * text_width("W", FONT), FONT) == "W\nW"
