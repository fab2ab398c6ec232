"""Metrics and error analysis for detection, segmentation, keypoints and classification."""
