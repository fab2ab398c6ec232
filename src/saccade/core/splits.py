"""Named shares of items that never divide a group."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping

from saccade.core.errors import InvalidValueError


def parse_shares(text: str) -> dict[str, float]:
    """Shares from text such as ``train=0.8,val=0.2``; InvalidValueError unless they add up to 1.

    >>> parse_shares("train=0.8,val=0.2")
    {'train': 0.8, 'val': 0.2}
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        try:
            shares[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise InvalidValueError(f"{part!r} is not a share.", hint="Write shares as train=0.8,val=0.2.")
    if not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6) or min(shares.values()) < 0:
        raise InvalidValueError(f"The shares {shares} must be positive and add up to 1.")
    return shares


def split_by_group(groups: Mapping[str, str], shares: Mapping[str, float], seed: int = 0) -> dict[str, str]:
    """A split for each key, so that all keys of one group share it and the shares of items are met as nearly as can be.

    ``groups`` maps each key to its group. The order of groups depends on the seed and their names alone; each goes
    where most is missing, the largest first, so that one big group does not spoil the shares.
    """
    sizes = Counter(groups.values())
    wanted = {name: share * len(groups) for name, share in shares.items()}
    chosen: dict[str, str] = {}
    for group in sorted(sizes, key=lambda name: (-sizes[name], _shuffled(name, seed))):
        split = max(wanted, key=lambda name: wanted[name])
        chosen[group] = split
        wanted[split] -= sizes[group]
    return {key: chosen[group] for key, group in groups.items()}


def _shuffled(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
