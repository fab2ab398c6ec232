"""What an operation may ask for while it works, on a workspace's files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from saccade.core.digest import digest_bytes
from saccade.core.progress import Progress, Silent
from saccade.core.schema import ImageRef, MediaRef
from saccade.store.blobs.blob_batch import ObjectBatch
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.blobs.media_resolver import open_media, read_media


class StepContext:
    """The context of a step; images that it keeps become durable together.

    Args:
        kept: the images on their way into the store.
    """

    def __init__(
        self,
        store: ObjectStore,
        kept: ObjectBatch,
        seed: int,
        *,
        workspace: Any = None,
        inputs: Mapping[str, Any] | None = None,
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._store, self._kept = store, kept
        self.seed = seed
        self.workspace = workspace
        self.inputs: Mapping[str, Any] = inputs or {}
        self.folder = folder or Path()
        self.progress: Progress = progress or Silent()

    def read_media(self, ref: MediaRef) -> bytes:
        return read_media(self._store, ref)

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return open_media(self._store, ref)

    def keep_image(self, data: bytes, name: str) -> ImageRef:
        from saccade.media.image import probe

        found = probe(data)
        self._kept.put_bytes(data)
        return ImageRef(
            digest_bytes(data), len(data), name, found.width, found.height, found.format, found.mode, found.orientation
        )
