"""Data loading: batches depend only on the seed and the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.shape_models import SIDE, classifier, detector, reader

from saccade.core.errors import MediaError, RecipeError
from saccade.core.reader import Item, MemoryReader
from saccade.models.preprocess import fit_image, fit_transform_for, normalize
from saccade.models.spec import InputSpec
from saccade.training.job import build_training
from saccade.training.loader import Batch, BatchLoader


def loader(seed: int = 0, workers: int = 1) -> BatchLoader:
    return build_training(detector(f"train.seed={seed}", f"train.workers={workers}"), reader()).loader


def equal(first: Batch, second: Batch) -> bool:
    pairs = zip(first.targets["objects"], second.targets["objects"], strict=True)
    return torch.equal(first.images, second.images) and all(
        torch.equal(a[name], b[name]) for a, b in pairs for name in a
    )


def test_batches_do_not_depend_on_threads() -> None:
    single = list(loader(workers=1).iter_from_step(0, 5))
    threaded = list(loader(workers=4).iter_from_step(0, 5))
    assert len(single) == 5
    assert all(equal(a, b) for a, b in zip(single, threaded, strict=True))


def test_loading_from_a_step_gives_the_same_batches() -> None:
    all_batches = list(loader().iter_from_step(0, 6))
    resumed = list(loader().iter_from_step(4, 6))
    assert [equal(a, b) for a, b in zip(all_batches[4:], resumed, strict=True)] == [True, True]


def test_seed_and_epoch_change_the_batch() -> None:
    assert not equal(loader(0).batch(0), loader(1).batch(0))
    assert not equal(loader(0).batch(0), loader(0).batch(2))


def test_an_epoch_contains_every_sample() -> None:
    batch_loader = loader()
    for epoch in range(3):
        steps = range(epoch * batch_loader.steps_per_epoch, (epoch + 1) * batch_loader.steps_per_epoch)
        indices = [index for step in steps for _, _, index in batch_loader.indices(step)]
        assert set(indices) == set(range(8))


def with_values(items: Sequence[Item], changes: dict[str, dict[str, object]]) -> list[Item]:
    return [Item(item.key, {**item.values, **changes.get(item.key, {})}) for item in items]


def test_unlabelled_items_are_left_out_and_empty_ones_are_not() -> None:
    source = reader()
    items = with_values(list(source.items()), {"0": {"objects": None}, "1": {"objects": ()}})
    job = build_training(detector(), MemoryReader(source.schema, items, source._media))
    assert len(job.loader.dataset) == 7
    assert [len(sample.boxes_xyxy) for sample in map(job.loader.dataset.load, range(2))] == [0, 2]


def test_an_image_that_cannot_be_decoded_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    source = reader()
    first = next(source.items())
    broken = {**source._media, first["image"].digest: b"not an image"}
    job = build_training(detector(), MemoryReader(source.schema, list(source.items()), broken))
    assert job.loader.batch(0).images.shape == (4, SIDE, SIDE, 3)
    job.loader.dataset.load(0)
    assert "0 is left out of training" in caplog.text
    unreadable = MemoryReader(source.schema, list(source.items()), dict.fromkeys(source._media, b""))
    with pytest.raises(MediaError, match="No image"):
        build_training(detector(), unreadable).loader.batch(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.train=trian", "Did you mean train"),
        ("data.validate=valid", "Did you mean val"),
        ("data.split=splits", "no column 'splits'"),
        ("data.image=label", "not a column of images"),
        ("data.image=picture", "no column 'picture'"),
        ("model.heads={label: {type: dense_boxes}}", "learns a column of kind objects"),
        ("model.heads={split: {type: classes}}", "has no classes"),
        ("model.heads={label: {type: classes}, objects: {type: dense_boxes}}", "one head at a time"),
    ],
)
def test_recipes_that_do_not_fit_the_data_are_refused(change: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build_training(detector(change), reader())


def test_labels_of_a_classifier() -> None:
    batch = build_training(classifier(), reader()).loader.batch(0)
    assert {int(target["class"]) for target in batch.targets["label"]} <= {0, 1}
    assert batch.images.shape == (4, 64, 64, 3)


def test_micro_batches() -> None:
    batch = loader().batch(0)
    parts = list(batch.micro_batches(3))
    assert [len(part.images) for part in parts] == [2, 2]
    assert torch.equal(torch.cat([part.images for part in parts]), batch.images)


sizes = st.integers(20, 400)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, st.sampled_from(["letterbox", "stretch", "crop"]), st.floats(0, 1), st.floats(0, 1))
def test_boxes_round_trip_through_the_input(width: int, height: int, fit: str, x: float, y: float) -> None:
    spec = InputSpec.model_validate({"size": (160, 128), "fit": fit})
    transform = fit_transform_for(spec, (width, height))
    box = np.array([[x * width / 2, y * height / 2, width * (0.5 + x / 2), height * (0.5 + y / 2)]])
    matrix = transform.matrix()
    moved = box * matrix[[0, 1, 0, 1], [0, 1, 0, 1]] + matrix[[0, 1, 0, 1], 2]
    np.testing.assert_allclose(transform.boxes_to_image(moved), box, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(60, 500), st.integers(60, 500), st.sampled_from(["letterbox", "stretch"]))
def test_pixels_and_boxes_are_transformed_alike(width: int, height: int, fit: str) -> None:
    """A bright rectangle is at its transformed box, within 1.5 pixels."""
    spec = replace_size(InputSpec.model_validate({"fit": fit}), (160, 128))
    image = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = width // 4, height // 4, width * 3 // 4, height * 3 // 4
    image[y1:y2, x1:x2] = 255
    fitted, transform = fit_image(spec, image)
    inside = fitted[..., 0] > 180
    ys, xs = np.nonzero(inside)
    seen = np.array([[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]], float)
    matrix = transform.matrix()
    expected = np.array([[x1, y1, x2, y2]]) * matrix[[0, 1, 0, 1], [0, 1, 0, 1]] + matrix[[0, 1, 0, 1], 2]
    np.testing.assert_allclose(seen, expected, atol=1.5)


def replace_size(spec: InputSpec, size: tuple[int, int]) -> InputSpec:
    return spec.model_copy(update={"size": size})


def test_normalisation_equals_torchvision() -> None:
    from torchvision.transforms.v2.functional import normalize as torchvision_normalize

    spec = InputSpec()
    images = torch.randint(0, 256, (2, 8, 9, 3), dtype=torch.uint8)
    expected = torchvision_normalize(images.permute(0, 3, 1, 2).float() / 255, list(spec.mean), list(spec.std))
    torch.testing.assert_close(normalize(spec, images, torch.device("cpu")), expected, atol=1e-5, rtol=1e-5)


def test_pixels_are_resampled_once() -> None:
    """Geometric steps compose: four quarter turns leave the pixels unchanged."""
    sample = build_training(detector(), reader()).loader.dataset.load(0).render()
    quarter = np.array([[0.0, -1, SIDE], [1, 0, 0]])
    turned = sample
    for _ in range(4):
        turned = turned.transformed(quarter)
    np.testing.assert_allclose(turned.boxes_xyxy, sample.boxes_xyxy, atol=1e-9)
    assert np.abs(replace(turned).render().image.astype(int) - sample.image).max() <= 1
