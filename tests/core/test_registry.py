"""Registries: names, duplicates, unknown names, and entry points that load when first asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from saccade.core import registry as registry_module
from saccade.core.errors import ConflictError, NotFoundError
from saccade.core.registry import Registry


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """Entry points of the group ``test.parts``, in place of the installed ones."""
    found: list[EntryPoint] = []

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [entry for entry in found if entry.group == group and name in (None, entry.name)]

    monkeypatch.setattr(registry_module, "entry_points", entry_points)
    return found


def _entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, "test.parts")


def test_parts_that_are_registered_are_found_in_order_of_name() -> None:
    parts: Registry[int] = Registry("part", "test.parts")
    parts.register("two", 2)
    parts.register("one", 1)
    assert parts.names() == ["one", "two"]
    assert list(parts) == [1, 2]
    assert "one" in parts
    assert "three" not in parts


def test_a_duplicate_name_is_refused(entries: list[EntryPoint]) -> None:
    parts: Registry[int] = Registry("part", "test.parts")
    parts.register("one", 1)
    with pytest.raises(ConflictError, match="The part 'one' is already registered"):
        parts.register("one", 2)
    entries.append(_entry("offered", "math:pi"))
    with pytest.raises(ConflictError, match="'offered' is already registered"):
        parts.register("offered", 2)
    assert parts.get("one") == 1


def test_an_unknown_name_is_answered_with_the_nearest(entries: list[EntryPoint]) -> None:
    parts: Registry[int] = Registry("part", "test.parts")
    with pytest.raises(NotFoundError, match=r"There is no part 'resnet81'\. There is none yet\."):
        parts.get("resnet81")
    entries.append(_entry("resnet18", "no_such_module:part"))
    with pytest.raises(NotFoundError, match=r"Did you mean resnet18\?"):
        parts.get("resnet81")


def test_an_entry_point_is_imported_only_when_asked_for(entries: list[EntryPoint]) -> None:
    parts: Registry[float] = Registry("part", "test.parts")
    entries += [_entry("broken", "no_such_module:part"), _entry("pi", "math:pi")]
    assert parts.names() == ["broken", "pi"]
    assert parts.get("pi") == pytest.approx(3.14159, abs=1e-5)
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        parts.get("broken")


def test_two_packages_with_one_name_are_refused(entries: list[EntryPoint]) -> None:
    parts: Registry[float] = Registry("part", "test.parts")
    entries += [_entry("pi", "math:pi"), _entry("pi", "cmath:pi")]
    with pytest.raises(ConflictError, match="Two packages provide the part 'pi': math:pi and cmath:pi"):
        parts.get("pi")


def test_real_entry_points_are_seen() -> None:
    scripts: Registry[object] = Registry("command", "console_scripts")
    assert "pytest" in scripts
    assert callable(scripts.get("pytest"))
