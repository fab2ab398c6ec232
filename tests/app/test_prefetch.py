"""Threads and worker processes ingest images with the same result."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

from saccade.app.ingest import prefetch
from saccade.app.ingest.importing import import_dataset
from saccade.app.ingest.media import IngestResult
from saccade.core.errors import SaccadeError, WorkspaceError
from saccade.core.reader import Item
from saccade.formats.base import Record
from saccade.store.blobs.blob_batch import BlobBatch
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace.create(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def source(pictures: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "日本 'quoted'").mkdir(parents=True)
    for at, path in enumerate(sorted((pictures / "images").iterdir())):
        for copy in range(6):
            (folder / f"{path.stem}-{copy}.jpg").write_bytes(path.read_bytes() + bytes([copy % 4, at]))
    shutil.copy(path, folder / "日本 'quoted'" / "ü.jpg")
    Image.new("RGB", (30, 20)).save(
        folder / "moves.gif", save_all=True, append_images=[Image.new("RGB", (30, 20), "red")]
    )
    (folder / "cut.jpg").write_bytes(path.read_bytes()[:300])
    (folder / "text.png").write_text("no picture")
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (30, 20), "blue").save(folder / "turned.jpg", exif=exif)
    return folder


def facts(workspace: Workspace, source: Path, name: str, link: bool) -> tuple[list[Item], list[object]]:
    result = import_dataset(workspace, source, name, link=link)
    return list(result.version.items()), list(result.report)


@pytest.mark.slow
@pytest.mark.parametrize("link", [False, True])
def test_processes_and_threads_give_the_same_result(
    workspace: Workspace, source: Path, link: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    by_threads = facts(workspace, source, "threads", link)
    before = set(workspace.blobs.digests())
    monkeypatch.setattr(prefetch, "MIN_ITEMS_FOR_PROCESSES", 10)
    served: list[int] = []
    take = prefetch._ProcessBackend.ingest

    def noted(self: prefetch._ProcessBackend, part: Sequence[Record]) -> list[IngestResult]:
        served.append(len(part))
        return take(self, part)

    monkeypatch.setattr(prefetch._ProcessBackend, "ingest", noted)
    by_processes = facts(workspace, source, "processes", link)
    assert sum(served) == len(by_threads[0]) + 2
    assert by_processes == by_threads
    assert set(workspace.blobs.digests()) == before
    with Workspace.create(tmp_path / "other") as other:
        assert facts(other, source, "processes", link) == by_threads
        assert doctor(other, deep=True) == []
        assert list((other.location / "tmp").glob("*~*~*/*")) == []


@pytest.mark.slow
def test_killed_process_fails_the_import(workspace: Workspace, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "MIN_ITEMS_FOR_PROCESSES", 10)
    make = prefetch._ProcessBackend.__init__

    def killed(self: prefetch._ProcessBackend, helpers: prefetch.IngestPool, *rest: object) -> None:
        make(self, helpers, *rest)  # type: ignore[arg-type]
        for process in helpers.processes:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()

    monkeypatch.setattr(prefetch._ProcessBackend, "__init__", killed)
    with pytest.raises(SaccadeError, match="exited with code"):
        import_dataset(workspace, source, "d")
    assert not workspace.datasets.exists("d")
    assert doctor(workspace) == []


@pytest.mark.slow
def test_storage_error_fails_the_import(workspace: Workspace, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "MIN_ITEMS_FOR_PROCESSES", 10)
    original = BlobBatch.worker_settings

    def without_folder(self: BlobBatch) -> dict[str, str]:
        settings = original(self)
        Path(settings["folder"]).rmdir()
        return settings

    monkeypatch.setattr(BlobBatch, "worker_settings", without_folder)
    with pytest.raises(WorkspaceError, match="A blob cannot be written"):
        import_dataset(workspace, source, "d")
    assert not workspace.datasets.exists("d")


def test_no_processes_for_few_files(source: Path, tmp_path: Path) -> None:
    with prefetch.IngestPool.for_source(source) as helpers:
        assert helpers.processes == []
    with prefetch.IngestPool.for_source(tmp_path / "nothing") as helpers:
        assert helpers.processes == []
