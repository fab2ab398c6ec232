"""Atomic writes: the old content or the new one, no temporary files, and private permissions in a workspace."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from saccade.core.errors import ConflictError
from saccade.io.atomic import (
    OUTPUT_MARKER,
    PUBLIC_FILE_MODE,
    atomic_file,
    atomic_output_dir,
    atomic_write,
    create_file,
    make_private_dir,
)
from saccade.store.workspace import Workspace

posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Run with an umask that hides nothing, so that the modes are those of the code."""
    previous = os.umask(0o022)
    yield
    os.umask(previous)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("durable", [True, False])
def test_a_write_replaces_the_file_and_leaves_no_temporary_file(tmp_path: Path, durable: bool) -> None:
    atomic_write(tmp_path / "file", b"old", durable=durable)
    atomic_write(tmp_path / "file", b"new", durable=durable)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"new")]


def test_a_failed_write_keeps_the_old_content(tmp_path: Path) -> None:
    atomic_write(tmp_path / "file", b"old")

    def fail() -> None:
        with atomic_file(tmp_path / "file") as file:
            file.write(b"half of the new con")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        fail()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


@posix_only
def test_files_and_folders_are_private_by_default(tmp_path: Path) -> None:
    make_private_dir(tmp_path / "a" / "b")
    make_private_dir(tmp_path / "a" / "b")
    atomic_write(tmp_path / "a" / "written", b"1")
    create_file(tmp_path / "a" / "created", b"2")
    with atomic_file(tmp_path / "public", mode=PUBLIC_FILE_MODE) as file:
        file.write(b"3")
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700
    assert mode(tmp_path / "a" / "written") == mode(tmp_path / "a" / "created") == 0o600
    assert mode(tmp_path / "public") == 0o644


def test_a_private_folder_does_not_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileExistsError):
        make_private_dir(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        make_private_dir(tmp_path / "file" / "folder")


@posix_only
def test_only_the_owner_can_read_a_workspace(tmp_path: Path) -> None:
    with Workspace.create(tmp_path / "project") as workspace:
        workspace.blobs.put_bytes(b"content")
        assert mode(workspace.location) == 0o700
        assert mode(workspace.location / "workspace.json") == 0o600
        # The folder around the workspace is the user's own.
        assert mode(tmp_path / "project") == 0o755


@pytest.mark.parametrize("exists", [True, False])
def test_an_output_folder_appears_completely_or_not_at_all(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "out"
    if exists:
        folder.mkdir()

    def write(*, fail: bool) -> None:
        with atomic_output_dir(folder) as temporary:
            (temporary / "nested").mkdir()
            (temporary / "nested" / "file").write_bytes(b"content")
            if fail:
                raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        write(fail=True)
    assert [path.name for path in tmp_path.rglob("*")] == ["out"] * exists
    write(fail=False)
    assert (folder / "nested" / "file").read_bytes() == b"content"
    assert mode(folder) == 0o755 or os.name == "nt"
    with pytest.raises(ConflictError, match="not an empty folder"):
        write(fail=False)


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def write_output(folder: Path, content: dict[str, str], *, overwrite: bool = False) -> None:
    with atomic_output_dir(folder, replaceable=True, overwrite=overwrite) as temporary:
        for name, text in content.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text(text)


def test_an_output_is_replaced_only_if_told_so(tmp_path: Path) -> None:
    write_output(tmp_path / "out", {"a/1": "old", "2": "old"})
    with pytest.raises(ConflictError, match="earlier command") as error:
        write_output(tmp_path / "out", {"3": "new"})
    assert "--overwrite" in error.value.hint
    write_output(tmp_path / "out", {"a/3": "new", "2": "new"}, overwrite=True)
    assert tree(tmp_path / "out") == {OUTPUT_MARKER: "", "2": "new", "a/3": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["mine", "a/mine", "2"])
def test_files_of_the_user_in_an_output_are_not_replaced(tmp_path: Path, name: str) -> None:
    write_output(tmp_path / "out", {"a/1": "old", "2": "old"})
    time.sleep(0.02)  # more than the resolution of the file system's clock
    (tmp_path / "out" / name).write_text("precious")
    with pytest.raises(ConflictError, match=f"'{name}' was added or changed since"):
        write_output(tmp_path / "out", {"3": "new"}, overwrite=True)
    assert (tmp_path / "out" / name).read_text() == "precious"


def test_a_folder_of_the_user_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_text("precious")
    with pytest.raises(ConflictError, match="nor the output"):
        write_output(tmp_path / "photos", {"2": "new"}, overwrite=True)
    assert tree(tmp_path / "photos") == {"1.jpg": "precious"}


def test_a_failure_keeps_the_earlier_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_output(tmp_path / "out", {"1": "old", "2": "old"})
    before = tree(tmp_path / "out")

    def fail() -> None:
        with atomic_output_dir(tmp_path / "out", overwrite=True) as temporary:
            (temporary / "3").write_text("new")
            raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        fail()
    assert tree(tmp_path / "out") == before
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "4":
            raise OSError("the disk is gone")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="gone"):
        write_output(tmp_path / "out", {"3": "new", "4": "new"}, overwrite=True)
    assert tree(tmp_path / "out") == before
