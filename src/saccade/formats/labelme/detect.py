"""Detection of LabelMe."""

from __future__ import annotations

from pathlib import Path

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport
from saccade.formats._common.json import contains_tokens, load_json
from saccade.formats._common.paths import source_tree
from saccade.formats.base import Detection


def detect(source: Path) -> Detection:
    if source.is_file():
        return Detection(False, "it is a file, and LabelMe is a folder")
    first_file = next(source_tree(source).files_below("", (".json",)), None)
    if first_file is None:
        return Detection(False, "there is no JSON file in it")
    if _is_label_file(source / first_file):
        return Detection(True, f"{first_file} has shapes and an imagePath")
    return Detection(False, f"{first_file} has no shapes with an imagePath")


def _is_label_file(path: Path) -> bool:
    if not contains_tokens(path, '"shapes"', '"imagePath"'):
        return False
    try:
        data = load_json(path, ConversionReport())
    except (FormatError, OSError):
        return False
    return isinstance(data, dict) and isinstance(data.get("shapes"), list) and "imagePath" in data
