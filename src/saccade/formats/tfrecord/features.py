"""Names of the features of an example."""

from __future__ import annotations

BOX_SIDES = tuple(f"image/object/bbox/{name}" for name in ("xmin", "ymin", "xmax", "ymax"))
"""Sides of boxes, as shares of the image's width and height."""
FLAGS = {
    "image/object/is_crowd": "crowd",
    "image/object/difficult": "difficult",
    "image/object/truncated": "truncated",
}
"""Attributes of objects by the features for them, which are 0 or 1."""
SCORE = "image/object/score"
"""Scores of objects; one below 0 means that the object has none."""
CLASS_TEXT = "image/object/class/text"
CLASS_LABEL = "image/object/class/label"
SPLIT_FEATURE = "saccade/split"
"""Split of the image, which the name of the file expresses only if it is train, val or test."""
LABELLED = "saccade/labelled"
"""[0] if the image is unlabelled; only Saccade writes this feature."""
