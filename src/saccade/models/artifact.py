"""A trained model as files: weights in safetensors, and a manifest in JSON that says how to use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load

from saccade.core.errors import SaccadeError
from saccade.models.components.base import recipe_error
from saccade.models.factory import VisionModel, build_model
from saccade.models.spec import ModelSpec

WEIGHTS = "weights.safetensors"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready to run, and the class names of each target in the order of its outputs."""

    model: VisionModel
    class_names: Mapping[str, tuple[str, ...]]


class _Manifest(BaseModel):
    """What of a manifest is needed to build the model; the rest is for people."""

    model: ModelSpec
    classes: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]]


def describe(spec: ModelSpec, class_names: Mapping[str, Sequence[str]], image_column: str) -> dict[str, Any]:
    """The part of a manifest that :func:`load_model` needs."""
    return {
        "format": FORMAT,
        "model": spec.model_dump(mode="json"),
        "classes": {target: list(names) for target, names in class_names.items()},
        "image_column": image_column,
    }


def load_model(manifest: Mapping[str, Any], weights: bytes) -> LoadedModel:
    """A model from its manifest and weights; SaccadeError where either is damaged or from a newer Saccade."""
    if manifest.get("format") != FORMAT:
        raise SaccadeError(
            f"The model's manifest has the format {manifest.get('format')!r}; this Saccade reads {FORMAT}.",
            hint="Upgrade Saccade.",
        )
    try:
        known = _Manifest.model_validate(dict(manifest))
    except ValidationError as error:
        raise recipe_error(error, _Manifest, "manifest") from None
    model = _built(known)
    try:
        model.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise SaccadeError(f"The weights do not fit the model: {error}") from None
    model.eval()
    return LoadedModel(model, known.classes)


def _built(known: _Manifest) -> VisionModel:
    if unknown := set(known.classes) - set(known.model.heads):
        raise SaccadeError(f"The manifest has classes of '{min(unknown)}', and the model no such head.")
    counts = {target: len(names) for target, names in known.classes.items()}
    try:
        return build_model(_without_fetching(known.model), counts)
    except SaccadeError:
        raise
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise SaccadeError(f"The model of the manifest cannot be built: {error}") from error


def _without_fetching(spec: ModelSpec) -> ModelSpec:
    """The same graph without pretrained weights, which the saved ones replace anyway."""
    params = spec.encoder.model_dump()
    if params.get("pretrained"):
        params["pretrained"] = False
    return spec.model_copy(update={"encoder": type(spec.encoder)(**params)})
