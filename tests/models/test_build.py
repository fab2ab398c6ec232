"""Models from specifications: shapes, errors, losses, artifacts."""

from __future__ import annotations

import json
import pickle
import struct
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from tests.support.shape_models import classifier, detector

from saccade.core.errors import NotFoundError, RecipeError, SaccadeError
from saccade.models.artifact import build_manifest, load_model
from saccade.models.components.encoders import backbone_names
from saccade.models.components.tood_head import DenseOutputs
from saccade.models.factory import VisionModel, build_model
from saccade.models.preprocess import PADDING_RGB, normalize
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
        {
            "type": "timm",
            "name": "swin_tiny_patch4_window7_224",  # gives its channels last
            "args": {"img_size": 96, "embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1]},
        },
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
    ("changes", "error", "message"),
    [
        ({"encoder": {"type": "timm", "name": "resnet81"}}, RecipeError, "resnet"),
        ({"encoder": {"type": "timm", "name": "resnet18", "strides": [3]}}, RecipeError, "stride 3"),
        ({"encoder": {"type": "timm", "name": "resnet18", "args": {"no_such": 1}}}, RecipeError, "resnet18"),
        ({"encoder": {"type": "cps"}}, NotFoundError, "csp"),
        ({"encoder": {"type": "csp", "width": [1]}}, RecipeError, "widths"),
        ({"encoder": {"type": "csp", "widths": [8, 16], "depths": [1]}}, RecipeError, "same length"),
        ({"encoder": {"type": "csp", "activation": "gelu"}}, RecipeError, "silu"),
        ({"encoder": {"type": "csp", "widths": [8, 0], "depths": [1, 1]}}, RecipeError, r"widths\.1"),
        ({"encoder": {"type": "csp", "widths": [8, 8], "depths": [1, -1]}}, RecipeError, r"depths\.1"),
        ({"encoder": {"type": "timm", "name": "resnet10t", "strides": [32, 8]}}, RecipeError, "finest comes first"),
        ({"encoder": {"type": "timm", "name": "resnet10t", "strides": []}}, RecipeError, "strides"),
        ({"encoder": {"type": "timm", "name": "resnet10t", "strides": [4, 16]}}, RecipeError, "bottom_up"),
        ({"encoder": {"type": "timm", "name": "resnet10t", "args": {"act_layer": "no"}}}, RecipeError, "resnet10t"),
        ({"encoder": {"type": "timm", "name": "resnet10t", "args": {"in_chans": 1}}}, RecipeError, "in_chans"),
        ({"neck": {"type": "fpn", "channels": 2}}, RecipeError, "channels"),
        ({"heads": {"objects": {"type": "dense_boxes", "bins": 2}}}, RecipeError, "bins"),
    ],
)
def test_invalid_settings_are_named(changes: dict[str, Any], error: type[SaccadeError], message: str) -> None:
    with pytest.raises(error, match=message):
        build_model(spec(**changes), {"objects": 3})


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 130), st.integers(1, 130), st.sampled_from(["csp", "timm"]))
def test_images_of_any_size_are_padded_on_the_right_and_at_the_bottom(width: int, height: int, encoder: str) -> None:
    """Outputs equal those of an image that was padded with the colour of the letterbox before."""
    model = odd_size_model(encoder)
    pixels = np.random.default_rng(width * height).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    padded = np.full((1, -(-height // 32) * 32, -(-width // 32) * 32, 3), PADDING_RGB, dtype=np.uint8)
    padded[:, :height, :width] = pixels
    with torch.no_grad():
        actual, expected = (
            model(normalize(model.spec.input, torch.from_numpy(images), torch.device("cpu")))["objects"]
            for images in (pixels, padded)
        )
    assert torch.equal(actual.anchors, expected.anchors)
    torch.testing.assert_close(actual.class_logits, expected.class_logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(actual.distance_logits, expected.distance_logits, atol=1e-4, rtol=1e-4)


@cache
def odd_size_model(encoder: str) -> VisionModel:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"input": {"size": [333, 250]}}
    changes = sizes if encoder == "csp" else {**sizes, "encoder": {"type": "timm", "name": "resnet10t"}}
    return build_model(spec(**changes), {"objects": 2}).eval()


def test_an_encoder_of_a_fixed_size_says_so() -> None:
    encoder = {"type": "timm", "name": "vit_tiny_patch16_224", "strides": [16]}
    with pytest.raises(
        RecipeError, match=r"'vit_tiny_patch16_224' does not take images of 96 x 96 pixels.*img_size: \[96, 96\]"
    ):
        build_model(spec(encoder=encoder), {"objects": 2})(torch.zeros(1, 3, 96, 96))
    fitting = {**encoder, "args": {"img_size": [96, 96]}}
    outputs = build_model(spec(encoder=fitting), {"objects": 2})(torch.zeros(1, 3, 96, 96))
    assert outputs["objects"].class_logits.shape == (1, 36, 2)


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
    """Train on one batch with a falling learning rate; return the first and the last loss.

    Afterwards the running statistics of batch norm are updated, so that evaluation mode gives the same outputs.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)
    losses = []
    for _ in range(steps):
        loss = sum(model.head(target).loss(model(images)[target], targets).values(), torch.zeros(()))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    with torch.no_grad():
        for _ in range(100):
            model(images)
    return losses[0], losses[-1]


@pytest.mark.slow
def test_a_detector_learns_one_image() -> None:
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


def test_a_classifier_learns_two_images() -> None:
    torch.manual_seed(0)
    model = build_model(classifier().model, {"label": 2})
    images = torch.stack([torch.full((3, 64, 64), -1.0), torch.full((3, 64, 64), 1.0)])
    targets = [{"class": torch.tensor(0)}, {"class": torch.tensor(1)}]
    first, last = learn(model, "label", images, targets, 60)
    assert last < 0.5 * first
    model.eval()
    predictions = model.head("label").predict(model(images)["label"])
    probabilities = torch.stack([entry.probabilities for entry in predictions if entry.probabilities is not None])
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2))
    assert probabilities.argmax(1).tolist() == [0, 1]


def test_an_encoded_box_decodes_to_itself() -> None:
    """Logits that encode a box decode to it, and minimise the losses."""
    head = build_model(detector().model, {"objects": 2}).head("objects")
    outputs = build_model(detector().model, {"objects": 2}).eval()(torch.zeros(1, 3, 96, 96))["objects"]
    box = torch.tensor([[20.3, 11.9, 61.2, 70.7]])
    sides = torch.cat([outputs.anchors - box[:, :2], box[:, 2:] - outputs.anchors], dim=1) / outputs.strides
    sides = sides.clamp(0.01, 14.98)
    steps = torch.arange(16.0)
    logits = (1 - (sides[..., None] - steps).abs()).clamp_min(1e-9).log()[None].detach().requires_grad_()
    sure = torch.full_like(outputs.class_logits, -9)
    inside = ((outputs.anchors > box[:, :2]) & (outputs.anchors < box[:, 2:])).all(dim=1)
    sure[0, inside, 0] = 9.0
    encoded = DenseOutputs(sure, logits, outputs.anchors, outputs.strides)
    (predictions,) = head.predict(encoded)
    assert predictions.boxes_xyxy is not None
    torch.testing.assert_close(predictions.boxes_xyxy, box, atol=1e-3, rtol=0)
    losses = head.loss(encoded, [truth(box[0].tolist())])
    assert losses["box"].item() < 1e-3
    torch.autograd.backward(losses["distribution"])
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-4


def test_non_maximum_suppression_is_by_class() -> None:
    model = build_model(detector().model, {"objects": 2})
    outputs = model.eval()(torch.zeros(1, 3, 96, 96))["objects"]
    outputs.class_logits.fill_(-9)
    outputs.distance_logits.zero_()
    outputs.distance_logits[..., 3] = 20  # every cell of a level predicts a box of 6 strides
    outputs.class_logits[0, :2, 0] = torch.tensor([3.0, 2.0])  # neighbours of one class
    outputs.class_logits[0, 1, 1] = 1.0
    (predictions,) = model.head("objects").predict(outputs)
    assert predictions.classes is not None
    assert predictions.classes.tolist() == [0, 1]


def test_an_artifact_predicts_the_same() -> None:
    torch.manual_seed(0)
    model = build_model(detector().model, {"objects": 2}).eval()
    manifest = json.loads(json.dumps(build_manifest(detector().model, {"objects": ["red", "blue"]}, "image")))
    loaded = load_model(manifest, save(model.state_dict()))
    assert loaded.class_names == {"objects": ("red", "blue")}
    images = torch.rand(1, 3, 96, 96)
    assert torch.equal(loaded.model(images)["objects"].class_logits, model(images)["objects"].class_logits)


@pytest.mark.parametrize(
    "weights", [b"", b"\x00" * 8, pickle.dumps({"a": 1}), save({"unknown": torch.zeros(1)})], ids=str
)
def test_invalid_weights_are_refused(weights: bytes) -> None:
    manifest = build_manifest(detector().model, {"objects": ["red", "blue"]}, "image")
    with pytest.raises(SaccadeError, match="do not fit"):
        load_model(manifest, weights)


def with_header(header: bytes, length: int | None = None) -> bytes:
    """Return a safetensors file with any header; ``length`` overrides the stated length of the header."""
    return struct.pack("<Q", len(header) if length is None else length) + header + b"\0" * 16


@pytest.mark.parametrize(
    "weights",
    [
        with_header(b"{}", 2**63),
        with_header(b"{}", 99),
        with_header(b"[]"),
        with_header(b'{"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 999]}}'),
        with_header(b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 16]}}'),
        with_header(b'{"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 16]}}'),
        with_header(b'{"a": {"dtype": "__reduce__", "shape": [4], "data_offsets": [0, 16]}}'),
        with_header(b'{"a": ' * 5000),
    ],
    ids=lambda weights: weights[8:40],
)
def test_invalid_safetensors_headers_are_refused(weights: bytes) -> None:
    manifest = build_manifest(detector().model, {"objects": ["red", "blue"]}, "image")
    with pytest.raises(SaccadeError, match="do not fit"):
        load_model(manifest, weights)


@pytest.mark.parametrize(
    ("changes", "classes", "message"),
    [
        ({"heads": {"objects": {"type": "dense_boxes", "bins": 2**62}}}, {"objects": ["a"]}, "cannot be built"),
        ({"encoder": {"type": "csp", "widths": [10**12], "depths": [1]}}, {"objects": ["a"]}, "widths"),
        ({"encoder": {"type": "os.system"}}, {"objects": ["a"]}, "no encoder"),
        ({"encoder": {"type": "timm", "name": "hf-hub:some/model"}}, {"objects": ["a"]}, "no timm backbone"),
        (
            {"encoder": {"type": "timm", "name": "resnet10t", "args": {"checkpoint_path": "/x"}}},
            {"objects": ["a"]},
            "cannot be set here",
        ),
        ({}, {"objects": []}, "classes.objects"),
        ({}, {"objects": ["a"], "more": ["b"]}, "'more'"),
        ({}, {}, "'objects'"),
    ],
)
def test_hostile_manifests_are_refused(changes: dict[str, Any], classes: Any, message: str) -> None:
    manifest = build_manifest(spec(**changes), classes, "image")
    with pytest.raises(SaccadeError, match=message):
        load_model(manifest, b"")


@pytest.mark.parametrize("damage", [{"format": 99}, {"model": {}}, {"classes": None}, {"model": None}])
def test_damaged_manifests_are_refused(damage: dict[str, Any]) -> None:
    manifest = {**build_manifest(detector().model, {"objects": ["red", "blue"]}, "image"), **damage}
    with pytest.raises(SaccadeError):
        load_model(manifest, b"")
    for name in damage:
        with pytest.raises(SaccadeError):
            load_model({key: value for key, value in manifest.items() if key != name}, b"")
