"""Label Studio: the tasks of a project as JSON, with the regions of annotations and predictions.

Read: rectangle (also rotated), polygon, ellipse, key point and brush regions, and choices for the whole image, which
become a column ``labels``. If a task has several annotations, the last one that was not cancelled is read. The last
prediction of a task becomes a column ``predictions``, with scores. A task without an annotation is not labelled yet;
one whose annotation is empty is reviewed and empty. Images are found beside the file by the end of their URL; those of
uploads also without the eight characters that Label Studio puts in front of their names.

Written: ``tasks.json`` and ``images/``; import both into Label Studio with local file serving. Coordinates are
percentages of the image's sides. Attributes and tracks are kept in the ``meta`` of a region, which Label Studio
preserves.

Source of the format: https://labelstud.io/guide/export and https://labelstud.io/tags/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.labelstudio.detect import detect, find_task_file
from saccade.formats.labelstudio.read import LabelStudioReader
from saccade.formats.labelstudio.write import LabelStudioWriter

__all__ = ["FORMAT"]


class LabelStudio(Format):
    name: ClassVar[str] = "labelstudio"
    title: ClassVar[str] = "Label Studio"
    supports: ClassVar[str] = (
        "boxes, rotated boxes, polygons, masks, points, ellipses; labels of images; scores; attributes; predictions; "
        "labelled or not"
    )

    def detect(self, source: Path) -> Detection:
        return detect(source)

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder or of the JSON file."""
        parse_options(NoOptions, options, "Label Studio")
        return LabelStudioReader(find_task_file(source), report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "Label Studio")
        return LabelStudioWriter(schema, destination, report)


FORMAT = LabelStudio()
