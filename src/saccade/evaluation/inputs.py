"""What a detection evaluation compares: images, classes, true and predicted annotations, numbered as COCO does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from saccade.core.errors import InvalidValueError
from saccade.core.objects import Object, Objects
from saccade.evaluation.annotations import (
    Annotation,
    ObjectKind,
    check_keys,
    prediction_annotation,
    truth_annotation,
)
from saccade.evaluation.similarity import keypoint_sigmas


@dataclass(frozen=True, slots=True)
class Problem:
    """Annotations with ``id``, ``image_id``, ``category_id``; images and categories with ``id``.

    ``unlabelled`` counts images left out because nobody labelled them; ``other_truths`` and ``other_predictions``
    count objects left out because their class is not evaluated.
    """

    kind: ObjectKind
    images: Sequence[Mapping[str, Any]]
    categories: Sequence[Mapping[str, Any]]
    truths: Sequence[Annotation]
    predictions: Sequence[Annotation]
    sigmas: tuple[float, ...] = field(default=())
    unlabelled: int = 0
    other_truths: int = 0
    other_predictions: int = 0


def class_names(truth: Mapping[str, Objects | None], predictions: Mapping[str, Objects]) -> tuple[str, ...]:
    """All classes that occur in labelled images, sorted."""
    labelled = {key: things for key, things in truth.items() if things is not None}
    true_names = {thing.class_name for things in labelled.values() for thing in things}
    return tuple(sorted(true_names | {thing.class_name for key in labelled for thing in predictions.get(key) or ()}))


def _numbered(annotation: Annotation, number: int, image: int, category: int) -> Annotation:
    return annotation | {"id": number, "image_id": image, "category_id": category}


def _located(key: str, thing: Object, error: InvalidValueError) -> InvalidValueError:
    return InvalidValueError(f"Object '{thing.id}' of '{key}': {error.message}", hint=error.hint)


def problem_of_objects(
    truth: Mapping[str, Objects | None],
    predictions: Mapping[str, Objects],
    sizes_wh: Mapping[str, tuple[int, int]],
    *,
    kind: ObjectKind,
    classes: Sequence[str] | None,
    sigmas: Sequence[float] | None,
) -> Problem:
    """Number images in the order of ``truth``, classes in the order given; see ``evaluate_objects`` for the rules."""
    check_keys(truth, predictions)
    names = class_names(truth, predictions) if classes is None else tuple(classes)
    if len(set(names)) != len(names):
        raise InvalidValueError(f"The classes to evaluate repeat a name: {names}.", hint="Name each class once.")
    numbers = {name: number for number, name in enumerate(names, start=1)}
    labelled = {key: things for key, things in truth.items() if things is not None}
    truths: list[Annotation] = []
    predicted: list[Annotation] = []
    others = {"truth": 0, "prediction": 0}
    for image, (key, things) in enumerate(labelled.items(), start=1):
        size_wh = sizes_wh.get(key)
        for role, objects, into in (("truth", things, truths), ("prediction", predictions.get(key) or (), predicted)):
            convert = truth_annotation if role == "truth" else prediction_annotation
            for thing in objects:
                if (category := numbers.get(thing.class_name)) is None:
                    others[role] += 1
                    continue
                try:
                    made = convert(thing, kind, size_wh)
                except InvalidValueError as error:
                    raise _located(key, thing, error) from error
                into.append(_numbered(made, len(into) + 1, image, category))
    images = [_image(number, sizes_wh.get(key)) for number, key in enumerate(labelled, start=1)]
    return Problem(
        kind=kind,
        images=images,
        categories=[{"id": number, "name": name} for name, number in numbers.items()],
        truths=truths,
        predictions=predicted,
        sigmas=keypoint_sigmas([*truths, *predicted], sigmas) if kind == "keypoints" else (),
        unlabelled=len(truth) - len(labelled),
        other_truths=others["truth"],
        other_predictions=others["prediction"],
    )


def _image(number: int, size_wh: tuple[int, int] | None) -> dict[str, int]:
    width, height = size_wh or (0, 0)
    return {"id": number, "width": width, "height": height}
