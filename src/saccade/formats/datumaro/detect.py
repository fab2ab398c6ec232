"""Detection of Datumaro, and its annotation files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.json import Json, contains_tokens
from saccade.formats._common.json_stream import load_with_list
from saccade.formats._common.paths import SourceTree, source_tree
from saccade.formats._common.source_files import mark_rejected
from saccade.formats.base import Detection


def detect(source: Path) -> Detection:
    if source.is_file():
        return Detection(False, "it is a file, and Datumaro is a folder")
    files = candidate_files(source_tree(source))
    if not files:
        return Detection(False, "there is no JSON file in a folder annotations")
    for file in files:
        path = source / file
        if contains_tokens(path, '"items"', '"categories"') and load_annotations(path, ConversionReport()) is not None:
            return Detection(True, f"{file} has items and categories")
    return Detection(False, f"{files[0]} has no items and categories")


def candidate_files(tree: SourceTree) -> list[str]:
    """Return the JSON files in folders ``annotations``."""
    return [file for file in tree.files_below("", (".json",)) if "annotations" in file.split("/")[:-1]]


def load_annotations(path: Path, report: ConversionReport) -> tuple[Json, Collection[Any]] | None:
    """Load an annotation file.

    Returns:
        The categories and the items; None if the file is not one of Datumaro, or, reported, cannot be read.
    """
    try:
        data, items = load_with_list(path, "items", report)
    except (FormatError, OSError) as error:
        report.add(FindingType.SKIPPED, "annotation that cannot be read", detail=str(error))
        return None
    categories = data.get("categories") if isinstance(data, dict) and isinstance(data.get("items"), list) else None
    if isinstance(categories, dict):
        return categories, items
    mark_rejected(path)
    return None
