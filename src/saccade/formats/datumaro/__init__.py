"""Datumaro: a JSON file for each subset, with the images beside it.

Read: ``annotations/SUBSET.json`` and ``images/SUBSET/``, with bbox, rotated_bbox, polygon, mask, polyline, points and
ellipse; polygons of one label that share a group are one object of several parts. ``label`` annotations become a
column ``labels``, captions a column ``caption``, attributes of items a column ``attributes``. A subset is a split,
except ``default``. An item without annotations is reviewed and empty, unless Saccade wrote that it is not labelled;
an image without an item is not labelled yet. The key is the id of the item, or else the path of its image. Skeletons of
``points`` come from the categories.

Written: the same. Scores and tracks are written as the attributes ``score`` and ``track_id``, as Datumaro does;
polygons with holes become masks.

Source of the format: https://github.com/open-edge-platform/datumaro.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.datumaro.detect import detect
from saccade.formats.datumaro.read import DatumaroReader
from saccade.formats.datumaro.write import DatumaroWriter

__all__ = ["FORMAT"]


class Datumaro(Format):
    name: ClassVar[str] = "datumaro"
    title: ClassVar[str] = "Datumaro"
    supports: ClassVar[str] = (
        "boxes, rotated boxes, polygons, masks, lines, points, keypoints, ellipses; attributes; labels of images"
    )

    def detect(self, source: Path) -> Detection:
        return detect(source)

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder."""
        parse_options(NoOptions, options, "Datumaro")
        return DatumaroReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "Datumaro")
        return DatumaroWriter(schema, destination, report)


FORMAT = Datumaro()
