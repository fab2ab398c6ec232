"""MOT Challenge: the boxes of tracks in numbered frames, a folder for each sequence.

Read: ``SEQUENCE/img1/000001.jpg`` with ``gt/gt.txt``, one sequence or a folder of them, also below train and test,
which become splits. A line is ``frame, id, left, top, width, height, flag, class, visibility``. The names of the
classes are in ``gt/labels.txt`` (as CVAT writes it), else they are those of MOT16. Coordinates are read unchanged. A
flag of 0 becomes the attribute ``ignored``, a visibility below 1 the attribute ``visibility``. All frames of a sequence
with a gt.txt are labelled; without one, none is. Boxes may exceed the edge of the image, as they do in this format.

Written: the same, with ``seqinfo.ini`` and ``labels.txt``. The folder of a key is its sequence.

Source of the format: Milan et al., "MOT16: A benchmark for multi-object tracking" (2016).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.mot.detect import detect
from saccade.formats.mot.read import MotReader
from saccade.formats.mot.write import MotWriter

__all__ = ["FORMAT"]


class Mot(Format):
    name: ClassVar[str] = "mot"
    title: ClassVar[str] = "MOT Challenge"
    supports: ClassVar[str] = "boxes with tracks in frames; visibility; labelled or not, by sequence"

    def detect(self, source: Path) -> Detection:
        return detect(source)

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder."""
        parse_options(NoOptions, options, "MOT")
        return MotReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "MOT")
        return MotWriter(schema, destination, report)


FORMAT = Mot()
