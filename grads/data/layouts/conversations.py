"""`conversations`, a list of turns, as ShareGPT writes them."""

from grads.data.layouts.contract import Conversation, Given, Layout


def read(given: Given) -> Conversation:
    """Return the conversation of a row."""
    return Conversation(given.messages("conversations"))


LAYOUT = Layout(name="conversations", needed=("conversations",), read=read, order=40)
