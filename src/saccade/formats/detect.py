"""Detection of the format of a source."""

from __future__ import annotations

from pathlib import Path

from saccade.core.errors import FormatError, NotFoundError, SaccadeError, WorkspaceError
from saccade.core.registry import Registry
from saccade.formats._common.paths import tree_cache
from saccade.formats.base import FORMATS, Detection, Format


def detect_format(source: Path, formats: Registry[Format] = FORMATS) -> tuple[str, list[tuple[str, Detection]]]:
    """Find the one format that a source is of.

    Returns:
        The name of the format, and the result of every format by name. A fallback format is chosen only if no other
        format matches.

    Raises:
        NotFoundError: if there is no such file or folder.
        FormatError: if no format matches, or several do; the message has the reasons.
    """
    if not source.exists():
        raise NotFoundError(f"There is no file or folder {source}.", hint="Check the path.")
    # Every format lists the files of the source, which takes long for large folders.
    with tree_cache():
        results = [(format, _detect(format, source)) for format in formats]
    by_name = [(format.name, detection) for format, detection in results]
    matching = [format for format, detection in results if detection.matches]
    matching = [format for format in matching if not format.fallback] or matching
    if len(matching) == 1:
        return matching[0].name, by_name
    if matching:
        names = [format.name for format in matching]
        reasons = _join_reasons([(name, detection) for name, detection in by_name if name in names])
        raise FormatError(
            f"{source} could be {' or '.join(names)}: {reasons}.", hint=f"Choose with --format {names[0]}."
        )
    raise FormatError(
        f"The format of {source} is not supported: {_join_reasons(by_name)}.", hint="Choose one with --format."
    )


def _detect(format: Format, source: Path) -> Detection:
    try:
        return format.detect(source)
    except WorkspaceError:  # an error of this machine, such as a full disk, says nothing about the source
        raise
    except (SaccadeError, OSError) as error:
        return Detection(False, str(error))


def _join_reasons(results: list[tuple[str, Detection]]) -> str:
    return "; ".join(f"{name}: {detection.reason}" for name, detection in results)
