"""The exception tree.

SaccadeError
├── InvalidValueError      a value breaks its own rules (a box with NaN, a class without a name)
├── NotFoundError          a dataset, version, alias, model, file ... that does not exist
├── ConflictError          a name is taken, or a concurrent write won
├── StaleVersionError      the dataset has a newer version than the one the request is based on
├── MediaError             an image or video cannot be decoded or used
├── FormatError            a source cannot be read or written in this format, or in any
├── RecipeError            a recipe is invalid
├── PipelineError          a pipeline is invalid or failed; names the step
├── PanelError             a panel of the web app failed, timed out or cannot be loaded
├── QueryError             a query is invalid; underlines the mistake
├── AuthenticationError    not signed in, or invalid credentials
├── PermissionDeniedError  the role does not allow the request
├── SignatureError         the signature of a webhook does not match
├── RateLimitedError       too many attempts; says when to try again
├── ProviderError          the single sign-on provider does not answer, or answers wrongly
├── WorkspaceError         the workspace is missing, damaged or not writable
│   └── StorageFullError   the disk of the workspace is full
└── MissingExtraError      an optional dependency is not installed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from saccade.core.urls import redact_text


class SaccadeError(Exception):
    """An error for the user: what failed, with which value, and what to do next.

    URLs in the texts are redacted: errors are logged, stored and shown to users who must not learn their credentials.

    Attributes:
        code: stable identifier in ``--json`` output and in the HTTP API.
        message: what failed.
        hint: what to do next; may be empty.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = redact_text(message)
        self.hint = redact_text(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InvalidValueError(SaccadeError, ValueError):
    code = "invalid-value"


class NotFoundError(SaccadeError, LookupError):
    code = "not-found"


class ConflictError(SaccadeError):
    code = "conflict"


class StaleVersionError(ConflictError):
    code = "stale-version"


class MediaError(SaccadeError):
    code = "media"


class FormatError(SaccadeError):
    code = "format"


class RecipeError(SaccadeError, ValueError):
    code = "recipe"


class PipelineError(SaccadeError, ValueError):
    """A pipeline is invalid or failed.

    Attributes:
        step: name of the step, or "" if no single step is to blame.
    """

    code = "pipeline"

    def __init__(self, message: str, *, step: str = "", hint: str = "") -> None:
        super().__init__(f"Step '{step}': {message}" if step else message, hint=hint)
        self.step = step


class PanelError(SaccadeError):
    code = "panel"


class AuthenticationError(SaccadeError):
    code = "unauthenticated"


class PermissionDeniedError(SaccadeError):
    code = "permission-denied"


class SignatureError(SaccadeError):
    code = "signature"


class RateLimitedError(SaccadeError):
    """Too many attempts.

    Attributes:
        seconds: wait before the next attempt.
    """

    code = "rate-limited"

    def __init__(self, message: str, *, seconds: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds


class ProviderError(SaccadeError):
    code = "provider"


class QueryError(SaccadeError, ValueError):
    """A query is invalid; the message shows its text with the mistake underlined.

    Attributes:
        text: the query.
        start, end: span of the mistake, in characters.
    """

    code = "query"

    def __init__(self, message: str, text: str, start: int, end: int, *, hint: str = "") -> None:
        super().__init__(f"{message}{_underlined(text, start, end)}", hint=hint)
        self.text = text
        self.start = start
        self.end = end
        # The message above contains the underlined text, so pickling needs the original arguments.
        self._init_args = (message, hint)

    def __reduce__(self) -> tuple[Any, ...]:
        message, hint = self._init_args
        return _query_error, (message, self.text, self.start, self.end, hint)


def _query_error(message: str, text: str, start: int, end: int, hint: str) -> QueryError:
    return QueryError(message, text, start, end, hint=hint)


def _underlined(text: str, start: int, end: int) -> str:
    """Return the line of ``text`` that contains the span, with carets below the span."""
    if not text.strip():
        return ""
    start = min(start, len(text))
    first = text.rfind("\n", 0, start) + 1
    line = text[first:].split("\n", 1)[0]
    marks = "^" * max(1, min(end, first + len(line)) - start)
    return f"\n  {line}\n  {' ' * (start - first)}{marks}"


class WorkspaceError(SaccadeError):
    code = "workspace"


class StorageFullError(WorkspaceError):
    """The disk of the workspace is full.

    Args:
        where: which disk.
    """

    code = "storage-full"

    def __init__(self, where: str = "the disk of the workspace") -> None:
        super().__init__(
            f"{where[0].upper()}{where[1:]} is full.",
            hint="Delete datasets that are not needed and run 'saccade gc', or enlarge the disk.",
        )


class MissingExtraError(SaccadeError, ImportError):
    """An optional dependency is missing; the hint is the command that installs it."""

    code = "missing-extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the optional dependencies '{extra}'.", hint=f"Install it: pip install 'saccade[{extra}]'"
        )
        # ImportError pickles its message only; worker processes send this error back to their parent.
        self._init_args = (what, extra)

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), self._init_args


def suggest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the closest matches for ``name``, or lists the known names.

    >>> suggest("resnet81", ["resnet18", "vit"])
    'Did you mean resnet18?'
    """
    names = sorted(set(known))
    if close := difflib.get_close_matches(name, names, n=3, cutoff=0.6):
        return f"Did you mean {' or '.join(close)}?"
    if not names:
        return "There is none yet."
    listed = ", ".join(names[:12])
    return f"Known: {listed}{', …' if len(names) > 12 else ''}."
