"""LabelMe."""

from saccade.formats.labelme.format import FORMAT

__all__ = ["FORMAT"]
