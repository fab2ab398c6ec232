"""Detection of Hugging Face datasets."""

from __future__ import annotations

from pathlib import Path

from saccade.core.report import ConversionReport
from saccade.formats._common.paths import source_tree
from saccade.formats.base import Detection
from saccade.formats.huggingface.metadata import FILE_NAME, is_metadata_file, iter_metadata
from saccade.formats.huggingface.parquet_files import find_image_column


def detect(source: Path) -> Detection:
    if source.is_file():
        is_dataset = source.suffix == ".parquet" and find_image_column(source) != ""
        return Detection(is_dataset, f"{source.name} is a file")
    tree = source_tree(source)
    for file in filter(is_metadata_file, tree.files):
        if _has_file_names(source / file):
            return Detection(True, f"{file} has {FILE_NAME}")
    for file in tree.files_below("", (".parquet",)):
        if column := find_image_column(source / file):
            return Detection(True, f"{file} has the images in '{column}'")
    return Detection(False, f"there is no metadata.jsonl with {FILE_NAME} and no Parquet file with images")


def _has_file_names(path: Path) -> bool:
    first_row = next(iter_metadata(path, ConversionReport()), {})
    return isinstance(first_row.get(FILE_NAME), str)
