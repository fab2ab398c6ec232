"""YOLO."""

from saccade.formats.yolo.read import FORMAT

__all__ = ["FORMAT"]
