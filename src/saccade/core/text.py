"""Texts for people."""

from __future__ import annotations


def format_count(count: int, noun: str, plural: str = "") -> str:
    """Format a number of things.

    >>> format_count(1, "item"), format_count(1200, "item"), format_count(2, "class", "classes")
    ('1 item', '1,200 items', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
