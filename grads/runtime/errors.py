"""The one exception class for what a user can mend."""

import difflib
from collections.abc import Iterable


class GradsError(Exception):
    """A mistake that the user can mend.

    The message is one sentence that names the file, line or key, says what was found and what to do. Commands print
    it without a traceback and exit with status 2; any other exception is a bug and keeps its traceback. Line breaks and
    control characters, which may be in what the sentence quotes, are escaped.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__("".join(one if one.isprintable() else repr(one)[1:-1] for one in sentence))


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a hint that names the valid spelling closest to `name`, and all valid ones when there are few."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return "valid names are " + ", ".join(f"'{n}'" for n in names) if names else "there are none to choose from"
