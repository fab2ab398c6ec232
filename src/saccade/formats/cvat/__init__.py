"""CVAT."""

from saccade.formats.cvat.format import FORMAT

__all__ = ["FORMAT"]
