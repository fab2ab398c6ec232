"""Write recipes to files, as starting points to edit."""

from __future__ import annotations

import re
from pathlib import Path

from saccade.app.ml.recipe_template import suggest_recipe
from saccade.io.atomic import write_output_file
from saccade.store.datasets.version import DatasetVersion
from saccade.training.example_recipes import open_example_recipe
from saccade.training.recipe import load_recipe

_DATASET_LINE = re.compile(r"(?m)^(  dataset: ).*$")
_NAME_LINE = re.compile(r"(?m)^name: (\S+)")


def copy_example_recipe(
    name: str, file: Path | None = None, dataset: str | None = None, overwrite: bool = False
) -> Path:
    """Write a recipe that comes with Saccade to a file.

    Args:
        name: Name of the example.
        file: The file to write; by default NAME.yaml in the current folder.
        dataset: Dataset to train on instead of that of the example.
        overwrite: Replace an existing file.

    Returns:
        The written file.

    Raises:
        NotFoundError: There is no such example.
        ConflictError: The file exists.
        InvalidValueError: The dataset is not a valid reference.
    """
    text = open_example_recipe(name).text
    if dataset is not None:
        text = _DATASET_LINE.sub(lambda match: f"{match[1]}{dataset}", text, count=1)
    return _write(text, file or Path(f"{name}.yaml"), overwrite)


def write_suggested_recipe(version: DatasetVersion, file: Path | None = None, overwrite: bool = False) -> Path:
    """Write a recipe that suits a dataset to a file.

    Args:
        version: The dataset to train on.
        file: The file to write; by default the name of the model in the current folder.
        overwrite: Replace an existing file.

    Returns:
        The written file.

    Raises:
        ConflictError: The file exists.
        InvalidValueError: There are no images, objects or labels, or no splits to train and validate on.
    """
    text = suggest_recipe(version)
    name = _NAME_LINE.search(text)
    assert name is not None, "every suggested recipe has a name"
    return _write(text, file or Path(f"{name[1]}.yaml"), overwrite)


def _write(text: str, file: Path, overwrite: bool) -> Path:
    write_output_file(file, text, overwrite=overwrite)
    load_recipe(file)
    return file
