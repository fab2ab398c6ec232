"""``saccade import --check``: the findings of an import, without importing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from tests.support.command import Command


def write_photos(folder: Path) -> Path:
    folder.mkdir()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "a.png")
    (folder / "b.jpg").write_text("This is not an image.")
    return folder


def test_a_check_reports_and_imports_nothing(command: Command, tmp_path: Path) -> None:
    photos = write_photos(tmp_path / "photos")
    result = command.json("import", photos, "--check")
    assert (result["items"], result["skipped"], result["refusal"]) == (2, 1, None)
    assert [finding["key"] for finding in result["report"]["findings"]] == ["b"]
    assert command.json("datasets", "list") == []
    text = command("import", photos, "--check")
    assert (text.code, "1 of them would be skipped" in text.out + text.err) == (0, True)
    strict = command("import", photos, "--check", "--strict")
    assert (strict.code, "With --strict, the import would be refused: 1 losses" in strict.text) == (1, True)
    (photos / "a.png").unlink()
    refused = command("import", photos, "--check")
    assert refused.code == 1
    assert "would be refused" in refused.out + refused.err
    assert "--dataset" in command("import", photos).err
