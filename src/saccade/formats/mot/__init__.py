"""MOT Challenge: see :mod:`saccade.formats.mot.boxes`; and MOTS with masks: see :mod:`saccade.formats.mot.masks`."""

from saccade.formats.mot.boxes import FORMAT

__all__ = ["FORMAT"]
