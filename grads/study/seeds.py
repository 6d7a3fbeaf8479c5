"""Seeds: one number per purpose, never derived from arm or ratio, so that arms differ in membership only."""

import hashlib
import math
from collections.abc import Iterable


def derive_seed(seed: int, model: str, domain: str, purpose: str) -> int:
    """Return a 31-bit seed for one purpose (`initialisation`, `order`, `selection`, ...) of (model, domain, seed)."""
    text = "\x1f".join((str(seed), model, domain, purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def own_seed(seed: int, user: str) -> int:
    """Return the seed of one of several users of a seed, so that what they draw is independent of each other."""
    return derive_seed(seed, "", "", user)


def shuffled_ids(ids: Iterable[str], seed: int, round_: int = 0) -> list[str]:
    """Return ids in a seeded order that depends on each id alone: a subset keeps the order that it has in the whole."""
    return sorted(ids, key=lambda id_: (_digest(id_, seed, round_), id_))


def uniform(id_: str, seed: int, round_: int = 0) -> float:
    """Return a number strictly between 0 and 1 that depends on seed, round and id alone, uniform over ids."""
    return (int.from_bytes(_digest(id_, seed, round_)[:6], "big") + 0.5) / 2**48


def gumbel(id_: str, seed: int) -> float:
    """Return noise of the standard Gumbel distribution that depends on seed and id alone.

    The records of highest log-weight plus noise are a draw without replacement, proportional to the weights (P. S.
    Efraimidis and P. G. Spirakis, Information Processing Letters 97, 2006, in the form of the Gumbel trick).
    """
    return -math.log(-math.log(uniform(id_, seed)))


def _digest(id_: str, seed: int, round_: int) -> bytes:
    return hashlib.sha256(f"{seed}\x1f{round_}\x1f{id_}".encode()).digest()
