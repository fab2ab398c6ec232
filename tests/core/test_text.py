"""Texts for people."""

from __future__ import annotations

import pytest

from saccade.core.text import format_count


@pytest.mark.parametrize(("count", "text"), [(0, "0 items"), (1, "1 item"), (2, "2 items"), (12345, "12,345 items")])
def test_counts(count: int, text: str) -> None:
    assert format_count(count, "item") == text


def test_counts_of_words_with_an_irregular_plural() -> None:
    assert [format_count(count, "class", "classes") for count in (1, 2)] == ["1 class", "2 classes"]
