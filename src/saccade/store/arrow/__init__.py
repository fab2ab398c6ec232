"""Conversion between Python values and Arrow columns."""
