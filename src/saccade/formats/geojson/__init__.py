"""GeoJSON in pixels: a file of features beside each image, as QuPath and other tools for large images write it.

Read: ``NAME.geojson`` beside the image of that name, or a ``NAME.json`` that is a FeatureCollection. The y axis points
downward. Polygon, MultiPolygon, LineString, Point and MultiPoint are read; GeometryCollection is not. The class is
``properties.classification.name`` (QuPath), or else the property class, label, name, type or category; the other
properties become attributes. The property ``saccade`` marks boxes and keypoints. An image without a file is unlabelled;
an empty collection means reviewed and empty.

Written: the images, with a ``.geojson`` beside each labelled one. Masks, rotated boxes and ellipses become polygons.
Boxes and keypoints are marked in the property ``saccade``, and are read back as such.

Source of the format: RFC 7946; https://qupath.readthedocs.io (exporting annotations).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.json import contains_tokens
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import source_tree
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.geojson.read import EXTENSIONS, GeoJsonReader, load_features
from saccade.formats.geojson.write import GeoJsonWriter


class GeoJson(Format):
    name: ClassVar[str] = "geojson"
    title: ClassVar[str] = "GeoJSON"
    supports: ClassVar[str] = (
        "boxes, polygons with holes, lines, points, keypoints; attributes, scores, tracks; labelled or not"
    )

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and GeoJSON is read from a folder with its images")
        files = list(source_tree(source).files_below("", EXTENSIONS))
        if not files:
            return Detection(False, "there is no GeoJSON file in it")
        for file in files:
            # Searching for the text first is much faster than parsing every JSON file.
            is_candidate = contains_tokens(source / file, '"Feature')
            if is_candidate and load_features(source / file, ConversionReport()) is not None:
                return Detection(True, f"{file} is a FeatureCollection")
        return Detection(False, f"{files[0]} is not a FeatureCollection")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        parse_options(NoOptions, options, "GeoJSON")
        return GeoJsonReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "GeoJSON")
        return GeoJsonWriter(schema, destination, report)


FORMAT = GeoJson()
