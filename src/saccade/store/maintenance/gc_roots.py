"""Garbage-collection roots of caches: lists of digests in the store that a pipeline cache refers to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

PINNED_DIR = "kept"
"""Folder of a cache with its lists; a list is a sequence of digests of 32 bytes each."""


def read_digests(path: Path) -> Iterator[str]:
    """Yield the digests of a list. Raises OSError if it cannot be read."""
    content = path.read_bytes()
    for offset in range(0, len(content) - 31, 32):
        yield content[offset : offset + 32].hex()


def cache_roots(caches: Path) -> Iterator[str]:
    """Yield the digests of all lists of all caches in a folder."""
    for path in sorted(caches.glob(f"*/{PINNED_DIR}/*.files")):
        yield from read_digests(path)
