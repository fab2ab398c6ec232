"""The text of a query as Python's syntax tree, and places in it."""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass

from saccade.core.errors import QueryError

MAX_LENGTH = 10_000
CLASS = "__cl_"
"""Stands for the name ``class``, which Python keeps for itself; as long as that."""


@dataclass(frozen=True)
class Source:
    """The text that a person wrote, and places in it."""

    text: str

    def wrong(self, place: ast.AST, message: str, hint: str = "") -> QueryError:
        """The error that points at a part of the query."""
        return QueryError(message, self.text, *self._place(place), hint=hint)

    def parse(self) -> ast.expr:
        if not self.text.strip():
            raise QueryError("The query is empty.", self.text, 0, 0, hint="Such as: split == 'val'")
        if len(self.text) > MAX_LENGTH:
            raise QueryError(f"The query has {len(self.text)} characters; {MAX_LENGTH} are allowed.", "", 0, 0)
        flat = self.text.replace("\r", " ").replace("\n", " ")
        start = len(flat) - len(flat.lstrip())
        try:
            found: ast.expr = ast.parse(_without_keyword(flat[start:]), mode="eval").body
            return found
        except SyntaxError as error:
            at = start + max(0, (error.offset or 1) - 1)
            raise QueryError(f"This is not an expression: {error.msg}.", self.text, at, at + 1) from None
        except (ValueError, RecursionError, MemoryError):
            raise QueryError("This is not an expression that can be read.", self.text, 0, 0) from None

    def _place(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends in the text. Python counts bytes."""
        start = len(self.text) - len(self.text.lstrip())
        data = self.text[start:].encode("utf-8", "surrogatepass")
        ends = (getattr(node, "col_offset", 0), getattr(node, "end_col_offset", 0) or 0)
        first, last = (start + len(data[:end].decode("utf-8", "replace")) for end in ends)
        return first, last


def _without_keyword(text: str) -> str:
    """The text with the name ``class`` replaced by one that Python allows."""
    found = list(text)
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME and token.string == "class":
                found[token.start[1] : token.end[1]] = CLASS
    except (tokenize.TokenError, SyntaxError):
        return text  # not an expression either way, as parsing says
    return "".join(found)
