"""The context of an operation, with the media files of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from saccade.core.digest import digest_bytes
from saccade.core.progress import NullProgress, Progress
from saccade.core.schema import ImageRef, MediaRef
from saccade.store.blobs.blob_batch import BlobBatch
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.blobs.media_resolver import open_media, read_media


class StepContext:
    """Implements :class:`~saccade.operations.base.Context`; new images become durable together, when the batch ends.

    Args:
        store: the store of media files.
        batch: the batch that collects new images.
        seed: the seed for random numbers.
        workspace: the workspace, for operations that declare ``needs_workspace``.
        inputs: models and values at the other ports, by port name.
        folder: the folder for output files.
        progress: receives the progress of the operation.
    """

    def __init__(
        self,
        store: BlobStore,
        batch: BlobBatch,
        seed: int,
        *,
        workspace: Any = None,
        inputs: Mapping[str, Any] | None = None,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._store = store
        self._batch = batch
        self.seed = seed
        self.workspace = workspace
        self.inputs: Mapping[str, Any] = inputs or {}
        self.folder = folder or Path()
        self.progress: Progress = progress or NullProgress()

    def read_media(self, ref: MediaRef) -> bytes:
        return read_media(self._store, ref)

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return open_media(self._store, ref)

    def put_image(self, data: bytes, name: str) -> ImageRef:
        from saccade.media.image import probe

        info = probe(data)
        self._batch.put_bytes(data)
        return ImageRef(
            digest_bytes(data), len(data), name, info.width, info.height, info.format, info.mode, info.orientation
        )
