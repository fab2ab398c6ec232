"""Write uploaded items and their media as the next version of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from saccade.app.ingest.arrow_items import UploadedItems
from saccade.app.ingest.media import MediaIngestor
from saccade.core.errors import InvalidValueError, SaccadeError
from saccade.core.progress import NullProgress, Progress
from saccade.core.reader import Item
from saccade.core.records.datasets import WriteMode
from saccade.core.refs import split_branch_ref
from saccade.core.schema import FileRef, ImageRef, Kind, MediaRef, VideoRef
from saccade.formats.base import LocalFile, Record
from saccade.store.blobs.blob_batch import BlobBatch
from saccade.store.datasets.version import DatasetVersion
from saccade.store.maintenance.blob_lookup import blob_id, existing_blobs
from saccade.store.workspace import Workspace

FILES_DIR = "files"
"""The folder of an upload with media files, each named by its digest."""
ITEMS_PATTERN = "items-*.arrow"
"""The files of an upload with items."""
RUN_KIND = "write-items"
_BATCH_SIZE = 512
_THREADS = 4


def write_uploaded(
    workspace: Workspace,
    folder: Path,
    name: str,
    *,
    mode: WriteMode,
    message: str = "",
    inputs: Sequence[str] = (),
    branch: str | None = None,
    author: str = "",
    expected_version: int | None = None,
    progress: Progress | None = None,
) -> DatasetVersion:
    """Write the items of an upload. Media are probed as in an import; one bad file fails the whole write.

    Of what an item states about a file, only its digest, name and frame are used.

    Args:
        workspace: The workspace.
        folder: The folder of the upload.
        name: The dataset, or NAME@BRANCH.
        mode: How the items are combined with the present version.
        message: The message of the version.
        inputs: The dataset versions that the items were made from.
        branch: The branch to write to, if ``name`` has none; the main branch by default.
        author: The author of the version.
        expected_version: The number of the version that the client has seen as the head of the branch.
        progress: Receives progress of the write.

    Returns:
        The new version.

    Raises:
        InvalidValueError: An item is invalid, a file cannot be used, or a file was neither uploaded nor is in the
            project.
        StaleVersionError: The head of the branch is not ``expected_version``.
    """
    name, branch = split_branch_ref(name, branch)
    uploaded = UploadedItems(sorted(folder.glob(ITEMS_PATTERN)))
    run = workspace.runs.start(RUN_KIND, name, {"mode": mode, "branch": branch}, inputs)
    with workspace.runs.record_failure(run.id), workspace.blobs.batch(packed=True) as blobs:
        resolver = _MediaResolver(workspace, blobs, folder / FILES_DIR)
        version = workspace.datasets.write(
            name,
            uploaded.schema,
            resolver.resolve_items(uploaded),
            mode=mode,
            message=message,
            run_id=run.id,
            inputs=inputs,
            branch=branch,
            author=author,
            expected_version=expected_version,
            progress=progress or NullProgress(),
        )
    workspace.runs.finish(run.id, "finished", metrics={"items": len(version)}, outputs=[version.ref])
    return version


@dataclass(frozen=True, slots=True)
class _UploadedFile:
    """Media source of an uploaded file, under the name that an item gives it."""

    path: Path
    name: str

    def read(self) -> bytes:
        return LocalFile(self.path).read()


class _MediaResolver:
    """Replaces the client's references to files by verified ones: of uploaded files, or of files in the project."""

    def __init__(self, workspace: Workspace, blobs: BlobBatch, folder: Path) -> None:
        self._workspace = workspace
        self._blobs = blobs
        self._folder = folder
        self._images = MediaIngestor(blobs, link=False, keep_video=False)
        self._videos = MediaIngestor(blobs, link=False, keep_video=True)
        self._resolved: dict[tuple[type, str, int | None], MediaRef | SaccadeError] = {}

    def resolve_items(self, items: UploadedItems) -> Iterator[Item]:
        """Yield the items with verified references."""
        columns = [column.name for column in items.schema.columns_of_kind(Kind.IMAGE, Kind.VIDEO, Kind.FILE)]
        remaining = iter(items)
        with ThreadPoolExecutor(_THREADS) as executor:
            while batch := list(islice(remaining, _BATCH_SIZE)):
                self._ingest_batch(
                    (item[name] for item in batch for name in columns if item[name] is not None), executor
                )
                for item in batch:
                    yield Item(item.key, {**item.values, **{name: self._resolve_ref(item, name) for name in columns}})
        self._blobs.finish()  # make the files durable before the version that refers to them

    def _ingest_batch(self, refs: Iterable[MediaRef], executor: ThreadPoolExecutor) -> None:
        new = {blob_id(ref): ref for ref in refs if blob_id(ref) not in self._resolved}
        uploaded = [ref for ref in new.values() if (self._folder / ref.digest).is_file()]
        for ref, result in zip(uploaded, executor.map(self._ingest, uploaded), strict=True):
            self._resolved[blob_id(ref)] = result
        missing = [ref for ref_id, ref in new.items() if ref_id not in self._resolved]
        self._resolved.update(existing_blobs(self._workspace, missing))

    def _ingest(self, ref: MediaRef) -> MediaRef | SaccadeError:
        path = self._folder / ref.digest
        try:
            if isinstance(ref, FileRef):
                result: MediaRef | SaccadeError | None = FileRef(self._blobs.put_file(path), path.stat().st_size, "")
            else:
                ingestor = self._videos if isinstance(ref, VideoRef) else self._images
                frame = ref.frame if isinstance(ref, ImageRef) else None
                result = ingestor.ingest(Record("", _UploadedFile(path, ref.name), frame=frame)).ref
        except SaccadeError as error:
            return error
        if result is None or isinstance(result, SaccadeError) or result.digest == ref.digest:
            return result or InvalidValueError("It is not a file.")
        return InvalidValueError(
            f"The file uploaded as {ref.digest} has the digest {result.digest}.", hint="Upload it again."
        )

    def _resolve_ref(self, item: Item, column: str) -> MediaRef | None:
        ref: MediaRef | None = item[column]
        if ref is None:
            return None
        resolved = self._resolved.get(blob_id(ref))
        if resolved is None:
            raise InvalidValueError(
                f"Column '{column}' of item '{item.key}': the file {ref.digest} was not uploaded and is not in the "
                "project.",
                hint="Upload the file too.",
            )
        if isinstance(resolved, SaccadeError):
            raise InvalidValueError(
                f"Column '{column}' of item '{item.key}': '{ref.name}' cannot be used: {resolved.message}"
            )
        return replace(resolved, name=ref.name)
