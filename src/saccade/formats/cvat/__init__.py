"""CVAT: an XML file of the shapes of all images, or of the tracks of a video's frames.

Read: "CVAT for images 1.1" (box, with ``rotation`` too, polygon, polyline, points, ellipse, mask, skeleton and tag)
and "CVAT for video 1.1", which needs the video itself or its frames as pictures beside it; a track is interpolated
between its key frames. Attributes have the types that the file's header states. ``occluded``, ``z_order``,
``group_id`` and a ``source`` other than manual become attributes; tags become a column ``labels``. ``subset`` is the
split. CVAT does not tell a reviewed and empty image from one that is not labelled yet, so an image of the file without
shapes is taken as reviewed and empty, which is reported; an image that is not in the file is not labelled yet.

Written: ``annotations.xml`` for images, and ``images/``; with splits, those are the subsets of a project, whose images
lie in ``images/<subset>/``. Polygons with holes or several parts become masks. With ``--option layout=video`` the items
are the frames of one video, in their order, and the objects with the same track and folder form a track; every shape is
a key frame, so nothing is interpolated.

Source of the format: https://docs.cvat.ai/docs/manual/advanced/xml_format/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.options import NoOptions, check_choice, parse_options
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.cvat.detect import detect, find_annotation_file
from saccade.formats.cvat.read import CvatReader
from saccade.formats.cvat.write import CvatImagesWriter, CvatWriteOptions
from saccade.formats.cvat.write_video import CvatVideoWriter

__all__ = ["FORMAT"]


class Cvat(Format):
    name: ClassVar[str] = "cvat"
    title: ClassVar[str] = "CVAT"
    supports: ClassVar[str] = (
        "boxes, rotated boxes, polygons, masks, polylines, points, keypoints, ellipses, tags; attributes; splits; "
        "labelled or not"
    )

    def detect(self, source: Path) -> Detection:
        return detect(source)

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder or of the XML file."""
        parse_options(NoOptions, options, "CVAT")
        return CvatReader(find_annotation_file(source), report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        """Return a writer; see :class:`CvatWriteOptions`."""
        layout = check_choice("layout", parse_options(CvatWriteOptions, options, "CVAT").layout, ("images", "video"))
        return (CvatVideoWriter if layout == "video" else CvatImagesWriter)(schema, destination, report)


FORMAT = Cvat()
