"""Named shares of items that never divide a group."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

import numpy as np

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


class GroupSplits:
    """A split for each group, so that the shares of items are met as nearly as can be.

    The order of groups depends on the seed and their names alone; each goes where most is missing, the largest first,
    so that one big group does not spoil the shares. A group is known by 64 bits of a digest, which two of a million
    share once in thirty million times.

    Args:
        groups: that of each item, one after another.
    """

    def __init__(self, groups: Iterable[str], shares: Mapping[str, float], seed: int = 0) -> None:
        self._seed, self._names = seed, list(shares)
        digests = np.fromiter((self._digest(name) for name in groups), np.uint64)
        wanted = [share * len(digests) for share in shares.values()]
        self._digests, sizes = np.unique(digests, return_counts=True)
        self._chosen = np.zeros(len(sizes), np.min_scalar_type(len(wanted)))
        for at in np.argsort(-sizes, kind="stable"):  # groups of one size are in the order of their digests
            split = max(range(len(wanted)), key=wanted.__getitem__)
            self._chosen[at] = split
            wanted[split] -= int(sizes[at])

    def _digest(self, group: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self._seed}/{group}".encode()).digest()[:8])

    def of(self, group: str) -> str:
        """The split of one of the groups; InvalidValueError for another."""
        digest = np.uint64(self._digest(group))
        at = int(np.searchsorted(self._digests, digest))
        if at == len(self._digests) or self._digests[at] != digest:
            raise InvalidValueError(f"The group '{group}' is new.", hint="Did somebody change the source meanwhile?")
        return self._names[int(self._chosen[at])]


def split_by_group(groups: Mapping[str, str], shares: Mapping[str, float], seed: int = 0) -> dict[str, str]:
    """A split for each key, so that all keys of one group share it; see :class:`GroupSplits`.

    ``groups`` maps each key to its group.
    """
    splits = GroupSplits(groups.values(), shares, seed)
    return {key: splits.of(group) for key, group in groups.items()}
