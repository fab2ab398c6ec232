"""Files of the store that caches refer to: lists of digests, which the garbage collection spares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

KEPT = "kept"
"""The folder of a cache with its lists: 32 bytes for each digest, one after another."""


def listed(path: Path) -> Iterator[str]:
    """The digests of a list; OSError where it cannot be read."""
    content = path.read_bytes()
    for at in range(0, len(content) - 31, 32):
        yield content[at : at + 32].hex()


def kept_by_caches(caches: Path) -> Iterator[str]:
    """The digests of all lists of all caches in a folder."""
    for path in sorted(caches.glob(f"*/{KEPT}/*.files")):
        yield from listed(path)
