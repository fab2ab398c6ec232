"""Permissions: a workspace is private, and what is written for the user is not."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")


SCRIPT = """
import json, sys
from saccade.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["saccade", *arguments]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def run(folder: Path, *commands: list[str]) -> None:
    """Run commands in a process with the usual umask, which lets everyone read new files."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(commands)]
    subprocess.run(command, cwd=folder, check=True, umask=0o022)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def too_open(folder: Path) -> list[tuple[str, str]]:
    """Return the files and folders below a folder, and itself, that others may access."""
    return [(str(path), oct(mode(path))) for path in (folder, *folder.rglob("*")) if mode(path) & 0o077]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (40, 30), (number * 40, 90, 120)).save(folder / label / f"{label}-{number}.png")
    return folder


def test_the_program_creates_private_workspaces_and_public_exports(tmp_path: Path, images: Path) -> None:
    run(tmp_path, ["init", "."], ["import", str(images), "--dataset", "pets"])
    with Workspace.open(tmp_path) as workspace:
        key = workspace.datasets.open("pets").keys()[0]
    run(
        tmp_path,
        ["export", "pets", "out", "--format", "coco"],
        ["datasets", "push", "pets", str(tmp_path / "shared")],
        ["datasets", "image", "pets", key, "cat.png"],
        ["backup", "copy"],
    )
    assert too_open(tmp_path / ".saccade") == []
    assert too_open(tmp_path / "copy" / ".saccade") == []
    for root in (tmp_path / "out", tmp_path / "shared", tmp_path / "cat.png"):
        for path in (root, *root.rglob("*")):
            assert mode(path) == (0o755 if path.is_dir() else 0o644), path


def test_a_library_denies_others_access_to_the_folder(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        with Workspace.create(tmp_path) as workspace:
            schema = Schema((Column("note", Kind.TEXT),))
            workspace.datasets.write("d", schema, [Item("a", {"note": ""})], mode="create")
        folder = tmp_path / ".saccade"
        assert mode(folder) == 0o700
        assert {path.name: mode(path) for path in folder.iterdir() if path.is_file()} == {
            "catalog.db": 0o600,
            "workspace.json": 0o600,
            "lock": 0o600,
            "reserve": 0o600,
        }
        assert (tmp_path / "file").write_text("x")
        assert mode(tmp_path / "file") == 0o644, "the umask of the program that uses the library stays as it is"
    finally:
        os.umask(previous)


def test_a_workspace_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    Workspace.create(tmp_path).close()
    (tmp_path / ".saccade").chmod(0o755)
    Workspace.open(tmp_path).close()
    assert mode(tmp_path / ".saccade") == 0o700
