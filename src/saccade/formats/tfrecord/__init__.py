"""TFRecord shards in the layout of TensorFlow's object detection, with a label map.

Read: every file that begins with a TFRecord, and ``*.pbtxt`` for the names of classes; the features
``image/encoded``, ``image/filename``, ``image/source_id``, ``image/object/bbox/*`` (shares of the image's sides),
``image/object/class/text`` or ``label``, ``image/object/is_crowd``, ``difficult``, ``truncated`` and ``score``. A
file named after train, val or test gives that split. A damaged file is read up to the damage. An example without boxes
is reviewed and empty, unless Saccade wrote it as unlabelled.

Written: ``SPLIT-00000-of-00001.record`` (as many shards as the option ``shards`` says, or else one for every 500
images), and ``label_map.pbtxt`` with ids from 1 in the order of the classes, so that ids do not change when classes are
added. The image keeps its own format. Coordinates are 32-bit floats in this format.

Source of the format: https://github.com/tensorflow/models/blob/master/research/object_detection (using your own
dataset).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from saccade.core.report import ConversionReport
from saccade.core.schema import Schema
from saccade.formats._common.options import parse_options
from saccade.formats._common.paths import source_tree
from saccade.formats.base import Detection, Format, Reader, Writer
from saccade.formats.tfrecord.read import TfRecordReader, is_candidate
from saccade.formats.tfrecord.records import is_tfrecord
from saccade.formats.tfrecord.write import TfRecordWriteOptions, TfRecordWriter


class TfRecord(Format):
    name: ClassVar[str] = "tfrecord"
    title: ClassVar[str] = "TFRecord"
    supports: ClassVar[str] = "boxes; crowd, difficult, truncated; scores; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            files = [source]
        else:
            files = [source / file for file in source_tree(source).files if is_candidate(file)]
        shard = next((file for file in files if is_tfrecord(file)), None)
        if shard is None:
            return Detection(False, "there is no file that begins with a TFRecord")
        return Detection(True, f"{shard.name} begins with a TFRecord")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        # The options of writing are accepted, without effect.
        parse_options(TfRecordWriteOptions, options, "TFRecord")
        return TfRecordReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        """Return a writer; see :class:`TfRecordWriteOptions`."""
        parsed = parse_options(TfRecordWriteOptions, options, "TFRecord")
        return TfRecordWriter(schema, destination, report, parsed)


FORMAT = TfRecord()
