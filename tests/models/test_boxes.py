"""Box operations, and the assignment of ground-truth boxes to anchors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import batched_nms as torchvision_batched_nms
from torchvision.ops import box_iou, complete_box_iou_loss

from saccade.models.assignment import Assignment, assign_task_aligned
from saccade.models.box_ops import boxes_from_distances, complete_iou, pairwise_iou
from saccade.models.nms import batched_nms


def random_boxes(seed: int, count: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    low = random.uniform(0, 60, (count, 2))
    return torch.from_numpy(np.concatenate([low, low + random.uniform(1, 40, (count, 2))], axis=1)).float()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 8), st.integers(1, 8))
def test_iou_equals_torchvision(seed: int, first: int, second: int) -> None:
    a, b = random_boxes(seed, first), random_boxes(seed + 1, second)
    torch.testing.assert_close(pairwise_iou(a[None], b[None])[0], box_iou(a, b))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 8))
def test_complete_iou_equals_torchvision(seed: int, count: int) -> None:
    a, b = random_boxes(seed, count), random_boxes(seed + 1, count)
    torch.testing.assert_close(1 - complete_iou(a, b), complete_box_iou_loss(a, b), atol=1e-5, rtol=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.one_of(st.integers(0, 60), st.integers(990, 1500)), st.integers(1, 5))
def test_suppression_equals_torchvision(seed: int, count: int, class_count: int) -> None:
    boxes = random_boxes(seed, count)
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(count, generator=generator)
    classes = torch.randint(class_count, (count,), generator=generator)
    assert batched_nms(boxes, scores, classes, 0.5).equal(torchvision_batched_nms(boxes, scores, classes, 0.5))


def test_distances_give_boxes() -> None:
    anchors, distances = torch.tensor([[10.0, 20.0]]), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert boxes_from_distances(anchors, distances).tolist() == [[9.0, 18.0, 13.0, 24.0]]


def assigned(seed: int, truths: int, top_k: int = 4) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(10), torch.arange(10), indexing="ij")
    anchors = (torch.stack([x, y], dim=-1).reshape(-1, 2).float() + 0.5) * 10
    boxes = boxes_from_distances(anchors, torch.rand(1, 100, 4, generator=random) * 30 + 1)
    scores = torch.rand(1, 100, 3, generator=random)
    truth = random_boxes(seed, truths)[None]
    classes = torch.randint(0, 3, (1, truths), generator=random)
    assignment = assign_task_aligned(
        scores,
        boxes,
        anchors,
        truth,
        classes,
        torch.ones(1, truths, dtype=torch.bool),
        top_k=top_k,
        score_power=0.5,
        iou_power=6.0,
    )
    return assignment.box_index[0], assignment.quality[0], anchors, boxes[0], truth[0]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 10))
def test_assignment(seed: int, truths: int, top_k: int) -> None:
    index, quality, anchors, boxes, truth = assigned(seed, truths, top_k)
    is_assigned = index >= 0
    assert ((quality > 0) <= is_assigned).all()
    assert (quality <= 1 + 1e-5).all()
    centres = anchors[is_assigned]
    assigned_boxes = truth[index[is_assigned]]
    assert ((centres > assigned_boxes[:, :2]) & (centres < assigned_boxes[:, 2:])).all(), "an anchor lies in its box"
    iou = box_iou(truth, boxes)
    for number in range(truths):
        anchors_of_box = index == number
        assert anchors_of_box.sum() <= top_k
        best_iou = float(iou[number, anchors_of_box].max()) if anchors_of_box.any() else 0.0
        if best_iou > 0.1:  # below, its sixth power is lost in rounding
            assert quality[anchors_of_box].max() == pytest.approx(best_iou, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 5), min_size=2, max_size=4))
def test_batched_assignment_equals_single_images(seed: int, counts: list[int]) -> None:
    random = torch.Generator().manual_seed(seed)
    max_boxes = max(1, *counts)
    anchors = torch.rand(60, 2, generator=random) * 100
    boxes = boxes_from_distances(anchors, torch.rand(len(counts), 60, 4, generator=random) * 30)
    scores = torch.rand(len(counts), 60, 3, generator=random)
    truth = torch.stack([random_boxes(seed + number, max_boxes) for number in range(len(counts))])
    classes = torch.randint(0, 3, (len(counts), max_boxes), generator=random)
    present = torch.arange(max_boxes)[None] < torch.tensor(counts)[:, None]

    def assign(images: slice, width: int) -> Assignment:
        return assign_task_aligned(
            scores[images],
            boxes[images],
            anchors,
            truth[images, :width],
            classes[images, :width],
            present[images, :width],
            top_k=5,
            score_power=0.5,
            iou_power=6.0,
        )

    batched = assign(slice(None), max_boxes)
    for number, count in enumerate(counts):
        single = assign(slice(number, number + 1), max(1, count))
        assert torch.equal(batched.box_index[number], single.box_index[0])
        torch.testing.assert_close(batched.quality[number], single.quality[0])
        assert count or (single.box_index == -1).all()


def test_images_without_boxes_are_background() -> None:
    assignment = assign_task_aligned(
        torch.rand(2, 5, 3),
        torch.rand(2, 5, 4),
        torch.rand(5, 2),
        torch.zeros(2, 1, 4),
        torch.zeros(2, 1, dtype=torch.long),
        torch.zeros(2, 1, dtype=torch.bool),
        top_k=3,
        score_power=0.5,
        iou_power=6.0,
    )
    assert (assignment.box_index == -1).all()
    assert (assignment.quality == 0).all()
