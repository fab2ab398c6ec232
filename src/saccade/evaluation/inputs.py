"""Input of a detection evaluation: images, classes, true and predicted annotations with COCO's numeric ids."""

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
class EvaluationInput:
    """Annotations with ``id``, ``image_id`` and ``category_id``; images and categories with ``id``.

    ``unlabelled`` counts images that are left out because they are not labelled; ``other_truths`` and
    ``other_predictions`` count objects that are left out because their class is not evaluated.
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
    """Return the sorted names of all classes that occur in labelled images."""
    labelled = {key: objects for key, objects in truth.items() if objects is not None}
    true_names = {obj.class_name for objects in labelled.values() for obj in objects}
    return tuple(sorted(true_names | {obj.class_name for key in labelled for obj in predictions.get(key) or ()}))


def _with_ids(annotation: Annotation, number: int, image: int, category: int) -> Annotation:
    return annotation | {"id": number, "image_id": image, "category_id": category}


def _locate_error(key: str, obj: Object, error: InvalidValueError) -> InvalidValueError:
    return InvalidValueError(f"Object '{obj.id}' of '{key}': {error.message}", hint=error.hint)


def build_input(
    truth: Mapping[str, Objects | None],
    predictions: Mapping[str, Objects],
    sizes_wh: Mapping[str, tuple[int, int]],
    *,
    kind: ObjectKind,
    classes: Sequence[str] | None,
    sigmas: Sequence[float] | None,
) -> EvaluationInput:
    """Assign ids to images (in the order of ``truth``) and classes; see ``evaluate_objects`` for the rules.

    Raises:
        InvalidValueError: duplicate classes, unknown keys, missing scores, or geometry that does not fit ``kind``.
    """
    check_keys(truth, predictions)
    names = class_names(truth, predictions) if classes is None else tuple(classes)
    if len(set(names)) != len(names):
        raise InvalidValueError(f"Duplicate classes: {names}.", hint="Name each class once.")
    numbers = {name: number for number, name in enumerate(names, start=1)}
    labelled = {key: objects for key, objects in truth.items() if objects is not None}
    truths: list[Annotation] = []
    predicted: list[Annotation] = []
    other_counts = {"truth": 0, "prediction": 0}
    for image, (key, objects) in enumerate(labelled.items(), start=1):
        size_wh = sizes_wh.get(key)
        predicted_objects = predictions.get(key) or ()
        for role, role_objects, converted in (
            ("truth", objects, truths),
            ("prediction", predicted_objects, predicted),
        ):
            convert = truth_annotation if role == "truth" else prediction_annotation
            for obj in role_objects:
                if (category := numbers.get(obj.class_name)) is None:
                    other_counts[role] += 1
                    continue
                try:
                    annotation = convert(obj, kind, size_wh)
                except InvalidValueError as error:
                    raise _locate_error(key, obj, error) from error
                converted.append(_with_ids(annotation, len(converted) + 1, image, category))
    images = [_image_entry(number, sizes_wh.get(key)) for number, key in enumerate(labelled, start=1)]
    return EvaluationInput(
        kind=kind,
        images=images,
        categories=[{"id": number, "name": name} for name, number in numbers.items()],
        truths=truths,
        predictions=predicted,
        sigmas=keypoint_sigmas([*truths, *predicted], sigmas) if kind == "keypoints" else (),
        unlabelled=len(truth) - len(labelled),
        other_truths=other_counts["truth"],
        other_predictions=other_counts["prediction"],
    )


def _image_entry(number: int, size_wh: tuple[int, int] | None) -> dict[str, int]:
    width, height = size_wh or (0, 0)
    return {"id": number, "width": width, "height": height}
