"""`prompt` and `completion`, texts or lists of turns, as TRL writes them."""

from grads.data.layouts.contract import Conversation, Given, Layout
from grads.data.layouts.questions import check_context, history


def read(given: Given) -> Conversation:
    """Return the conversation of a row."""
    prompt = given.messages("prompt", "user")
    if isinstance(given.value("prompt"), str):
        check_context(given)
    return Conversation([*history(given), *prompt, *given.messages("completion", "assistant")])


LAYOUT = Layout(name="prompt", needed=("prompt", "completion"), optional=("history",), read=read, order=20)
