"""TFRecord shards: see :mod:`saccade.formats.tfrecord.format`."""

from saccade.formats.tfrecord.format import FORMAT

__all__ = ["FORMAT"]
