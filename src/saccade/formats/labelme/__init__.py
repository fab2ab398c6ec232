"""LabelMe."""

from saccade.formats.labelme.read import FORMAT

__all__ = ["FORMAT"]
