"""`instruction` and `output`, as Alpaca writes them; LLaMA-Factory adds `history`."""

from grads.data.layouts.contract import Conversation, Given, Layout
from grads.data.layouts.questions import check_context, history
from grads.data.records.turns import Message


def read(given: Given) -> Conversation:
    """Return the conversation of a row."""
    last = [Message("user", given.text("instruction")), Message("assistant", given.text("output"))]
    input = given.text("input", "")
    if not input:
        check_context(given)
    return Conversation([*history(given), *last], input)


LAYOUT = Layout(
    name="instruction",
    needed=("instruction", "output"),
    optional=("input", "history"),
    read=read,
    order=10,
)
