"""Decode and encode: images, drawing."""
