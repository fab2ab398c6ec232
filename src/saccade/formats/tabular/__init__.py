"""CSV tables of boxes: see :mod:`saccade.formats.csv_boxes` and :mod:`saccade.formats.openimages`."""
