"""CVAT."""

from saccade.formats.cvat.read import FORMAT

__all__ = ["FORMAT"]
