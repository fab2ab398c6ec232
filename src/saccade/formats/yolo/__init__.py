"""YOLO labels: a text file for each image, a line for each object, in shares of the image's sides.

Read: ``data.yaml`` (names as a list or by number; train, val and test as a folder, a list of folders or a text file of
images), darknet's ``obj.data`` and ``obj.names``, or ``classes.txt`` with the text files in ``labels/`` or beside the
images. If data.yaml leads to no images, they are found by their folders. A line is ``class cx cy w h``, with a sixth
number as the score; ``class x y x y …`` is a polygon. If data.yaml has ``kpt_shape``, a line is a box with keypoints.
With the option ``task=obb`` four points are the corners of a rotated box (a dataset does not say so itself, except for
those that we write). Label files may also lie in ``Annotations`` or similar folders beside the images, or, with corners
in pixels and class names, in ``labelTxt`` as DOTA has them. An image without a label file is not labelled yet; one with
an empty file is reviewed and empty. The size in pixels comes from the image's header.

Written: ``data.yaml``, ``images/<split>`` and ``labels/<split>``, with all digits of the numbers. The option ``task``
sets what a line holds: ``detect`` (boxes, clipped to the image; other shapes become their bounding box), ``segment``
(polygons; several parts are joined to one outline by lines of no width, as Ultralytics does), ``obb`` (corners of
rotated boxes) or ``pose`` (boxes with keypoints). Crowd regions are left out. The extra key ``saccade`` in data.yaml
has the names of splits and the task.

Source of the format: https://docs.ultralytics.com/datasets/ (detect, segment, obb, pose).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.options import check_choice, parse_options
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.yolo.detect import detect
from saccade.formats.yolo.read import YoloReader, YoloReadOptions
from saccade.formats.yolo.shapes import TASKS
from saccade.formats.yolo.write import YoloWriteOptions, YoloWriter

__all__ = ["FORMAT"]


class Yolo(Format):
    name: ClassVar[str] = "yolo"
    title: ClassVar[str] = "YOLO"
    supports: ClassVar[str] = (
        "boxes, polygons, rotated boxes or keypoints (one of them, by task); splits; labelled or not"
    )

    def detect(self, source: Path) -> Detection:
        return detect(source)

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder or a data.yaml; see :class:`YoloReadOptions`."""
        task = check_choice("task", parse_options(YoloReadOptions, options, "YOLO").task, ("auto", *TASKS))
        return YoloReader(source, report, task)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        """Return a writer; see :class:`YoloWriteOptions`."""
        task = check_choice("task", parse_options(YoloWriteOptions, options, "YOLO").task, TASKS)
        return YoloWriter(schema, destination, report, task)


FORMAT = Yolo()
