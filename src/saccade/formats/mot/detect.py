"""Detection of MOT Challenge."""

from __future__ import annotations

from pathlib import Path

from saccade.formats._common.paths import source_tree
from saccade.formats._common.sequences import find_sequences, ground_truth_file, is_mots_file
from saccade.formats.base import Detection


def detect(source: Path) -> Detection:
    if source.is_file():
        return Detection(False, "it is a file, and MOT is a folder")
    tree = source_tree(source)
    files = [file for folder in find_sequences(tree) if (file := ground_truth_file(tree, folder))]
    if not files:
        return Detection(False, "there is no img1 with a gt/gt.txt beside it")
    if any(is_mots_file(tree.path(file)) for file in files):
        return Detection(False, f"{files[0]} holds masks: it is MOTS")
    return Detection(True, f"there is {files[0]} beside img1")
