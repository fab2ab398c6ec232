"""The exception tree.

SaccadeError
├── InvalidValueError      a value breaks its own rules (a box with NaN, a class without a name)
├── NotFoundError          a dataset, version, alias, model, file ... that does not exist
├── ConflictError          a name is taken, or somebody else wrote first
├── MovedError             a dataset has a newer version than the one that somebody looked at
├── MediaError             an image or video that cannot be used
├── FormatError            a source that no format, or not this format, can read or write
├── RecipeError            a recipe that does not say what it must
├── PipelineError          a pipeline that cannot be read or run; it names the step
├── PanelError             a panel of the web app that failed, took too long or cannot be loaded
├── QueryError             a query that cannot be read; it shows the place
├── NotSignedInError       nobody has said who they are, or not rightly
├── NotAllowedError        somebody may not do what they ask for
├── SignatureError         a webhook that was not sent as it is, or not by whom it says
├── TooManyError           too many tries; it says when to try again
├── ProviderError          a provider of single sign-on that does not answer, or not as it must
├── WorkspaceError         the workspace is missing, damaged or not writable
└── MissingExtraError      an optional part of Saccade is not installed
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class SaccadeError(Exception):
    """An error for the user: what failed, with which value, and what to do next.

    ``code`` is the stable word for it in ``--json`` output and the HTTP API.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InvalidValueError(SaccadeError, ValueError):
    code = "invalid-value"


class NotFoundError(SaccadeError, LookupError):
    code = "not-found"


class ConflictError(SaccadeError):
    code = "conflict"


class MovedError(ConflictError):
    code = "moved"


class MediaError(SaccadeError):
    code = "media"


class FormatError(SaccadeError):
    code = "format"


class RecipeError(SaccadeError, ValueError):
    code = "recipe"


class PipelineError(SaccadeError, ValueError):
    """A pipeline that cannot be read or run, with the step where that is.

    Attributes:
        step: its name; "" where it is none of them.
    """

    code = "pipeline"

    def __init__(self, message: str, *, step: str = "", hint: str = "") -> None:
        super().__init__(f"Step '{step}': {message}" if step else message, hint=hint)
        self.step = step


class PanelError(SaccadeError):
    code = "panel"


class NotSignedInError(SaccadeError):
    code = "not-signed-in"


class NotAllowedError(SaccadeError):
    code = "not-allowed"


class SignatureError(SaccadeError):
    code = "signature"


class TooManyError(SaccadeError):
    """Too many tries.

    Attributes:
        seconds: after which to try again.
    """

    code = "too-many"

    def __init__(self, message: str, *, seconds: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds


class ProviderError(SaccadeError):
    code = "provider"


class QueryError(SaccadeError, ValueError):
    """A query that is wrong: shows its text with the place underlined.

    Attributes:
        text: the query.
        start, end: the place of the mistake, in characters.
    """

    code = "query"

    def __init__(self, message: str, text: str, start: int, end: int, *, hint: str = "") -> None:
        super().__init__(f"{message}{_underlined(text, start, end)}", hint=hint)
        self.text, self.start, self.end = text, start, end
        self._made_from = (message, hint)

    def __reduce__(self) -> tuple[Any, ...]:
        message, hint = self._made_from
        return _query_error, (message, self.text, self.start, self.end, hint)


def _query_error(message: str, text: str, start: int, end: int, hint: str) -> QueryError:
    return QueryError(message, text, start, end, hint=hint)


def _underlined(text: str, start: int, end: int) -> str:
    """The line of the text that holds a place, with marks under it."""
    if not text.strip():
        return ""
    start = min(start, len(text))
    first = text.rfind("\n", 0, start) + 1
    line = text[first:].split("\n", 1)[0]
    marks = "^" * max(1, min(end, first + len(line)) - start)
    return f"\n  {line}\n  {' ' * (start - first)}{marks}"


class WorkspaceError(SaccadeError):
    code = "workspace"


class MissingExtraError(SaccadeError, ImportError):
    """An optional part is missing; says the command that installs it."""

    code = "missing-extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the optional part '{extra}'.", hint=f"Install it: pip install 'saccade[{extra}]'"
        )
        self._made_from = (what, extra)

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        """Made again from its own arguments, so that it survives the way back from a worker process."""
        return type(self), self._made_from


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names what is known and resembles ``name``, or lists what there is.

    >>> nearest("resnet81", ["resnet18", "vit"])
    'Did you mean resnet18?'
    """
    names = sorted(set(known))
    if close := difflib.get_close_matches(name, names, n=3, cutoff=0.6):
        return f"Did you mean {' or '.join(close)}?"
    if not names:
        return "There is none yet."
    shown = ", ".join(names[:12])
    return f"Known: {shown}{', …' if len(names) > 12 else ''}."
