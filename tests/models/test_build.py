"""Models from specifications: shapes, errors, losses, artifacts."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
import torch
from safetensors.torch import save
from tests.shapes import classifier, detector

from saccade.core.errors import NotFoundError, RecipeError, SaccadeError
from saccade.models.artifact import describe, load_model
from saccade.models.build import VisionModel, build_model
from saccade.models.components.encoders import backbone_names
from saccade.models.spec import ModelSpec


def spec(**changes: Any) -> ModelSpec:
    return ModelSpec.model_validate({**detector().model.model_dump(), **changes})


def truth(*boxes: list[float]) -> dict[str, torch.Tensor]:
    return {
        "boxes_xyxy": torch.tensor(boxes).reshape(-1, 4),
        "classes": torch.zeros(len(boxes), dtype=torch.long),
        "class": torch.tensor(0),
    }


@pytest.mark.parametrize(
    "encoder",
    [
        {"type": "csp", "widths": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "activation": "relu"},
        {"type": "timm", "name": "resnet10t"},
        {"type": "timm", "name": "mobilenetv3_small_050"},
    ],
)
def test_any_encoder_with_neck_and_head(encoder: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = build_model(spec(encoder=encoder), {"objects": 3})
    outputs = model(torch.zeros(2, 3, 96, 96))["objects"]
    cells = sum((96 // stride) ** 2 for stride in (8, 16, 32))
    assert outputs.class_logits.shape == (2, cells, 3)
    assert outputs.distance_logits.shape == (2, cells, 4, 16)
    assert outputs.anchors.min() == 4
    assert outputs.anchors.max() == 92
    for predictions in model.head("objects").predict(outputs):
        assert predictions.boxes_xyxy is not None
        assert predictions.boxes_xyxy.shape[1] == 4


def test_backbones_are_listed() -> None:
    names = backbone_names()
    assert {"csp", "timm/resnet18"} <= set(names)
    assert len(names) > 500


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"encoder": {"type": "timm", "name": "resnet81"}}, RecipeError, "resnet"),
        ({"encoder": {"type": "timm", "name": "resnet18", "strides": [3]}}, RecipeError, "stride 3"),
        ({"encoder": {"type": "timm", "name": "resnet18", "args": {"no_such": 1}}}, RecipeError, "resnet18"),
        ({"encoder": {"type": "cps"}}, NotFoundError, "csp"),
        ({"encoder": {"type": "csp", "width": [1]}}, RecipeError, "widths"),
        ({"encoder": {"type": "csp", "widths": [8, 16], "depths": [1]}}, RecipeError, "one length"),
        ({"encoder": {"type": "csp", "activation": "gelu"}}, RecipeError, "silu"),
        ({"neck": {"type": "fpn", "channels": 2}}, RecipeError, "channels"),
        ({"heads": {"objects": {"type": "dense_boxes", "bins": 2}}}, RecipeError, "bins"),
        ({"input": {"size": [100, 96]}}, RecipeError, "96 x 96"),
    ],
)
def test_wrong_parts_are_named(changes: dict[str, Any], error: type[SaccadeError], says: str) -> None:
    with pytest.raises(error, match=says):
        build_model(spec(**changes), {"objects": 3})


def test_losses_are_finite_with_and_without_objects() -> None:
    torch.manual_seed(0)
    model = build_model(detector().model, {"objects": 2})
    images = torch.rand(3, 3, 96, 96)
    targets = [truth([10.0, 10, 50, 60], [5, 5, 9, 90]), truth(), truth([0.0, 0, 96, 96])]
    losses = model.head("objects").loss(model(images)["objects"], targets)
    assert set(losses) == {"class", "box", "distribution"}
    assert all(torch.isfinite(loss) for loss in losses.values())
    empty = model.head("objects").loss(model(images[:1])["objects"], [truth()])
    assert empty["box"].item() == empty["distribution"].item() == 0
    torch.autograd.backward(sum(empty.values(), torch.zeros(())))
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def learn(model: VisionModel, target: str, images: torch.Tensor, targets: Any, steps: int) -> tuple[float, float]:
    """The loss before and after some steps on one batch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    found = []
    for _ in range(steps):
        loss = sum(model.head(target).loss(model(images)[target], targets).values(), torch.zeros(()))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        found.append(loss.item())
    return found[0], found[-1]


def test_a_detector_learns_one_picture() -> None:
    torch.manual_seed(0)
    model = build_model(detector().model, {"objects": 2})
    images = torch.full((2, 3, 96, 96), -0.2)
    images[:, 0, 20:60, 30:70] = 2.0
    targets = [truth([30.0, 20, 70, 60])] * 2
    first, last = learn(model, "objects", images, targets, 80)
    assert last < 0.3 * first
    model.eval()
    best = model.head("objects").predict(model(images)["objects"])[0]
    assert best.boxes_xyxy is not None
    torch.testing.assert_close(best.boxes_xyxy[0], torch.tensor([30.0, 20, 70, 60]), atol=4, rtol=0)


def test_a_classifier_learns_two_pictures() -> None:
    torch.manual_seed(0)
    model = build_model(classifier().model, {"label": 2})
    images = torch.stack([torch.full((3, 64, 64), -1.0), torch.full((3, 64, 64), 1.0)])
    targets = [{"class": torch.tensor(0)}, {"class": torch.tensor(1)}]
    first, last = learn(model, "label", images, targets, 60)
    assert last < 0.5 * first
    model.eval()
    found = model.head("label").predict(model(images)["label"])
    probabilities = torch.stack([one.probabilities for one in found if one.probabilities is not None])
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2))
    assert probabilities.argmax(1).tolist() == [0, 1]


def test_non_maximum_suppression_is_by_class() -> None:
    model = build_model(detector().model, {"objects": 2})
    outputs = model.eval()(torch.zeros(1, 3, 96, 96))["objects"]
    outputs.class_logits.fill_(-9)
    outputs.distance_logits.zero_()
    outputs.distance_logits[..., 3] = 20  # every cell of a level predicts a box of 6 strides
    outputs.class_logits[0, :2, 0] = torch.tensor([3.0, 2.0])  # neighbours of one class
    outputs.class_logits[0, 1, 1] = 1.0
    (found,) = model.head("objects").predict(outputs)
    assert found.classes is not None
    assert found.classes.tolist() == [0, 1]


def test_an_artifact_predicts_the_same() -> None:
    torch.manual_seed(0)
    model = build_model(detector().model, {"objects": 2}).eval()
    manifest = json.loads(json.dumps(describe(detector().model, {"objects": ["red", "blue"]}, "image")))
    loaded = load_model(manifest, save(model.state_dict()))
    assert loaded.class_names == {"objects": ("red", "blue")}
    images = torch.rand(1, 3, 96, 96)
    assert torch.equal(loaded.model(images)["objects"].class_logits, model(images)["objects"].class_logits)


@pytest.mark.parametrize(
    "weights", [b"", b"\x00" * 8, pickle.dumps({"a": 1}), save({"unknown": torch.zeros(1)})], ids=str
)
def test_other_weights_are_refused(weights: bytes) -> None:
    manifest = describe(detector().model, {"objects": ["red", "blue"]}, "image")
    with pytest.raises(SaccadeError, match="do not fit"):
        load_model(manifest, weights)


@pytest.mark.parametrize("damage", [{"format": 99}, {"model": {}}, {"classes": None}, {"model": None}])
def test_other_manifests_are_refused(damage: dict[str, Any]) -> None:
    manifest = {**describe(detector().model, {"objects": ["red", "blue"]}, "image"), **damage}
    with pytest.raises(SaccadeError):
        load_model(manifest, b"")
    for name in damage:
        with pytest.raises(SaccadeError):
            load_model({key: value for key, value in manifest.items() if key != name}, b"")
