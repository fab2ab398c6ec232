"""The splits of a dataset version, where a use case takes only one of them."""

from __future__ import annotations

from saccade.core.errors import NotFoundError, nearest
from saccade.store.datasets.version import DatasetVersion

SPLIT = "split"


def check_split(version: DatasetVersion, split: str | None) -> None:
    """NotFoundError with the nearest names where a split is asked for that no item of the version is in."""
    if split is None:
        return
    if SPLIT not in version.schema:
        raise NotFoundError(f"'{version.ref}' has no splits.", hint="Leave out --split, or import with --split.")
    found = version.sql("SELECT DISTINCT split FROM items WHERE split IS NOT NULL").column("split").to_pylist()
    if split not in found:
        raise NotFoundError(f"'{version.ref}' has no items in the split '{split}'.", hint=nearest(split, found))
