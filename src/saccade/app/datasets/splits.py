"""Validation of the split that a use case is limited to."""

from __future__ import annotations

from saccade.core.errors import NotFoundError, suggest
from saccade.store.datasets.version import DatasetVersion

SPLIT = "split"


def check_split(version: DatasetVersion, split: str | None) -> None:
    """Check that a split exists in a version, if one is given.

    Raises:
        NotFoundError: The version has no splits, or none of this name.
    """
    if split is None:
        return
    if SPLIT not in version.schema:
        raise NotFoundError(f"'{version.ref}' has no splits.", hint="Leave out --split, or import with --split.")
    names = version.sql("SELECT DISTINCT split FROM items WHERE split IS NOT NULL").column("split").to_pylist()
    if split not in names:
        raise NotFoundError(f"'{version.ref}' has no items in the split '{split}'.", hint=suggest(split, names))
