"""Validation of settings with pydantic: strict models, and their errors as messages for the author of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from saccade.core.errors import RecipeError, suggest

P = TypeVar("P", bound=BaseModel)


class StrictModel(BaseModel):
    """An immutable group of settings that rejects unknown names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def validate_params(model: type[P], params: Mapping[str, Any], path: str) -> P:
    """Validate parameters with their pydantic model.

    Args:
        model: Declares the parameters.
        params: The values.
        path: Dotted path of the parameters in the recipe, such as "model.encoder"; starts the error message.

    Raises:
        RecipeError: A parameter is unknown, missing or invalid.
    """
    try:
        return model.model_validate(dict(params))
    except ValidationError as error:
        raise recipe_error(error, model, path) from None


def recipe_error(error: ValidationError, model: type[BaseModel], path: str) -> RecipeError:
    """Convert the first finding of a validation error to a RecipeError.

    Args:
        error: The validation error.
        model: The pydantic model that raised it; its field names are suggested for an unknown name.
        path: Dotted path of the validated values in the recipe; "" if they are the recipe itself.
    """
    first = error.errors()[0]
    setting = ".".join([path, *map(str, first["loc"])]).lstrip(".")
    if first["type"] == "extra_forbidden":
        names = _field_names(model, first["loc"][:-1])
        return RecipeError(f"'{setting}' is not a setting.", hint=suggest(str(first["loc"][-1]), names))
    if first["type"] == "missing":
        return RecipeError(f"'{setting}' is missing.", hint="Add it to the recipe.")
    reason = first["msg"].removeprefix("Value error, ")
    return RecipeError(f"'{setting}' is {first['input']!r}: {reason}.", hint="Correct it in the recipe.")


def _field_names(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the fields of the nested model at ``loc``, or nothing if there is no such model."""
    for key in loc:
        field = model.model_fields.get(str(key))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)
