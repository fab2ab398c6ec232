"""Inference: running models on new images."""
