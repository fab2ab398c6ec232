"""YOLO."""

from saccade.formats.yolo.format import FORMAT

__all__ = ["FORMAT"]
