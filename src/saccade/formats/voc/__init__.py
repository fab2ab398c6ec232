"""Pascal VOC."""

from saccade.formats.voc.read import FORMAT

__all__ = ["FORMAT"]
