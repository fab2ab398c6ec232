"""Non-maximum suppression."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

_LIBRARY_SUFFIXES = (".so", ".dylib", ".pyd")
_MAX_BOXES_AT_ONCE = 1000
"""The time grows with the square of the number of boxes: above this, each class on its own is faster."""


@cache
def _load_operators() -> None:
    """Load the operators of torchvision, without its Python modules if possible.

    ``import torchvision`` imports the compiler of torch, which takes longer than torch itself; loading the library of
    its operators takes milliseconds.
    """
    spec = find_spec("torchvision")
    folders = [] if spec is None else spec.submodule_search_locations or []
    libraries = [path for folder in folders for path in sorted(Path(folder).glob("_C*"))]
    for library in libraries:
        if library.suffix in _LIBRARY_SUFFIXES:
            try:
                torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
            except OSError:  # it needs a library that torchvision finds
                break
            return
    import torchvision  # noqa: F401 (loads the operators)


def batched_nms(boxes_xyxy: Tensor, scores: Tensor, classes: Tensor, iou_threshold: float) -> Tensor:
    """Suppress boxes that overlap one of the same class with a higher score.

    Args:
        boxes_xyxy: Boxes (N, 4).
        scores: Scores (N,).
        classes: Class indices (N,); boxes of different classes never suppress each other.
        iou_threshold: A box is suppressed if its IoU with a better one is larger.

    Returns:
        Indices of the remaining boxes, by decreasing score. They equal those of ``torchvision.ops.batched_nms``.
    """
    if not len(boxes_xyxy):
        return torch.empty(0, dtype=torch.int64, device=boxes_xyxy.device)
    _load_operators()
    if len(boxes_xyxy) <= _MAX_BOXES_AT_ONCE:
        # The boxes of each class are moved to a region of their own, so that one call handles all classes.
        offsets = classes.to(boxes_xyxy) * (boxes_xyxy.max() + 1)
        kept: Tensor = torch.ops.torchvision.nms(boxes_xyxy + offsets[:, None], scores, iou_threshold)
        return kept
    is_kept = torch.zeros_like(scores, dtype=torch.bool)
    for class_index in set(classes.tolist()):
        members = (classes == class_index).nonzero().squeeze(1)
        is_kept[members[torch.ops.torchvision.nms(boxes_xyxy[members], scores[members], iou_threshold)]] = True
    indices = is_kept.nonzero().squeeze(1)
    return indices[scores[indices].argsort(descending=True)]
