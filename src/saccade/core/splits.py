"""Group-aware splits: named shares of the items that never divide a group."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

import numpy as np

from saccade.core.errors import InvalidValueError


def parse_shares(text: str) -> dict[str, float]:
    """Parse shares such as ``train=0.8,val=0.2``.

    Raises:
        InvalidValueError: the text is malformed, or the shares are negative or do not add up to 1.

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
    """Assigns each group to a split so that the shares of items are met as closely as possible.

    Groups are assigned largest first, each to the split that lacks most items; ties are ordered by a digest of seed
    and group name, so the result depends on nothing else. Groups are stored as 64 bits of SHA-256: among a million
    groups the probability of a collision is about 1 in 30 million.

    Args:
        groups: group of each item.
        shares: share of each split, adding up to 1.
        seed: another seed gives another assignment.
    """

    def __init__(self, groups: Iterable[str], shares: Mapping[str, float], seed: int = 0) -> None:
        self._seed = seed
        self._names = list(shares)
        digests = np.fromiter((self._digest(name) for name in groups), np.uint64)
        missing = [share * len(digests) for share in shares.values()]
        self._digests, sizes = np.unique(digests, return_counts=True)
        self._splits = np.zeros(len(sizes), np.min_scalar_type(len(missing)))
        for index in np.argsort(-sizes, kind="stable"):  # stable: groups of equal size stay in digest order
            split = max(range(len(missing)), key=missing.__getitem__)
            self._splits[index] = split
            missing[split] -= int(sizes[index])

    def _digest(self, group: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self._seed}/{group}".encode()).digest()[:8])

    def split_of(self, group: str) -> str:
        """Return the split of a group.

        Raises:
            InvalidValueError: the group was not among those given to the constructor.
        """
        digest = np.uint64(self._digest(group))
        index = int(np.searchsorted(self._digests, digest))
        if index == len(self._digests) or self._digests[index] != digest:
            raise InvalidValueError(
                f"The group '{group}' appeared during the import.", hint="Import again: the source has changed."
            )
        return self._names[int(self._splits[index])]


def split_by_group(groups: Mapping[str, str], shares: Mapping[str, float], seed: int = 0) -> dict[str, str]:
    """Return the split of each key such that all keys of a group share it; see :class:`GroupSplits`.

    Args:
        groups: group of each key.
        shares: share of each split, adding up to 1.
        seed: another seed gives another assignment.
    """
    splits = GroupSplits(groups.values(), shares, seed)
    return {key: splits.split_of(group) for key, group in groups.items()}
