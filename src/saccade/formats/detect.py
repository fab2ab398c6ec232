"""Detection of the format of a source."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import NoReturn

from saccade.core.errors import FormatError, NotFoundError, SaccadeError, WorkspaceError
from saccade.core.registry import Registry
from saccade.core.report import ConversionReport
from saccade.formats._common.json import load_json
from saccade.formats._common.paths import tree_cache
from saccade.formats.base import FORMATS, Detection, Format

_MAX_REASON = 100
_MAX_PARSED_FILES = 100
# A larger file is not examined as a part of a folder.
_MAX_COPIED_BYTES = 1 << 28


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
    if source.is_dir() and not any(source.iterdir()):
        raise FormatError(f"The folder {source} is empty.", hint="Name a folder with images or labels.")
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
    _raise_for_broken_json(source)
    if source.is_file():
        _raise_for_file(source, by_name, formats)
    reasons = "".join(f"\n  {name}: {_shorten(detection.reason)}" for name, detection in by_name)
    raise FormatError(f"No format matches {source}:{reasons}", hint="Choose one with --format.")


def _raise_for_broken_json(source: Path) -> None:
    """Raise the error of a JSON file that cannot be parsed: it is why no format matches."""
    files = [source] if source.is_file() else sorted(source.iterdir())[:_MAX_PARSED_FILES]
    for file in files:
        if file.suffix.lower() == ".json" and file.is_file() and file.stat().st_size <= _MAX_COPIED_BYTES:
            load_json(file, ConversionReport())


def _raise_for_file(source: Path, by_name: list[tuple[str, Detection]], formats: Registry[Format]) -> NoReturn:
    """Raise the error for a file of no format: name the folder to import if the file belongs to a format of folders."""
    matching = _formats_of_folder_with(source, formats)
    if matching:
        titles = " or ".join(f"{format.title} ({format.name})" for format in matching)
        raise FormatError(
            f"{source.name} has labels of {titles}, which are read from the folder with their images.",
            hint=f"Import the folder: saccade import {source.resolve().parent}",
        )
    # Formats of folders need not say that a file is none.
    readers = [(name, detection) for name, detection in by_name if "a file" not in detection.reason]
    reasons = "".join(f"\n  {name}: {_shorten(detection.reason)}" for name, detection in readers)
    raise FormatError(
        f"No format matches the file {source}:{reasons}", hint="Import the folder with the images and their labels."
    )


def _formats_of_folder_with(file: Path, formats: Registry[Format]) -> list[Format]:
    """Return the formats that a folder with only this file would be of; the folder around it may be huge."""
    if file.stat().st_size > _MAX_COPIED_BYTES:
        return []
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(file, Path(folder) / file.name)
        matching = [format for format in formats if _detect(format, Path(folder)).matches]
    return [format for format in matching if not format.fallback] or matching


def _shorten(reason: str) -> str:
    return reason if len(reason) <= _MAX_REASON else f"{reason[: _MAX_REASON - 1]}…"


def _detect(format: Format, source: Path) -> Detection:
    try:
        return format.detect(source)
    except WorkspaceError:  # an error of this machine, such as a full disk, says nothing about the source
        raise
    except (SaccadeError, OSError) as error:
        return Detection(False, str(error))


def _join_reasons(results: list[tuple[str, Detection]]) -> str:
    return "; ".join(f"{name}: {detection.reason}" for name, detection in results)
