"""Search by plain words: ``search("harbour ship")`` is short for conditions on all texts of an item."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from saccade.core.query import nodes
from saccade.core.query.evaluate import lower
from saccade.core.query.nodes import Node, Type
from saccade.core.schema import Kind, Schema

MAX_WORDS = 32
"""Every word is compared with all texts of all items."""
_FILE_NAME = re.compile(r"(.+)\.(?:avi|avif|bmp|gif|jpe?g|jp2|mkv|mov|mp4|png|tiff?|webm|webp)")
"""A file name. Keys are file names without their extensions."""


def split_words(text: str) -> list[str]:
    """Split a text at white space into its distinct words, in lower case."""
    return list(dict.fromkeys(map(lower, text.split())))


def matches_words(words: Sequence[str], schema: Schema) -> Node:
    """Return the condition that every word occurs in a text of the item, in any letter case.

    The texts are the key, labels, the classes of objects and the columns of text. Of a file name such as "7.jpg", the
    key may lack the extension.
    """
    return _joined("and", (_joined("or", _word_conditions(word, schema)) for word in words))


def _word_conditions(word: str, schema: Schema) -> Iterator[Node]:
    file_name = _FILE_NAME.fullmatch(word)
    yield _contains(file_name[1] if file_name else word, nodes.Key(Type.TEXT))
    for column in schema.columns:
        match column.kind:
            case Kind.OBJECTS:
                condition = _contains(word, nodes.ObjectField(Type.TEXT, "class"))
                yield nodes.Aggregate(Type.BOOLEAN, "any", column, None, condition)
            case Kind.LABELS:
                yield nodes.AnyLabelContains(Type.BOOLEAN, word, column)
            case Kind.LABEL | Kind.TEXT:
                yield _contains(word, nodes.ColumnValue(Type.TEXT, column))


def _contains(word: str, text: Node) -> Node:
    return nodes.Contains(Type.BOOLEAN, nodes.Constant(Type.TEXT, word), nodes.Call(Type.TEXT, "lower", (text,)))


def _joined(op: nodes.BoolOperator, conditions: Iterable[Node]) -> Node:
    operands = tuple(conditions)
    return operands[0] if len(operands) == 1 else nodes.BoolOp(Type.BOOLEAN, op, operands)
