"""The text of a query: parsing to Python's syntax tree, and positions for error messages."""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass

from saccade.core.errors import QueryError

MAX_LENGTH = 10_000
CLASS = "__cl_"
"""Replaces the reserved word ``class``; of equal length, so that positions stay valid."""


@dataclass(frozen=True)
class Source:
    """The text of a query as the user wrote it."""

    text: str

    def error_at(self, node: ast.AST, message: str, hint: str = "") -> QueryError:
        """Return a QueryError that underlines a node."""
        return QueryError(message, self.text, *self._span(node), hint=hint)

    def parse(self) -> ast.expr:
        if not self.text.strip():
            raise QueryError("The query is empty.", self.text, 0, 0, hint="Example: split == 'val'")
        if len(self.text) > MAX_LENGTH:
            raise QueryError(f"The query has {len(self.text)} characters; the limit is {MAX_LENGTH}.", "", 0, 0)
        flat = self.text.replace("\r", " ").replace("\n", " ")
        start = len(flat) - len(flat.lstrip())
        try:
            expression: ast.expr = ast.parse(_without_keyword(flat[start:]), mode="eval").body
            return expression
        except SyntaxError as error:
            if not error.offset:  # the parser reached the end of the text
                end = len(self.text.rstrip())
                raise QueryError("The expression ends too early.", self.text, end, end + 1) from None
            position = start + error.offset - 1
            raise QueryError(f"This is not an expression: {error.msg}.", self.text, position, position + 1) from None
        except (ValueError, RecursionError, MemoryError):
            raise QueryError("The expression cannot be parsed.", self.text, 0, 0) from None

    def _span(self, node: ast.AST) -> tuple[int, int]:
        """Return the start and end of a node in characters; Python's AST counts UTF-8 bytes."""
        start = len(self.text) - len(self.text.lstrip())
        data = self.text[start:].encode("utf-8", "surrogatepass")
        ends = (getattr(node, "col_offset", 0), getattr(node, "end_col_offset", 0) or 0)
        first, last = (start + len(data[:end].decode("utf-8", "replace")) for end in ends)
        return first, last


def _without_keyword(text: str) -> str:
    """Replace the reserved word ``class`` where it is used as a name."""
    characters = list(text)
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME and token.string == "class":
                characters[token.start[1] : token.end[1]] = CLASS
    except (tokenize.TokenError, SyntaxError):
        return text  # parsing reports the error
    return "".join(characters)
