"""VGG Image Annotator (VIA): a JSON file with the regions of each image.

Read: projects and annotations of VIA 1 and 2, with rect, circle, ellipse, polygon, polyline and point. The class is
the region attribute that the option ``attribute`` names, or else the one called class, label, name, type, category or
class_name, or else the only one. The others become attributes; a group of checkboxes becomes the names of the checked
ones, separated by commas. Attributes of files are kept in a column ``file_attributes``. An image without regions is
reviewed and empty; an image that no file names is unlabelled.

Written: ``via_project.json``, which VIA 2 opens, with the images beside it and the class in the attribute ``class``.
Rotated boxes and masks become polygons. VIA has no polygons of several parts or with holes.

Source of the format: https://www.robots.ox.ac.uk/~vgg/software/via/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.json import contains_tokens
from saccade.formats._common.options import parse_options
from saccade.formats._common.paths import source_tree
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.via.files import iter_image_entries
from saccade.formats.via.read import ViaReader, ViaReadOptions
from saccade.formats.via.write import ViaWriter


class Via(Format):
    name: ClassVar[str] = "via"
    title: ClassVar[str] = "VGG Image Annotator"
    supports: ClassVar[str] = (
        "boxes, polygons of one ring, circles, ellipses, lines, single points; attributes; labelled or not"
    )

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and VIA is read from a folder with its images")
        files = list(source_tree(source).files_below("", (".json",)))
        if not files:
            return Detection(False, "there is no JSON file in it")
        for file in files:
            # Searching for the texts first is much faster than parsing every JSON file.
            is_candidate = contains_tokens(source / file, '"regions"', '"filename"')
            if is_candidate and any(iter_image_entries(source / file, ConversionReport())):
                return Detection(True, f"{file} has files with regions")
        return Detection(False, f"{files[0]} has no images with regions")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder; see :class:`ViaReadOptions`."""
        return ViaReader(source, report, parse_options(ViaReadOptions, options, "VIA"))

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        # The options of reading are accepted, without effect.
        parse_options(ViaReadOptions, options, "VIA")
        return ViaWriter(schema, destination, report)


FORMAT = Via()
