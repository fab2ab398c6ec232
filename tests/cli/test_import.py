"""Options of ``saccade import`` that change what is shown."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from tests.support.command import Command

import saccade

RAMP = np.tile(np.linspace(1000, 3000, 65).astype(np.uint16), (48, 1))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder with a 16-bit PNG of 12-bit values, and an 8-bit PNG."""
    folder = tmp_path / "scans"
    folder.mkdir()
    cv2.imwrite(str(folder / "deep.png"), RAMP)
    cv2.imwrite(str(folder / "plain.png"), np.full((48, 65), 90, np.uint8))
    return folder


def displayed(command: Command, name: str) -> dict[str, npt.NDArray[np.uint8]]:
    with saccade.Workspace.open(command.workspace) as workspace:
        version = workspace.datasets.open(name)
        return {item.key: saccade.read_image(version, item["image"]) for item in version.items(["image"])}


def test_stated_window_of_16_bit_images(command: Command, scans: Path, tmp_path: Path) -> None:
    result = command.json("import", scans, "--dataset", "stated", "--option", "window=1500,2500")
    assert (result["items"], result["report"]["findings"]) == (2, [])
    pixels = displayed(command, "stated")
    expected = np.rint((np.clip(RAMP.astype(float), 1500, 2500) - 1500) / 1000 * 255)
    assert (pixels["deep"] == expected[..., None]).all()
    assert (pixels["plain"] == 90).all()
    # The command shows the same pixels.
    shown = tmp_path / "shown.png"
    assert command("datasets", "image", "stated", "deep", shown).code == 0
    assert (cv2.imread(str(shown)) == expected[..., None]).all()


def test_16_bit_images_of_a_low_range_without_a_window(command: Command, scans: Path) -> None:
    report = command.json("import", scans, "--dataset", "percentiles")["report"]
    [finding] = report["findings"]
    assert (finding["action"], finding["key"]) == ("warning", "deep")
    assert "--option window=LOW,HIGH" in finding["detail"]
    pixels = displayed(command, "percentiles")["deep"]
    assert (pixels.min(), pixels.max()) == (0, 255)


@pytest.mark.parametrize("window", ["2500,1500", "1500", "dark,bright"])
def test_invalid_windows_are_refused(command: Command, scans: Path, window: str) -> None:
    refused = command.fails("import", scans, "--dataset", "x", "--option", f"window={window}", code="invalid-value")
    assert "is no range of values" in refused.text
    assert command.json("datasets", "list") == []
