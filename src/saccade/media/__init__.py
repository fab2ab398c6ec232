"""Decode, encode and draw images and videos."""
