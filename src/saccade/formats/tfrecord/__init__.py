"""TFRecord shards: see :mod:`saccade.formats.tfrecord.read`."""

from saccade.formats.tfrecord.read import FORMAT

__all__ = ["FORMAT"]
