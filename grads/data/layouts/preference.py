"""`chosen`, the better answer of a pair, where the config names it; `rejected` is not learnt from."""

from grads.data.layouts.contract import Conversation, Given, Layout, without_system
from grads.data.layouts.questions import history
from grads.data.records.record import SYSTEM_ROLES
from grads.data.records.turns import Message

# Where a pair of answers has what they answer, the first of which counts.
ASKED = ("prompt", "instruction", "conversations", "messages")


def read(given: Given) -> Conversation:
    """Return the better answer of a pair: an answer to what was asked, or a whole conversation that may repeat that."""
    chosen = given.messages("chosen", "assistant")
    part = next((part for part in ASKED if given.value(part) is not None), "prompt")
    prompt = _asked(given, part)
    if not prompt.messages and not isinstance(given.value("chosen"), list):
        column = given.column("prompt")
        raise given.error(f"'{column}' is missing: give the question that '{given.column('chosen')}' answers")
    openings = dict.fromkeys(message for message in (*prompt.messages, *chosen) if message.role in SYSTEM_ROLES)
    asked = without_system(prompt.messages)
    answered = without_system(chosen)
    if answered[: len(asked)] == asked:
        asked = []
    elif answered and answered[0].role == "user":
        raise given.error(
            f"'{given.column('chosen')}' is a conversation that does not begin with '{given.column(part)}': "
            f"correct it, or list '{given.column(part)}' in the domain's 'leave' (or by --leave)"
        )
    return Conversation([*openings, *asked, *answered], prompt.input)


def _asked(given: Given, part: str) -> Conversation:
    """Return what the answers of a pair answer."""
    if given.value(part) is None:
        return Conversation([])
    if part == "instruction":
        question = Message("user", given.text("instruction"))
        return Conversation([*history(given), question], given.text("input", ""))
    if part == "prompt":
        return Conversation([*history(given), *given.messages("prompt", "user")])
    return Conversation(given.messages(part))


LAYOUT = Layout(
    name="preference",
    needed=("chosen",),
    optional=(*ASKED, "input", "history", "rejected"),
    read=read,
    only_named=True,
    order=50,
)
