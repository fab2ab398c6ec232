"""Detection of YOLO."""

from __future__ import annotations

from pathlib import Path

from saccade.formats._common.paths import SourceTree, source_tree
from saccade.formats.base import Detection
from saccade.formats.yolo.files import NAME_FILES, LabelFinder, find_data_yaml, is_dota_file, load_yaml
from saccade.formats.yolo.lines import looks_like_labels


def detect(source: Path) -> Detection:
    if (path := find_data_yaml(source)) is not None:
        has_names = "names" in load_yaml(path)
        return Detection(has_names, f"{path.name} {'names classes' if has_names else 'has no names'}")
    if source.is_file():
        return Detection(False, "it is a file, but not a data.yaml")
    evidence = _find_evidence(source_tree(source))
    return Detection(bool(evidence), evidence or "there is no data.yaml, no class names and no label text for an image")


def _find_evidence(tree: SourceTree) -> str:
    """Return what shows, without a data.yaml, that a folder has YOLO labels; else ""."""
    if data := next((file for file in tree.files if file.endswith(".data")), None):
        return f"{data} is a darknet file"
    finder = LabelFinder(tree)
    for label in map(finder.find, tree.iter_images()):
        if label is not None and (looks_like_labels(tree.path(label)) or is_dota_file(label)):
            return f"{label} holds labels of an image"
    names = next((file for file in tree.files if file.rsplit("/", 1)[-1] in NAME_FILES), None)
    # A list of classes beside masks belongs to another format.
    has_masks = any(folder.rpartition("/")[2] == "masks" for folder in tree.folders)
    return f"{names} names classes and there are images" if names and any(tree.iter_images()) and not has_masks else ""
