"""Trained models as files: the weights in safetensors, and a JSON manifest that describes how to use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load

from saccade.core.config import recipe_error
from saccade.core.errors import SaccadeError
from saccade.models.factory import VisionModel, build_model
from saccade.models.spec import ModelSpec

WEIGHTS_FILE = "weights.safetensors"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in evaluation mode.

    Attributes:
        model: The model with its trained weights.
        class_names: Class names by target, in the order of the head's outputs.
    """

    model: VisionModel
    class_names: Mapping[str, tuple[str, ...]]


class _Manifest(BaseModel):
    """The keys of a manifest that are needed to build the model; other keys are informative."""

    model: ModelSpec
    classes: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]]


def build_manifest(spec: ModelSpec, class_names: Mapping[str, Sequence[str]], image_column: str) -> dict[str, Any]:
    """Return the keys of a manifest that :func:`load_model` needs.

    Args:
        spec: Specification of the model.
        class_names: Class names by target, in the order of the head's outputs.
        image_column: Column of images that the model was trained on.
    """
    return {
        "format": FORMAT_VERSION,
        "model": spec.model_dump(mode="json"),
        "classes": {target: list(names) for target, names in class_names.items()},
        "image_column": image_column,
    }


def load_model(manifest: Mapping[str, Any], weights: bytes) -> LoadedModel:
    """Load a model from its manifest and its weights (the content of the safetensors file).

    Raises:
        SaccadeError: The manifest or the weights are damaged, do not match, or are from a newer Saccade.
    """
    if manifest.get("format") != FORMAT_VERSION:
        raise SaccadeError(
            f"The manifest of the model has format {manifest.get('format')!r}; this Saccade reads {FORMAT_VERSION}.",
            hint="Upgrade Saccade.",
        )
    try:
        parsed = _Manifest.model_validate(dict(manifest))
    except ValidationError as error:
        raise recipe_error(error, _Manifest, "manifest") from None
    model = _build(parsed)
    try:
        model.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError) as error:
        raise SaccadeError(f"The weights do not fit the model: {error}") from None
    model.eval()
    return LoadedModel(model, parsed.classes)


def _build(manifest: _Manifest) -> VisionModel:
    if unknown := set(manifest.classes) - set(manifest.model.heads):
        raise SaccadeError(f"The manifest has classes for '{min(unknown)}', but the model has no such head.")
    class_counts = {target: len(names) for target, names in manifest.classes.items()}
    try:
        return build_model(_without_pretrained(manifest.model), class_counts)
    except SaccadeError:
        raise
    except (RuntimeError, ValueError, TypeError, MemoryError) as error:
        raise SaccadeError(f"The model of the manifest cannot be built: {error}") from error


def _without_pretrained(spec: ModelSpec) -> ModelSpec:
    """Disable pretrained weights: the saved ones replace them, and fetching them needs a network."""
    params = spec.encoder.model_dump()
    if params.get("pretrained"):
        params["pretrained"] = False
    return spec.model_copy(update={"encoder": type(spec.encoder)(**params)})
