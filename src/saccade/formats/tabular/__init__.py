"""CSV tables of boxes: see :mod:`saccade.formats.tabular.plain` and :mod:`saccade.formats.tabular.openimages`."""
