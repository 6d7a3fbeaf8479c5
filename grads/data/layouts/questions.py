"""What several layouts read of a question: what was said before it, and what may be half of it."""

from grads.data.layouts.contract import Given
from grads.data.records.turns import Message
from grads.data.records.unread import is_empty

# What some call the input.
CONTEXT = "context"


def check_context(given: Given) -> None:
    """Refuse a context of which the config does not say whether it is the input."""
    said = {*given.metadata, *given.names.values()}
    if "input" not in given.names and CONTEXT not in said and not is_empty(given.row.get(CONTEXT)):
        raise given.error(
            f"the row has '{CONTEXT}', which may be half of the question and is not read: say that it is, by 'fields' "
            f"{{input: {CONTEXT}}} (or --field input={CONTEXT}) in rows with 'instruction' and 'output', or list "
            f"'{CONTEXT}' in the domain's 'leave' (or by --leave) to go on without it"
        )


def history(given: Given) -> list[Message]:
    """Return the turns of a list of [question, answer] pairs."""
    pairs = given.value("history")
    if is_empty(pairs):
        return []
    if not isinstance(pairs, list) or not all(_is_pair(pair) for pair in pairs):
        raise given.error(
            f"'{given.column('history')}' is no list of pairs: write what was said before as [[question, answer], ...]"
        )
    return [Message(role, text) for pair in pairs for role, text in zip(("user", "assistant"), pair, strict=True)]


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
