"""Which format a source is of."""

from __future__ import annotations

from pathlib import Path

from saccade.core.errors import FormatError, NotFoundError, SaccadeError, WorkspaceError
from saccade.core.registry import Registry
from saccade.formats._common.paths import trees_kept
from saccade.formats.base import FORMATS, Detection, Format


def detect_format(source: Path, formats: Registry[Format] = FORMATS) -> tuple[str, list[tuple[str, Detection]]]:
    """The name of the one format that a source is of, and what each format answered.

    A format with a true attribute ``fallback`` counts only where no other matches.

    Raises:
        NotFoundError: there is no such file or folder.
        FormatError: no format matches (with each one's reason), or several do.
    """
    if not source.exists():
        raise NotFoundError(f"There is no file or folder {source}.", hint="Check the path.")
    with trees_kept():
        answers = [(part, _ask(part, source)) for part in formats]
    named = [(part.name, answer) for part, answer in answers]
    matching = [part for part, answer in answers if answer.matches]
    chosen = [part for part in matching if not getattr(part, "fallback", False)] or matching
    if len(chosen) == 1:
        return chosen[0].name, named
    if chosen:
        names = [part.name for part in chosen]
        reasons = _sentences([(name, answer) for name, answer in named if name in names])
        raise FormatError(
            f"{source} could be {' or '.join(names)}: {reasons}.", hint=f"Choose with --format {names[0]}."
        )
    raise FormatError(f"{source} is of no format that is known: {_sentences(named)}.", hint="Choose one with --format.")


def _ask(part: Format, source: Path) -> Detection:
    """The format's answer; an error in looking is a reason to refuse."""
    try:
        return part.detect(source)
    except WorkspaceError:  # of this machine, not of the source
        raise
    except (SaccadeError, OSError) as error:
        return Detection(False, str(error))


def _sentences(answers: list[tuple[str, Detection]]) -> str:
    return "; ".join(f"{name}: {answer.reason}" for name, answer in answers)
