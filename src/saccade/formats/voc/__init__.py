"""Pascal VOC: an XML file of boxes for each image, with lists of the splits.

Read: ``Annotations/`` with ``JPEGImages/`` and ``ImageSets/Main``, a VOCdevkit around them, or XML files beside the
images (in split folders too). An image without an XML file is not labelled yet; one whose file has no objects is
reviewed and empty. ``difficult``, ``truncated``, ``occluded`` and ``pose`` become attributes if they are set. Objects
are numbered by their order in the file; the pixels of that number in the image's PNG in ``SegmentationObject`` become
the object's mask, in place of its box. With ``shapes=boxes`` the boxes stay.

Pixels: the devkit counts them from 1 and includes both ends, so a box there is ``x1 = xmin - 1``, ``x2 = xmax`` here
(option ``origin=1``). Many tools write plain coordinates from 0 (``origin=0``: nothing is subtracted). ``auto``
decides for the whole set, and reports the choice: 0 if any xmin or ymin is below 1, if all files are by labelImg
(which counts from 0 but writes 1 for 0), CVAT, Datumaro or labelme2voc, or if most coordinates are written as
decimals; else 1.

Written: the three folders, and for masks and polygons ``SegmentationObject`` and ``SegmentationClass``, in which the
later of two objects covers the earlier, which is reported. Coordinates keep all their digits; integers have no decimal
point. Files state their origin in ``source/annotation``, so that our own reader knows it. Attributes are written to
``attributes``, as CVAT does.

Source of the format: http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.options import check_choice, parse_options
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.voc.detect import detect
from saccade.formats.voc.files import voc_root
from saccade.formats.voc.read import VocReader, VocReadOptions
from saccade.formats.voc.write import VocWriteOptions, VocWriter

__all__ = ["FORMAT"]


class Voc(Format):
    name: ClassVar[str] = "voc"
    title: ClassVar[str] = "Pascal VOC"
    supports: ClassVar[str] = "boxes, masks that do not overlap; attributes; splits; labelled or not"

    def detect(self, source: Path) -> Detection:
        return detect(source)

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder; see :class:`VocReadOptions`."""
        parsed = parse_options(VocReadOptions, options, "VOC")
        origin = check_choice("origin", parsed.origin, ("auto", "0", "1"))
        shapes = check_choice("shapes", parsed.shapes, ("masks", "boxes"))
        return VocReader(voc_root(source), origin, report, read_masks=shapes == "masks")

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        """Return a writer; see :class:`VocWriteOptions`."""
        parsed = parse_options(VocWriteOptions, options, "VOC")
        origin = int(check_choice("origin", parsed.origin, ("0", "1")))
        return VocWriter(schema, destination, report, origin)


FORMAT = Voc()
