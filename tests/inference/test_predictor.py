"""The predictor: independent of batches, ordered, tolerant of bad images, decoding in parallel with the model."""

from __future__ import annotations

import io
import threading
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from tests.support.shape_models import classifier, detector, draw

from saccade.core.errors import MediaError
from saccade.inference.predictor import Prediction, Predictor
from saccade.media.image import decode
from saccade.models.factory import build_model
from saccade.models.preprocess import PADDING_RGB, ImageArray, normalize


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.set_num_threads(1)
    torch.manual_seed(3)
    model = build_model(detector().model, {"objects": 2})
    for parameter in model.parameters():  # so that some cells predict objects
        parameter.data += 0.02 * torch.randn_like(parameter)
    return Predictor(model, {"objects": ["red", "blue"]}, batch_size=4, precision="fp32")


def image_of(number: int) -> ImageArray:
    image = draw(number)[0]
    return image[: 60 + 3 * number] if number % 2 else image


def broken() -> ImageArray:
    raise MediaError("It is broken.")


def boxes(prediction: Prediction) -> np.ndarray:
    rows = [(*obj.geometry.bounds_xyxy(), obj.score) for obj in prediction.objects["objects"]]
    return np.array(rows).reshape(-1, 5)


def test_predictions_do_not_depend_on_batches(predictor: Predictor) -> None:
    inputs = [(str(number), partial(image_of, number)) for number in range(10)]
    batched = list(predictor.predict(inputs, workers=3))
    assert [prediction.key for prediction in batched] == [key for key, _ in inputs]
    assert sum(len(boxes(prediction)) for prediction in batched) > 0
    for prediction, single in zip(batched, inputs, strict=True):
        (unbatched,) = predictor.predict([single])
        np.testing.assert_allclose(boxes(prediction), boxes(unbatched), atol=1e-3)


def test_boxes_are_inside_the_image_and_scores_above_the_threshold(predictor: Predictor) -> None:
    predictor.min_score = 0.02
    try:
        for number, prediction in enumerate(predictor.predict((str(n), partial(image_of, n)) for n in range(6))):
            height, width = image_of(number).shape[:2]
            assert prediction.size_wh == (width, height)
            rows = boxes(prediction)
            assert (rows[:, :4] >= 0).all()
            assert (rows[:, 2] <= width).all()
            assert (rows[:, 3] <= height).all()
            assert (rows[:, 4] >= 0.02).all()
    finally:
        predictor.min_score = 0.0


def test_boxes_of_an_odd_input_size_are_mapped_back(predictor: Predictor) -> None:
    """The padding to the stride of the model does not move boxes; the image is twice the input."""
    spec = detector("model.input.size=[101, 77]", "model.input.fit=stretch").model
    model = build_model(spec, {"objects": 2})
    model.load_state_dict(predictor.model.state_dict())
    odd = Predictor(model.eval(), {"objects": ["red", "blue"]}, precision="fp32")
    small = np.random.default_rng(0).integers(0, 256, (77, 101, 3), dtype=np.uint8)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    (prediction,) = odd.predict([("a", lambda: large)])
    padded = np.full((1, 96, 128, 3), PADDING_RGB, dtype=np.uint8)
    padded[:, :77, :101] = small
    with torch.no_grad():
        outputs = model(normalize(spec.input, torch.from_numpy(padded), odd.device))
    (expected,) = model.head("objects").predict(outputs["objects"])
    assert expected.boxes_xyxy is not None
    expected_boxes = np.clip(2 * expected.boxes_xyxy.double().numpy(), 0, [202, 154, 202, 154])
    has_area = (expected_boxes[:, 2:] > expected_boxes[:, :2]).all(axis=1)
    assert has_area.any()
    np.testing.assert_allclose(boxes(prediction)[:, :4], expected_boxes[has_area], atol=0.05)


def test_a_bad_image_does_not_stop_the_rest(predictor: Predictor) -> None:
    predictions = list(predictor.predict([("a", partial(image_of, 0)), ("b", broken), ("c", partial(image_of, 2))]))
    assert [(entry.key, str(entry.error) if entry.error else None) for entry in predictions] == [
        ("a", None),
        ("b", "It is broken."),
        ("c", None),
    ]
    assert [entry.key for entry in predictor.predict([("b", broken)])] == ["b"]
    assert list(predictor.predict([])) == []


def test_unexpected_errors_propagate(predictor: Predictor) -> None:
    def bug() -> ImageArray:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(predictor.predict([("a", bug)]))


def test_images_are_read_in_other_threads_while_the_model_runs(predictor: Predictor) -> None:
    threads: set[str] = set()
    read = 0

    def slow(number: int) -> ImageArray:
        nonlocal read
        threads.add(threading.current_thread().name)
        read += 1
        return image_of(number)

    results = predictor.predict(((str(n), partial(slow, n)) for n in range(40)), workers=2)
    next(results)
    assert all(name.startswith("saccade-decode") for name in threads)
    assert 4 < read < 40, "a few images are prefetched, not all"
    results.close()  # type: ignore[attr-defined]  # a generator


def test_the_model_runs_while_the_next_images_are_read(predictor: Predictor) -> None:
    """The model waits until a read of the second batch starts, and that read until the model has started."""
    running, reading = threading.Event(), threading.Event()
    waits: list[bool] = []

    def meet(number: int) -> ImageArray:
        if number == 5:
            reading.set()
            waits.append(running.wait(20))
        return image_of(number)

    def wait(*_: object) -> None:
        running.set()
        waits.append(reading.wait(20))

    hook = predictor.model.register_forward_pre_hook(wait)
    try:
        predictions = list(predictor.predict(((str(n), partial(meet, n)) for n in range(8)), workers=1))
    finally:
        hook.remove()
    assert len(predictions) == 8
    assert waits == [True] * 3


def rotated_png(pixels: ImageArray, orientation: int) -> bytes:
    """Return a PNG as a rotated camera writes it: rotated pixels, and the EXIF orientation that undoes it."""
    backwards = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    image = Image.fromarray(pixels).transpose(backwards[orientation])
    exif = image.getexif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "png", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_is_applied_first(predictor: Predictor, orientation: int) -> None:
    upright = image_of(3)
    data = rotated_png(upright, orientation)
    actual, expected = predictor.predict([("rotated", lambda: decode(data)), ("upright", lambda: upright)])
    assert actual.size_wh == expected.size_wh == (96, 69)
    np.testing.assert_array_equal(boxes(actual), boxes(expected))


def test_probabilities_of_a_classifier() -> None:
    torch.manual_seed(0)
    predictor = Predictor(build_model(classifier().model, {"label": 3}), {"label": ["a", "b", "c"]}, precision="fp32")
    (prediction,) = predictor.predict([("x", partial(image_of, 0))])
    assert sum(prediction.probabilities["label"]) == pytest.approx(1, abs=1e-5)
    assert len(prediction.probabilities["label"]) == 3


def test_training_mode_is_restored(predictor: Predictor) -> None:
    predictor.model.train()
    list(predictor.predict([("a", partial(image_of, 0))]))
    assert predictor.model.training
    predictor.model.eval()
