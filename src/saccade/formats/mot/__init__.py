"""MOT Challenge: see :mod:`saccade.formats.mot.format`; and MOTS with masks: see :mod:`saccade.formats.mots`."""

from saccade.formats.mot.format import FORMAT

__all__ = ["FORMAT"]
