"""Recipes: what is wrong is named, and settings can be changed from outside."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.shape_models import detector

from saccade.core.errors import RecipeError
from saccade.training.recipe import parse_recipe

PLAIN = detector().to_json()


def test_a_recipe_with_all_defaults_written_out_is_the_same() -> None:
    assert parse_recipe(PLAIN) == detector()


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("train.epochs=7", ("train", "epochs"), 7),
        ("model.input.size=[64, 128]", ("model", "input", "size"), [64, 128]),
        ("augment.0.probability=0.25", ("augment", 0, "probability"), 0.25),
        ("train.early_stop.patience=3", ("train", "early_stop", "patience"), 3),
        ("description=", ("description",), None),
    ],
)
def test_overrides(override: str, path: tuple[str | int, ...], value: object) -> None:
    if value is None:
        with pytest.raises(RecipeError, match="description"):
            parse_recipe(PLAIN, [override])
        return
    place: Any = parse_recipe({**PLAIN, "train": {**PLAIN["train"], "early_stop": {}}}, [override]).to_json()
    for part in path:
        place = place[part]
    assert place == value


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.epoch=7", "Did you mean epochs"),
        ("train.optimizer.learning_rate=1", "'train.optimizer.learning_rate' is not a setting"),
        ("train.optimizer.type=Adamm", "'train.optimizer.type' is 'Adamm'.*AdamW"),
        ("train.schedule.type=linear", "cosine"),
        ("train.ema=2", "train.ema"),
        ("name=../x", "name"),
        ("data={}", "'data.dataset' is missing"),
        ("model.heads={}", "heads"),
    ],
)
def test_what_is_wrong_is_named(override: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        parse_recipe(PLAIN, [override])


def test_overrides_do_not_change_what_they_are_given() -> None:
    before = detector().to_json()
    parse_recipe(before, ["train.epochs=9", "augment.0.probability=0"])
    assert before == PLAIN
