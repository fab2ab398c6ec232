"""Saccade: the computer-vision loop in one program."""

__version__ = "0.1.0"
