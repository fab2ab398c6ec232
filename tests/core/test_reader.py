"""The reader in memory keeps the contract of readers."""

from __future__ import annotations

import pytest
from tests.contract.reader_contract import CONTRACT_CONTENT, CONTRACT_SCHEMA, check_reader, contract_items

from saccade.core.errors import InvalidValueError
from saccade.core.reader import Item, MemoryReader
from saccade.core.schema import Schema


def test_memory_reader_keeps_the_contract() -> None:
    items = contract_items()
    check_reader(MemoryReader(CONTRACT_SCHEMA, items, CONTRACT_CONTENT), items, CONTRACT_CONTENT)


def test_empty_memory_reader_keeps_the_contract() -> None:
    check_reader(MemoryReader(CONTRACT_SCHEMA, []), [])


def test_values_outside_the_schema_are_not_shown_and_missing_ones_are_none() -> None:
    reader = MemoryReader(CONTRACT_SCHEMA.select(["note"]), [Item("k", {"other": 1})])
    assert list(reader.items()) == [Item("k", {"note": None})]


def test_a_key_that_occurs_twice_is_refused() -> None:
    item = Item("k")
    with pytest.raises(InvalidValueError, match="'k' occurs twice"):
        MemoryReader(Schema(), [item, item])


class _Unsorted(MemoryReader):
    """A reader that breaks the contract: it answers in the order of the keys asked for."""

    def items(self, columns=None, keys=None):  # type: ignore[no-untyped-def]
        if keys is None:
            return super().items(columns)
        return (item for key in keys for item in super(_Unsorted, self).items(columns, [key]))


def test_the_contract_notices_a_reader_that_breaks_it() -> None:
    items = contract_items()
    with pytest.raises(AssertionError, match="order of the reader"):
        check_reader(_Unsorted(CONTRACT_SCHEMA, items, CONTRACT_CONTENT), items, CONTRACT_CONTENT)
