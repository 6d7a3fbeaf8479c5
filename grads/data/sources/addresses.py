"""Addresses on the network, as they may be printed and kept: without what only their owner may know."""

import re
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>]+")


def without_password(address: str) -> str:
    """Return an address without user name, password, query and fragment, any of which may be a secret."""
    if "://" not in address:
        return address
    try:
        parts = urlsplit(address)
    except ValueError:  # Such as a bracket without its other half.
        return address.partition("://")[0] + "://..."
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def without_passwords(text: str) -> str:
    """Return a text, such as another library's error, with every address in it as it may be printed."""
    return _ADDRESS.sub(lambda found: without_password(found[0]), text)
