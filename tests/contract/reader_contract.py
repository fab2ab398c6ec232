"""Contract of :class:`saccade.core.reader.Reader`, for tests of its implementations.

A test fills an implementation with :func:`contract_items` (or other items) and calls :func:`check_reader`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from saccade.core.digest import digest_bytes
from saccade.core.errors import NotFoundError
from saccade.core.objects import Box, Object
from saccade.core.reader import Item, Reader
from saccade.core.schema import ClassInfo, Column, FileRef, ImageRef, Kind, Schema

CONTRACT_SCHEMA = Schema(
    (
        Column("image", Kind.IMAGE),
        Column("objects", Kind.OBJECTS, (ClassInfo("cat"), ClassInfo("dog"))),
        Column("label", Kind.LABEL, (ClassInfo("indoors"), ClassInfo("outdoors"))),
        Column("note", Kind.TEXT),
    )
)
CONTRACT_CONTENT = {digest_bytes(content): content for content in (b"first image", b"second image")}


def contract_items() -> list[Item]:
    """Return items with "reviewed and empty" and "not labelled yet", in an order that no sorting produces."""
    images = [
        ImageRef(digest, len(content), f"{content.decode()}.png", 32, 24, "png")
        for digest, content in CONTRACT_CONTENT.items()
    ]
    cat = Object("1", "cat", Box(1, 2, 3, 4), score=0.5, attributes={"difficult": True})
    dog = Object("2", "dog", Box(5.5, 0, 6, 7.25), track="t1")
    return [
        Item("zebra/2", {"image": images[0], "objects": (cat, dog), "label": "outdoors", "note": "two"}),
        Item("émile", {"image": images[1], "objects": (), "label": None, "note": ""}),
        Item("a'b", {"image": images[0], "objects": None, "label": "indoors", "note": None}),
    ]


def check_reader(reader: Reader, items: Sequence[Item], media: Mapping[str, bytes] | None = None) -> None:
    """Check a reader.

    Args:
        reader: the reader.
        items: all its items, in order.
        media: content of some of its files by digest.
    """
    assert isinstance(reader, Reader)
    _check_all(reader, items)
    _check_columns(reader, items)
    _check_keys(reader, items)
    _check_unknown(reader)
    _check_media(reader, media or {})


def _check_all(reader: Reader, items: Sequence[Item]) -> None:
    assert len(reader) == len(items)
    for _ in range(2):
        read_items = list(reader.items())
        assert [item.key for item in read_items] == [item.key for item in items]
        for item, expected in zip(read_items, items, strict=True):
            assert tuple(item.values) == reader.schema.names
            for name in reader.schema.names:
                value = expected.values.get(name)
                assert item[name] == value
                assert type(item[name]) is type(value), f"{name} of {item.key}"


def _check_columns(reader: Reader, items: Sequence[Item]) -> None:
    choices: list[Sequence[str]] = [[], reader.schema.names[:1], reader.schema.names[::-1]]
    for names in choices:
        read_items = list(reader.items(columns=names))
        assert [tuple(item.values) for item in read_items] == [tuple(names)] * len(items)
        assert [item.key for item in read_items] == [item.key for item in items]


def _check_keys(reader: Reader, items: Sequence[Item]) -> None:
    keys = [item.key for item in items]
    assert list(reader.items(keys=[])) == []
    assert [item.key for item in reader.items(keys=reversed(keys))] == keys, "items are in the order of the reader"
    assert [item.key for item in reader.items(keys=[*keys[:1], *keys[:1]])] == keys[:1], (
        "a repeated key yields one item"
    )
    for index, key in enumerate(keys):
        (item,) = reader.items(keys=iter([key]))
        assert item.key == key
        assert all(item[name] == items[index].values.get(name) for name in reader.schema.names)


def _check_unknown(reader: Reader) -> None:
    with pytest.raises(NotFoundError, match="no such column"):
        list(reader.items(columns=["no such column"]))
    with pytest.raises(NotFoundError, match="no such key"):
        list(reader.items(keys=["no such key"]))


def _check_media(reader: Reader, media: Mapping[str, bytes]) -> None:
    for digest, content in media.items():
        assert reader.read_media(FileRef(digest, len(content), "file")) == content
        with reader.open_media(FileRef(digest, len(content), "file")) as file:
            file.seek(1)
            assert file.read() == content[1:]
    with pytest.raises(NotFoundError, match=r"lost\.png"):
        reader.open_media(ImageRef("0" * 64, 1, "lost.png", 1, 1, "png"))
    with pytest.raises(NotFoundError, match=r"lost\.png"):
        reader.read_media(ImageRef("0" * 64, 1, "lost.png", 1, 1, "png"))
