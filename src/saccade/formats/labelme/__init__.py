"""LabelMe: a JSON file of shapes beside each image.

Read: rectangle, polygon, circle, line, linestrip, point, points and mask (a PNG in base64), and the ``rotation`` of
X-AnyLabeling. Top folders named train, val or test are splits. ``flags``, ``attributes``, ``description``,
``group_id`` and ``difficult`` of a shape become attributes. The image is the file in ``imagePath``, the one with the
name of the JSON file, or the one embedded in ``imageData``. An image without a JSON file is not labelled yet; one whose
file has no shapes is reviewed and empty. Flags of images become a column ``flags``.

Written: the images with a JSON file beside each that is labelled, in folders for the splits train, val and test. Ids
and tracks are kept under the extra key ``saccade`` of a shape, which LabelMe preserves. Rotated boxes and ellipses that
are not circles become polygons; polygons with holes or several parts become masks.

Source of the format: https://github.com/wkentaro/labelme.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.labelme.detect import detect
from saccade.formats.labelme.read import LabelMeReader
from saccade.formats.labelme.write import LabelMeWriter

__all__ = ["FORMAT"]


class LabelMe(Format):
    name: ClassVar[str] = "labelme"
    title: ClassVar[str] = "LabelMe"
    supports: ClassVar[str] = "boxes, polygons, masks, circles, lines, points; attributes; labelled or not"

    def detect(self, source: Path) -> Detection:
        return detect(source)

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder."""
        parse_options(NoOptions, options, "LabelMe")
        return LabelMeReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "LabelMe")
        return LabelMeWriter(schema, destination, report)


FORMAT = LabelMe()
