"""Panels that ship with Saccade."""
