"""Detection of Pascal VOC."""

from __future__ import annotations

import re
from pathlib import Path

from saccade.formats._common.encoding import read_head
from saccade.formats._common.paths import SourceTree
from saccade.formats.base import Detection
from saccade.formats.voc.files import ANNOTATIONS, voc_root


def detect(source: Path) -> Detection:
    if source.is_file():
        return Detection(False, "it is a file, and VOC is a folder")
    tree = SourceTree(voc_root(source))
    folders = [name for name in ANNOTATIONS if name in tree.folders]
    first = next((file for file in tree.files_below(folders[0] if folders else "", (".xml",))), None)
    if first is None:
        return Detection(False, f"there is no XML file {'in ' + folders[0] if folders else 'in it'}")
    if re.search(r"<annotation[\s>]", read_head(tree.path(first))):
        return Detection(True, f"{first} is an annotation")
    return Detection(False, f"{first} is XML, but not an annotation")
