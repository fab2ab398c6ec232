"""Write items that somebody sent, with their files, as the next version of a dataset: all of them, or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from saccade.app.ingest.arrow_items import SentItems
from saccade.app.ingest.media import Intake
from saccade.core.errors import InvalidValueError, SaccadeError
from saccade.core.progress import Progress, Silent
from saccade.core.reader import Item
from saccade.core.schema import FileRef, ImageRef, Kind, MediaRef, VideoRef
from saccade.formats.base import LocalFile, Record
from saccade.store.blobs.blob_batch import ObjectBatch
from saccade.store.catalog.names import MAIN
from saccade.store.datasets.datasets import Mode
from saccade.store.datasets.version import DatasetVersion
from saccade.store.maintenance.blob_lookup import held_files, identity
from saccade.store.workspace import Workspace

FILES, ITEMS = "files", "items-*.arrow"
"""Of what was sent, the folder with files called by their digests, and the files with items."""
KIND = "write"
_BATCH, _THREADS = 512, 4


def write_sent(
    workspace: Workspace,
    place: Path,
    name: str,
    *,
    mode: Mode,
    message: str = "",
    inputs: Sequence[str] = (),
    branch: str = MAIN,
    author: str = "",
    follows: int | None = None,
    progress: Progress | None = None,
) -> DatasetVersion:
    """Write what lies in a folder; arguments as of :meth:`saccade.store.datasets.datasets.Datasets.write`.

    Files are looked at as those of an import are; one that cannot be used, or is neither there nor in the project
    already, refuses all. What items say of files besides their digest, name and frame is not believed.
    """
    sent = SentItems(sorted(place.glob(ITEMS)))
    run = workspace.runs.start(KIND, name, {"mode": mode, "branch": branch}, inputs)
    with workspace.runs.noting_failure(run.id), workspace.objects.batch(packed=True) as objects:
        files = _Files(workspace, objects, place / FILES)
        version = workspace.datasets.write(
            name,
            sent.schema,
            files.taken(sent),
            mode=mode,
            message=message,
            run_id=run.id,
            inputs=inputs,
            branch=branch,
            author=author,
            follows=follows,
            progress=progress or Silent(),
        )
    workspace.runs.finish(run.id, "finished", metrics={"items": len(version)}, outputs=[version.ref])
    return version


@dataclass(frozen=True, slots=True)
class _Sent:
    """A file that was sent, under the name that an item gives it."""

    path: Path
    name: str

    def read(self) -> bytes:
        return LocalFile(self.path).read()


class _Files:
    """Puts what is true of files in the place of what items say of them."""

    def __init__(self, workspace: Workspace, objects: ObjectBatch, folder: Path) -> None:
        self._workspace, self._objects, self._folder = workspace, objects, folder
        self._images = Intake(objects, link=False, whole=False)
        self._videos = Intake(objects, link=False, whole=True)
        self._known: dict[tuple[type, str, int | None], MediaRef | SaccadeError] = {}

    def taken(self, sent: SentItems) -> Iterator[Item]:
        """The items, batch by batch; at the end their files are durable."""
        columns = [one.name for one in sent.schema.of_kind(Kind.IMAGE, Kind.VIDEO, Kind.FILE)]
        waiting = iter(sent)
        with ThreadPoolExecutor(_THREADS) as threads:
            while batch := list(islice(waiting, _BATCH)):
                self._look_at((item[name] for item in batch for name in columns if item[name] is not None), threads)
                for item in batch:
                    yield Item(item.key, {**item.values, **{name: self._true(item, name) for name in columns}})
        self._objects.finish()  # before the version that refers to them comes to be

    def _look_at(self, refs: Iterable[MediaRef], threads: ThreadPoolExecutor) -> None:
        new = {identity(ref): ref for ref in refs if identity(ref) not in self._known}
        here = [ref for ref in new.values() if (self._folder / ref.digest).is_file()]
        for ref, found in zip(here, threads.map(self._take, here), strict=True):
            self._known[identity(ref)] = found
        others = [ref for one, ref in new.items() if one not in self._known]
        self._known.update(held_files(self._workspace, others))

    def _take(self, ref: MediaRef) -> MediaRef | SaccadeError:
        """What is true of a file that was sent, or why it cannot be used."""
        path = self._folder / ref.digest
        try:
            if isinstance(ref, FileRef):
                found: MediaRef | SaccadeError | None = FileRef(self._objects.put_file(path), path.stat().st_size, "")
            else:
                intake = self._videos if isinstance(ref, VideoRef) else self._images
                frame = ref.frame if isinstance(ref, ImageRef) else None
                found = intake.take(Record("", _Sent(path, ref.name), frame=frame)).ref
        except SaccadeError as error:
            return error
        if found is None or isinstance(found, SaccadeError) or found.digest == ref.digest:
            return found or InvalidValueError("It is no file.")
        return InvalidValueError(f"The file that was sent as {ref.digest} is {found.digest}.", hint="Send it again.")

    def _true(self, item: Item, column: str) -> MediaRef | None:
        ref: MediaRef | None = item[column]
        if ref is None:
            return None
        found = self._known.get(identity(ref))
        if found is None:
            raise InvalidValueError(
                f"Column '{column}' of item '{item.key}': the file {ref.digest} was not sent, and the project has "
                "none like it.",
                hint="Send the file too.",
            )
        if isinstance(found, SaccadeError):
            raise InvalidValueError(
                f"Column '{column}' of item '{item.key}': '{ref.name}' cannot be used: {found.message}"
            )
        return replace(found, name=ref.name)
