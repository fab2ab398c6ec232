"""The recipes that come with Saccade, as starting points."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import yaml

from saccade.core.errors import NotFoundError, suggest

_FOLDER = files("saccade.training").joinpath("examples")


@dataclass(frozen=True, slots=True)
class ExampleRecipe:
    """A recipe that comes with Saccade.

    Attributes:
        name: Name of the recipe, which is that of its file.
        description: One sentence for lists.
        text: The recipe as YAML, with comments.
    """

    name: str
    description: str
    text: str


def list_example_recipes() -> list[ExampleRecipe]:
    """Return all recipes that come with Saccade, sorted by name."""
    names = sorted(file.name.removesuffix(".yaml") for file in _FOLDER.iterdir() if file.name.endswith(".yaml"))
    return [_read_recipe(name) for name in names]


def open_example_recipe(name: str) -> ExampleRecipe:
    """Return a recipe that comes with Saccade.

    Raises:
        NotFoundError: There is no recipe with this name.
    """
    names = [recipe.name for recipe in list_example_recipes()]
    if name not in names:
        raise NotFoundError(
            f"There is no example recipe '{name}'.", hint=suggest(name, names) or "List them: saccade recipes list"
        )
    return _read_recipe(name)


def _read_recipe(name: str) -> ExampleRecipe:
    text = _FOLDER.joinpath(f"{name}.yaml").read_text("utf-8")
    return ExampleRecipe(name, yaml.safe_load(text)["description"], text)
