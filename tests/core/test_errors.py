"""Errors: what they say, and that they survive the way back from a worker process."""

from __future__ import annotations

import pickle

import pytest

from saccade.core.errors import (
    ConflictError,
    FormatError,
    InvalidValueError,
    MediaError,
    MissingExtraError,
    NotFoundError,
    RecipeError,
    SaccadeError,
    WorkspaceError,
    suggest,
)

ALL: list[type[SaccadeError]] = [
    ConflictError,
    FormatError,
    InvalidValueError,
    MediaError,
    NotFoundError,
    RecipeError,
    WorkspaceError,
]


@pytest.mark.parametrize(
    ("name", "known", "answer"),
    [
        ("resnet81", ["resnet18", "vit"], "Did you mean resnet18?"),
        ("box", ["boxy", "bot"], "Did you mean boxy or bot?"),
        ("zzz", ["b", "a", "a"], "Known: a, b."),
        ("zzz", [], "There is none yet."),
        ("zzz", (f"n{i:02}" for i in range(20)), "Known: " + ", ".join(f"n{i:02}" for i in range(12)) + ", …."),
    ],
)
def test_nearest(name: str, known: list[str], answer: str) -> None:
    assert suggest(name, known) == answer


def test_text_of_an_error_is_message_and_hint() -> None:
    assert str(NotFoundError("No dataset 'a'.", hint="Did you mean b?")) == "No dataset 'a'. Did you mean b?"
    assert str(NotFoundError("No dataset 'a'.")) == "No dataset 'a'."


def test_codes_are_distinct() -> None:
    errors: list[type[SaccadeError]] = [*ALL, SaccadeError, MissingExtraError]
    assert len({error.code for error in errors}) == len(errors)


@pytest.mark.parametrize(
    ("error", "base"),
    [(InvalidValueError, ValueError), (NotFoundError, LookupError), (RecipeError, ValueError)],
)
def test_errors_are_also_pythons_own(error: type[SaccadeError], base: type[Exception]) -> None:
    assert issubclass(error, base)


@pytest.mark.parametrize("error", ALL)
def test_errors_come_back_from_another_process(error: type[SaccadeError]) -> None:
    back = pickle.loads(pickle.dumps(error("what", hint="do this")))
    assert (type(back), back.message, back.hint, str(back)) == (error, "what", "do this", "what do this")


def test_a_missing_extra_names_the_command_and_comes_back_from_another_process() -> None:
    error = MissingExtraError("Training", "train")
    assert str(error) == "Training needs the optional dependencies 'train'. Install it: pip install 'saccade[train]'"
    assert isinstance(error, ImportError)
    back = pickle.loads(pickle.dumps(error))
    assert (type(back), str(back), back.hint) == (MissingExtraError, str(error), error.hint)
