"""The graph of the versions of a dataset: each has a parent, and the version that was merged into it, if any."""

from __future__ import annotations

from collections.abc import Mapping

Parents = Mapping[int, tuple["int | None", "int | None"]]
"""For each version its parent and the version that was merged into it."""


def common_ancestor(parents: Parents, first: int, second: int) -> int:
    """Return the latest version that both versions descend from."""
    # A version has a larger number than its parents, so the largest common number is the latest ancestor.
    return max(ancestors(parents, first) & ancestors(parents, second))


def ancestors(parents: Parents, number: int) -> set[int]:
    """Return a version and all its ancestors."""
    result = {number}
    pending = [number]
    while pending:
        for parent in parents.get(pending.pop(), (None, None)):
            if parent is not None and parent not in result:
                result.add(parent)
                pending.append(parent)
    return result
