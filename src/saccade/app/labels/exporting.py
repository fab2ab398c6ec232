"""Export of the present state of a label set to an external format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saccade.annotation.label_sets import LabelSets
from saccade.annotation.reader import LabelSetReader
from saccade.app.ingest.exporting import export_reader
from saccade.core.progress import Progress
from saccade.core.report import ConversionReport


def export_label_set(
    label_sets: LabelSets,
    name: str,
    destination: Path,
    format: str,
    *,
    strict: bool = False,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ConversionReport:
    """Export a label set with its uncommitted edits. The destination is written completely or not at all.

    Items that are unlabelled or skipped are exported as not labelled.

    Args:
        label_sets: The label sets of the project.
        name: The name of the label set.
        destination: A folder that does not exist or is empty, or an earlier export with ``overwrite``.
        format: The name of the format.
        strict: Fail if the format cannot represent everything.
        options: Options of the format.
        overwrite: Replace the output of an earlier export. Other folders are never replaced.
        progress: Advances by each item.

    Returns:
        A report of everything that the format could not represent.

    Raises:
        ConflictError: The destination is not empty.
        FormatError: The export failed, or lost data and ``strict`` is set.
        NotFoundError: The label set or the format does not exist.
    """
    reader = LabelSetReader(label_sets, name)
    return export_reader(
        reader, destination, format, strict=strict, options=options, overwrite=overwrite, progress=progress
    )
