"""Pascal VOC."""

from saccade.formats.voc.format import FORMAT

__all__ = ["FORMAT"]
