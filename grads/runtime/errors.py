"""The one exception class for what a user can fix."""

import difflib
import reprlib
from collections.abc import Callable, Iterable

# What a quoted value may take in a sentence; of a value that holds others, only the first few are looked at.
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = 4
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 120
LONGEST = 600
"""Characters of a name that are compared with valid ones."""
MOST = 40
"""Valid names that a sentence lists."""


class GradsError(Exception):
    """A mistake, or several, that the user can fix.

    Each is one sentence that names the file, line or key, says what was found and what to do. Commands print them, one
    a line, without a traceback and exit with status 2; any other exception is a bug and keeps its traceback. Line
    breaks and control characters, which may be in what a sentence quotes, are escaped.
    """

    def __init__(self, *sentences: str) -> None:
        self.sentences = tuple(dict.fromkeys(map(printable, sentences)))
        super().__init__(*self.sentences)

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def after(self, place: object) -> "GradsError":
        """Return the same mistakes with the place, such as a file or a key, in front of each."""
        return GradsError(*(f"{place}: {sentence}" for sentence in self.sentences))


def check_all(checks: Iterable[Callable[[], object]]) -> None:
    """Run checks one after the other, whatever the earlier ones found.

    Raises:
        GradsError: what all of them found, each mistake once.
    """
    found: list[str] = []
    for check in checks:
        try:
            check()
        except GradsError as error:
            found += error.sentences
    if found:
        raise GradsError(*found)


def printable(text: str) -> str:
    """Return a text with line breaks and what no screen shows escaped."""
    return text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def quoted(value: object) -> str:
    """Return how a sentence quotes a value: as Python writes it, short however much it holds."""
    return _SHORT.repr(value)


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a hint that names the valid spelling closest to `name`, and all valid ones when there are few."""
    names = sorted(valid)
    # Comparing takes the product of the lengths: nobody means a valid name by a text of thousands of characters.
    close = difflib.get_close_matches(name[:LONGEST], names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    if not names:
        return "there are none to choose from"
    shown = ", ".join(f"'{one}'" for one in names[:MOST])
    return f"valid names are {shown}" + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
