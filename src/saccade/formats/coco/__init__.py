"""COCO: one JSON file (or one per split) of images, annotations and categories, beside the images.

Read: instances and person_keypoints files; boxes, polygons of several parts, masks as plain or compressed run
lengths, crowd regions, keypoints with their skeleton, scores, ``attributes`` (with ``track_id`` as the track), and
extra fields of images as the column ``metadata``. One object has one geometry: keypoints come before a segmentation,
a segmentation before a box. COCO cannot say that an image is not labelled yet, so an image without annotations is
taken as reviewed and empty, and reported as inferred.

``instances_default.json``, as CVAT writes it, is no split. Boxes are clipped to the image, also if no size is stated.

Written: ``annotations.json`` or, with splits, ``annotations/instances_<split>.json``, and ``images/``. What COCO has no
field for is kept under the extra key ``saccade``, which other readers ignore and with which our own reader is exact.

Source of the format: https://cocodataset.org/#format-data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.options import NoOptions, check_choice, parse_options
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.coco.detect import detect
from saccade.formats.coco.read import CocoReader, CocoReadOptions
from saccade.formats.coco.write import CocoWriter

__all__ = ["FORMAT"]


class Coco(Format):
    name: ClassVar[str] = "coco"
    title: ClassVar[str] = "COCO"
    supports: ClassVar[str] = "boxes, polygons, masks and keypoints; scores, tracks, attributes; splits"

    def detect(self, source: Path) -> Detection:
        return detect(source)

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder or an annotation file; see :class:`CocoReadOptions`."""
        parsed = parse_options(CocoReadOptions, options, "COCO")
        check_choice("media", parsed.media, ("required", "optional"))
        check_choice("task", parsed.task, ("auto", "instances", "person_keypoints"))
        return CocoReader(source, parsed, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "COCO")
        return CocoWriter(schema, destination, report)


FORMAT = Coco()
