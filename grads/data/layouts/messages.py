"""`messages`, a list of turns, as OpenAI and TRL write them."""

from grads.data.layouts.contract import Conversation, Given, Layout


def read(given: Given) -> Conversation:
    """Return the conversation of a row."""
    return Conversation(given.messages("messages"))


LAYOUT = Layout(name="messages", needed=("messages",), read=read, order=30)
