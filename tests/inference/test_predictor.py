"""The predictor: batches change nothing, order is kept, bad images do not stop it, decoding runs beside the model."""

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
from saccade.models.preprocess import ImageArray


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.set_num_threads(1)
    torch.manual_seed(3)
    model = build_model(detector().model, {"objects": 2})
    for parameter in model.parameters():  # so that some cells are sure of something
        parameter.data += 0.02 * torch.randn_like(parameter)
    return Predictor(model, {"objects": ["red", "blue"]}, batch_size=4, precision="fp32")


def picture(number: int) -> ImageArray:
    image = draw(number)[0]
    return image[: 60 + 3 * number] if number % 2 else image


def broken() -> ImageArray:
    raise MediaError("It is broken.")


def boxes(prediction: Prediction) -> np.ndarray:
    found = [(*one.geometry.bounds_xyxy(), one.score) for one in prediction.objects["objects"]]
    return np.array(found).reshape(-1, 5)


def test_batches_change_nothing(predictor: Predictor) -> None:
    inputs = [(str(number), partial(picture, number)) for number in range(10)]
    together = list(predictor.predict(inputs, workers=3))
    assert [prediction.key for prediction in together] == [key for key, _ in inputs]
    assert sum(len(boxes(prediction)) for prediction in together) > 0
    for prediction, single in zip(together, inputs, strict=True):
        (alone,) = predictor.predict([single])
        np.testing.assert_allclose(boxes(prediction), boxes(alone), atol=1e-3)


def test_boxes_lie_within_the_image_and_scores_above_the_least(predictor: Predictor) -> None:
    predictor.min_score = 0.02
    try:
        for number, prediction in enumerate(predictor.predict((str(n), partial(picture, n)) for n in range(6))):
            height, width = picture(number).shape[:2]
            assert prediction.size_wh == (width, height)
            found = boxes(prediction)
            assert (found[:, :4] >= 0).all()
            assert (found[:, 2] <= width).all()
            assert (found[:, 3] <= height).all()
            assert (found[:, 4] >= 0.02).all()
    finally:
        predictor.min_score = 0.0


def test_a_bad_image_does_not_stop_the_rest(predictor: Predictor) -> None:
    found = list(predictor.predict([("a", partial(picture, 0)), ("b", broken), ("c", partial(picture, 2))]))
    assert [(one.key, str(one.error) if one.error else None) for one in found] == [
        ("a", None),
        ("b", "It is broken."),
        ("c", None),
    ]
    assert [one.key for one in predictor.predict([("b", broken)])] == ["b"]
    assert list(predictor.predict([])) == []


def test_another_error_ends_it(predictor: Predictor) -> None:
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
        return picture(number)

    results = predictor.predict(((str(n), partial(slow, n)) for n in range(40)), workers=2)
    next(results)
    assert all(name.startswith("saccade-decode") for name in threads)
    assert 4 < read < 40, "a few are read ahead, and not all of them"
    results.close()  # type: ignore[attr-defined]  # a generator


def test_the_model_runs_while_the_next_images_are_read(predictor: Predictor) -> None:
    """The model waits for a read of the second batch to begin, and that read waits for the model to have begun."""
    running, reading = threading.Event(), threading.Event()
    met: list[bool] = []

    def meet(number: int) -> ImageArray:
        if number == 5:
            reading.set()
            met.append(running.wait(20))
        return picture(number)

    def wait(*_: object) -> None:
        running.set()
        met.append(reading.wait(20))

    hook = predictor.model.register_forward_pre_hook(wait)
    try:
        found = list(predictor.predict(((str(n), partial(meet, n)) for n in range(8)), workers=1))
    finally:
        hook.remove()
    assert len(found) == 8
    assert met == [True] * 3


def turned(pixels: ImageArray, orientation: int) -> bytes:
    """A PNG as a camera held otherwise would write it: pixels turned, and EXIF that says how to turn them back."""
    backwards = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    image = Image.fromarray(pixels).transpose(backwards[orientation])
    exif = image.getexif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "png", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_is_applied_first(predictor: Predictor, orientation: int) -> None:
    upright = picture(3)
    data = turned(upright, orientation)
    found, expected = predictor.predict([("turned", lambda: decode(data)), ("upright", lambda: upright)])
    assert found.size_wh == expected.size_wh == (96, 69)
    np.testing.assert_array_equal(boxes(found), boxes(expected))


def test_probabilities_of_a_classifier() -> None:
    torch.manual_seed(0)
    made = Predictor(build_model(classifier().model, {"label": 3}), {"label": ["a", "b", "c"]}, precision="fp32")
    (found,) = made.predict([("x", partial(picture, 0))])
    assert sum(found.probabilities["label"]) == pytest.approx(1, abs=1e-5)
    assert len(found.probabilities["label"]) == 3


def test_training_mode_is_left_as_it_was(predictor: Predictor) -> None:
    predictor.model.train()
    list(predictor.predict([("a", partial(picture, 0))]))
    assert predictor.model.training
    predictor.model.eval()
