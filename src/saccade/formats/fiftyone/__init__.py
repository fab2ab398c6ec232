"""FiftyOne dataset folders: ``samples.json`` with the labels of all samples, and the images in ``data``.

Read: of each sample one field of Detections (boxes as shares of the sides, masks within them), Polylines or Keypoints,
or of a single one of them: ``ground_truth``, else the first such field, or the one named by the option ``field``.
Classification and Classifications fields become columns of labels with their names. A tag train, val or test is the
split; the other tags become a column ``tags``. ``confidence`` is the score, ``index`` the track. A sample whose field
is null is not labelled; an empty list means reviewed and empty.

Written: ``samples.json`` and ``metadata.json`` with the objects in the field ``ground_truth``: boxes and masks as
Detections. Polygons are written as masks, since a field of a sample has one kind of label. FiftyOne has ids of its own,
so the ids of objects are kept under the extra key ``saccade``.

Source of the format: https://docs.voxel51.com (exporting datasets, FiftyOneDataset).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.options import parse_options
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.fiftyone.detect import detect
from saccade.formats.fiftyone.read import FiftyOneReader, FiftyOneReadOptions
from saccade.formats.fiftyone.write import FiftyOneWriter

__all__ = ["FORMAT"]


class FiftyOne(Format):
    name: ClassVar[str] = "fiftyone"
    title: ClassVar[str] = "FiftyOne"
    supports: ClassVar[str] = "boxes and masks; scores, attributes; labels of images, tags, splits; labelled or not"

    def detect(self, source: Path) -> Detection:
        return detect(source)

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder; see :class:`FiftyOneReadOptions`."""
        return FiftyOneReader(source, parse_options(FiftyOneReadOptions, options, "FiftyOne"), report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        """Return a writer; the option ``field`` of reading is accepted, and ignored."""
        parse_options(FiftyOneReadOptions, options, "FiftyOne")
        return FiftyOneWriter(schema, destination, report)


FORMAT = FiftyOne()
