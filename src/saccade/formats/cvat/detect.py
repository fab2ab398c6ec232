"""Detection of CVAT, and the annotation file of a source."""

from __future__ import annotations

import re
from pathlib import Path

from saccade.core.errors import FormatError
from saccade.formats._common.encoding import read_head
from saccade.formats._common.paths import SourceTree
from saccade.formats.base import Detection

_ROOT = re.compile(r"<annotations[\s>]")


def detect(source: Path) -> Detection:
    try:
        path = find_annotation_file(source)
    except FormatError as error:
        return Detection(False, error.message)
    return Detection(True, f"{path.name} has CVAT's annotations")


def find_annotation_file(source: Path) -> Path:
    """Return the XML file of a source.

    Raises:
        FormatError: if there is none, or more than one.
    """
    if source.is_file():
        files = [source] if _is_cvat(source) else []
    else:
        tree = SourceTree(source)
        files = [
            path for path in map(tree.path, tree.files_below("", (".xml",))) if path.parent == source and _is_cvat(path)
        ]
    if not files:
        raise FormatError("there is no XML file with <annotations> in it", hint="Look for CVAT's annotations.xml.")
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        raise FormatError(f"There are several CVAT files: {names}.", hint="Name the one to import.")
    return files[0]


def _is_cvat(path: Path) -> bool:
    return bool(_ROOT.search(read_head(path)))
