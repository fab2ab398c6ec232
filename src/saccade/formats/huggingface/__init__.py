"""Hugging Face datasets: an image folder with metadata, or Parquet files that contain the images.

Read: ``metadata.jsonl`` or ``metadata.csv`` beside the images that they name (``file_name``), and Parquet files with a
column of images. ``objects`` is a mapping of lists or a list of mappings, with ``bbox`` (x, y, width, height) and
``category`` (or categories, label, labels, class, classes, name, class_name, category_id); ``label`` is the class of
the image. Class numbers get their names from the features in the Parquet file. All other fields are kept in a column
``metadata``. Folders and files named after train, validation and test are splits. An image without ``objects`` is
unlabelled.

Written: with ``--option layout=imagefolder`` (the default) the images with one ``metadata.jsonl``, in which ``split``
is a field, or with ``layout=parquet`` a Parquet file for each split. Ids, scores, tracks and attributes (as JSON) are
further fields of ``objects``.

Source of the format: https://huggingface.co/docs/datasets (image_dataset, object_detection).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.options import parse_options
from saccade.formats._common.paths import SourceTree
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.huggingface.detect import detect
from saccade.formats.huggingface.parquet_files import find_image_column
from saccade.formats.huggingface.read import ImageFolderReader, ParquetReader
from saccade.formats.huggingface.write import HuggingFaceWriteOptions, ImageFolderWriter, ParquetWriter


class HuggingFace(Format):
    name: ClassVar[str] = "huggingface"
    title: ClassVar[str] = "Hugging Face datasets"
    supports: ClassVar[str] = "boxes; scores, tracks, attributes; a label of the image; labelled or not"

    def detect(self, source: Path) -> Detection:
        return detect(source)

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder or a Parquet file. Parquet files with images take precedence over metadata."""
        # The options of writing are accepted, without effect.
        parse_options(HuggingFaceWriteOptions, options, "Hugging Face")
        if source.is_file():
            files = [source]
        else:
            files = [source / file for file in SourceTree(source).files_below("", (".parquet",))]
        tables = [file for file in files if find_image_column(file)]
        return ParquetReader(tables, report) if tables else ImageFolderReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        """Return a writer; see :class:`HuggingFaceWriteOptions`."""
        parsed = parse_options(HuggingFaceWriteOptions, options, "Hugging Face")
        writer_class = ParquetWriter if parsed.layout == "parquet" else ImageFolderWriter
        return writer_class(schema, destination, report)


FORMAT = HuggingFace()
