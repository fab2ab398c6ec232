"""Recipes: errors name the setting, and overrides replace settings."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.shape_models import detector

from saccade.core.errors import RecipeError
from saccade.training.recipe import parse_recipe

PLAIN = detector().to_json()


def test_a_recipe_round_trips_through_json() -> None:
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
    node: Any = parse_recipe({**PLAIN, "train": {**PLAIN["train"], "early_stop": {}}}, [override]).to_json()
    for key in path:
        node = node[key]
    assert node == value


@pytest.mark.parametrize(
    ("override", "message"),
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
def test_invalid_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(PLAIN, [override])


def test_overrides_do_not_modify_their_input() -> None:
    before = detector().to_json()
    parse_recipe(before, ["train.epochs=9", "augment.0.probability=0"])
    assert before == PLAIN


def test_a_changed_type_drops_the_settings_of_the_old_one() -> None:
    """In any order; a type that stays the same keeps them, as do optimizers, whose settings do not depend on it."""
    base = detector().to_json()
    same_type = f"model.encoder.type={base['model']['encoder']['type']}"
    assert parse_recipe(base, [same_type]).to_json()["model"] == base["model"]
    for overrides in (
        ["model.encoder.type=timm", "model.encoder.name=resnet18"],
        ["model.encoder.name=resnet18", "model.encoder.type=timm"],
    ):
        changed = parse_recipe(base, overrides).to_json()["model"]["encoder"]
        assert {name: value for name, value in changed.items() if value is not None} == {
            "type": "timm",
            "name": "resnet18",
        }
    rate = base["train"]["optimizer"]["lr"]
    assert parse_recipe(base, ["train.optimizer.type=SGD"]).train.optimizer.lr == rate
