"""Detection of COCO."""

from __future__ import annotations

from pathlib import Path

from saccade.formats.base import Detection
from saccade.formats.coco.files import candidate_files, looks_like_coco


def detect(source: Path) -> Detection:
    if source.is_file() and source.suffix.lower() != ".json":
        return Detection(False, "it is a file, but not JSON")
    # saccade.json belongs to class folders.
    paths = [path for path in candidate_files(source) if path.name != "saccade.json"]
    if not paths:
        return Detection(False, "there is no JSON file in it, in annotations/ or in split folders")
    for path in paths:
        if path.stat().st_size and looks_like_coco(path):
            return Detection(True, f"{path.name} has images and annotations")
    return Detection(False, f"{paths[0].name} has no images and annotations at its top")
