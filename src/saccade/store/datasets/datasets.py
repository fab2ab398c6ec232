"""Datasets: named tables of items, in versions that never change."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from saccade.core.class_edits import ClassPlan
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.merge import Choose, Merged
from saccade.core.progress import Progress, Silent
from saccade.core.reader import Item
from saccade.core.schema import Schema
from saccade.core.webhooks.events import DatasetRemoved
from saccade.runtime.signals import interrupts_held
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.catalog.names import MAIN, check_name, exact, split_ref
from saccade.store.catalog.queries import (
    check_run,
    find_branch,
    find_dataset,
    find_version,
    uses_of,
)
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import (
    BranchRow,
    DatasetAliasRow,
    DatasetRow,
    DatasetUseRow,
    DatasetViewRow,
    VersionRow,
    now,
)
from saccade.store.datasets import mutations
from saccade.store.datasets.classes import relabelled
from saccade.store.datasets.diff import DatasetDiff
from saccade.store.datasets.mutations import Change
from saccade.store.datasets.refs import DatasetNames
from saccade.store.datasets.row_diff import Comparison
from saccade.store.datasets.rows import (
    DatasetInfo,
    Note,
    add_version,
    check_head,
    dataset_info,
    move_head,
    new_dataset,
    taken,
    version_info,
)
from saccade.store.datasets.three_way_merge import Merging, common_base
from saccade.store.datasets.version import DatasetVersion, VersionInfo
from saccade.store.io.atomic import Scratch
from saccade.store.query.index_warmup import note_known
from saccade.store.table.snapshot import Snapshot
from saccade.store.table.staging import Staged
from saccade.store.table.uncommitted import Written, removed_unless_kept
from saccade.store.webhooks.outbox_writer import tell

Mode = Literal["create", "append", "merge", "replace"]
_TRIES = 50


Log = list[VersionInfo]
Make = Callable[[Snapshot, int], Change]
"""From the head of a branch and its number to the change that follows it."""


class _HeadMovedError(Exception):
    """Somebody else's version became the head in the meantime."""


class _NothingToDoError(Exception):
    """No version needs to be made."""


class Datasets(DatasetNames):
    """The datasets of a workspace.

    A write stages its items, writes a Lance version that nobody knows, and then, in one transaction of the catalog,
    makes it the head of its branch if the head is still the one it was made from. Where it is not, the staged items
    are written again on top of the new head: no writer waits for another, and none is lost.
    """

    def __init__(self, catalog: Catalog, folder: Path, objects: ObjectStore, scratch: Scratch) -> None:
        super().__init__(catalog)
        self._folder = folder
        self._objects = objects
        self._scratch = scratch

    # Reading

    def list(self) -> list[DatasetInfo]:
        """All datasets by name, each at the head of its main branch."""
        latest = (
            select(DatasetRow, VersionRow)
            .join(BranchRow, (BranchRow.dataset_id == DatasetRow.id) & (BranchRow.name == MAIN))
            .join(VersionRow, (VersionRow.dataset_id == DatasetRow.id) & (VersionRow.number == BranchRow.head))
            .where(DatasetRow.removed.is_(None))
            .order_by(DatasetRow.name)
        )
        with self._catalog.reading() as session:
            return [dataset_info(dataset, version) for dataset, version in session.execute(latest)]

    def exists(self, name: str) -> bool:
        there = (DatasetRow.name == name, DatasetRow.removed.is_(None))
        with self._catalog.reading() as session:
            return session.scalar(select(DatasetRow.id).where(*there)) is not None

    def open(self, ref: str) -> DatasetVersion:
        """The version of a reference: ``cells``, ``cells@7``, ``cells@latest``, ``cells@alias`` or ``cells@branch``."""
        name, selector = split_ref(ref)
        with self._catalog.reading() as session:
            row = find_version(session, find_dataset(session, name), selector)
        return DatasetVersion(name, version_info(row), self._snapshot(row), self._objects)

    def log(self, name: str, branch: str | None = None) -> Log:
        """All versions, the newest first; of a branch, the chain of versions that led to its head."""
        with self._catalog.reading() as session:
            dataset = find_dataset(session, name)
            rows = session.scalars(
                select(VersionRow).where(VersionRow.dataset_id == dataset.id).order_by(VersionRow.number.desc())
            ).all()
            number = None if branch is None else find_branch(session, dataset, branch).head
        infos = [version_info(row) for row in rows]
        if number is None:
            return infos
        chain = []
        for info in infos:  # a parent has a smaller number than its child
            if info.number == number:
                chain.append(info)
                number = info.parent
        return chain

    def diff(self, ref_a: str, ref_b: str) -> DatasetDiff:
        """What changed from one version to another, of the same dataset or of two."""
        before, after = self.open(ref_a), self.open(ref_b)
        return DatasetDiff(before.ref, after.ref, Comparison(before.snapshot, after.snapshot))

    # Writing

    def write(
        self,
        name: str,
        schema: Schema,
        items: Iterable[Item],
        *,
        mode: Mode,
        message: str = "",
        run_id: str | None = None,
        inputs: Sequence[str] = (),
        branch: str = MAIN,
        progress: Progress | None = None,
        author: str = "",
        follows: int | None = None,
    ) -> DatasetVersion:
        """Write items as the next version, all or nothing.

        Args:
            schema: the columns of ``items``. Classes that occur and are not listed are added.
            mode: ``create`` a dataset (ConflictError where there is one of that name); ``append`` items whose keys
                are new (ConflictError otherwise); ``merge`` by key, which changes only the columns of ``schema`` in
                items that are there and adds the others; ``replace`` everything, or create.
            run_id: the run that writes.
            inputs: the dataset versions that it was made from.
            follows: the number of the version that it is to follow; MovedError where the branch has moved on.
        """
        if mode not in get_args(Mode):
            raise InvalidValueError(f"There is no mode {mode!r}.", hint=f"Modes: {', '.join(get_args(Mode))}.")
        check_name("dataset", name)
        note = Note(branch, message, author, run_id, tuple(inputs), follows=follows)
        self._check_before_staging(name, mode, note)
        progress = progress or Silent()
        progress.start(f"Writing {name}", len(items) if isinstance(items, Sequence) else None)
        with self._scratch.working() as folder:
            staged = Staged(folder, schema, items, progress)
            version = self._write_staged(name, staged, mode, note, folder)
        progress.finish()
        return version

    def _check_before_staging(self, name: str, mode: Mode, note: Note) -> None:
        """Refuse at once what would be refused after minutes of reading items."""
        with self._catalog.reading() as session:
            check_run(session, note.run_id)
        if mode == "create" and self.exists(name):
            raise taken(name)
        if mode in ("append", "merge"):
            with self._catalog.reading() as session:
                dataset = find_dataset(session, name)
                find_branch(session, dataset, note.branch)
                check_head(session, dataset, note.branch, note.follows)

    def _write_staged(self, name: str, staged: Staged, mode: Mode, note: Note, folder: Path) -> DatasetVersion:
        if mode == "create" or (mode == "replace" and not self.exists(name)):
            return self._create(name, staged, note)
        return self._follow(
            name,
            note,
            {
                "append": lambda head, _: mutations.append(head, staged),
                "merge": lambda head, _: mutations.merge(head, staged, folder),
                "replace": lambda head, _: mutations.replace_all(head, staged),
            }[mode],
        )

    def _create(self, name: str, staged: Staged, note: Note) -> DatasetVersion:
        if note.branch != MAIN:
            raise InvalidValueError(f"A new dataset begins on the branch '{MAIN}', not '{note.branch}'.")
        try:
            with removed_unless_kept() as written:
                change = mutations.create(self._folder, staged)
                written.sync()
                with interrupts_held(), self._catalog.writing() as session:
                    dataset = new_dataset(session, name)
                    row = add_version(session, dataset, None, change, note)
                    session.add(BranchRow(dataset_id=dataset.id, name=MAIN, head=row.number))
                    session.flush()
                    written.keep()
        except IntegrityError as error:
            raise taken(name) from error
        note_known(change.snapshot)
        return DatasetVersion(name, version_info(row), change.snapshot, self._objects)

    def _follow(self, name: str, note: Note, make: Make) -> DatasetVersion:
        """Make a version on top of the head of a branch, again and again until nobody came in between."""
        for attempt in range(_TRIES):
            with self._catalog.reading() as session:
                dataset = find_dataset(session, name)
                check_head(session, dataset, note.branch, note.follows)
                head = find_version(session, dataset, str(find_branch(session, dataset, note.branch).head))
            before = self._snapshot(head)
            with suppress(_HeadMovedError), removed_unless_kept() as written:
                change = make(before, head.number)
                written.sync()
                row = self._commit(dataset, head, change, note, written)
                note_known(change.snapshot)
                return DatasetVersion(name, version_info(row), change.snapshot, self._objects)
            time.sleep(random.uniform(0, 0.02 * min(attempt + 1, 10)))  # noqa: S311 (only to fall out of step)
        raise ConflictError(f"Others keep writing to '{name}@{note.branch}'.", hint="Nothing was changed; try again.")

    def _commit(
        self, dataset: DatasetRow, head: VersionRow, change: Change, note: Note, written: Written
    ) -> VersionRow:
        """The moment at which a version comes to be."""
        with interrupts_held(), self._catalog.writing() as session:
            current = session.get(DatasetRow, dataset.id)
            if current is None or current.removed is not None:
                raise NotFoundError(f"The dataset '{dataset.name}' has been removed in the meantime.")
            row = add_version(session, current, head.number, change, note)
            if not move_head(session, dataset, note.branch, head.number, row.number):
                raise _HeadMovedError
            written.keep()
        return row

    def delete_items(
        self,
        name: str,
        keys: Iterable[str],
        message: str = "",
        *,
        branch: str = MAIN,
        author: str = "",
        follows: int | None = None,
        run_id: str | None = None,
    ) -> DatasetVersion:
        """A version without these items; NotFoundError for a key that is not there. Other arguments as of
        :meth:`write`."""
        wanted, note = list(keys), Note(branch, message, author, run_id, follows=follows)
        with self._scratch.working():
            return self._follow(name, note, lambda head, _: mutations.delete(head, wanted))

    def relabel(
        self,
        name: str,
        plan: Callable[[Schema], ClassPlan],
        *,
        message: str = "",
        branch: str = MAIN,
        author: str = "",
        follows: int | None = None,
        run_id: str | None = None,
        progress: Progress | None = None,
    ) -> DatasetVersion:
        """A version with other classes; only items that have one whose name changes are written.

        Other arguments as of :meth:`write`.

        Args:
            plan: what becomes of the classes of a schema. Asked again where somebody else wrote in between.
        """
        note, shown = Note(branch, message, author, run_id, follows=follows), progress or Silent()
        with self._scratch.working() as folder:
            made = self._follow(name, note, lambda head, _: relabelled(head, plan(head.schema), folder, shown))
        shown.finish()
        return made

    def restore(
        self,
        name: str,
        number: int,
        message: str = "",
        *,
        branch: str = MAIN,
        author: str = "",
        follows: int | None = None,
    ) -> DatasetVersion:
        """A new version equal to an old one; shares its data. ``follows`` as in :meth:`write`."""
        note = Note(branch, message or f"Restored version {number}.", author, follows=follows)
        # Opened at each attempt: in between the dataset may be removed, and made again without that version.
        return self._follow(
            name, note, lambda head, _: mutations.between(head, self.open(exact(name, number)).snapshot)
        )

    def merge(
        self,
        ref: str,
        *,
        into: str = MAIN,
        choose: Choose | None = None,
        message: str = "",
        author: str = "",
        dry_run: bool = False,
        follows: int | None = None,
        run_id: str | None = None,
        progress: Progress | None = None,
    ) -> Merged[DatasetVersion]:
        """Merge a branch or version into a branch of the same dataset, all or nothing.

        What only one side changed since the two parted is taken; labels and objects (by their id) are merged one by
        one. What both changed is a conflict; MergeConflictError lists those in which ``choose`` gives no side. A merge
        adds columns and classes, and takes none away. Where there is nothing to merge, no version is made.
        Other arguments as of :meth:`write`; ``follows`` is of the branch that is merged into.
        """
        shown = progress or Silent()
        choose = choose or (lambda conflict: None)
        asked = self.open(ref)
        name = asked.name
        note = Note(
            into, message or f"Merged {ref} ({asked.ref}).", author, run_id, merged=asked.number, follows=follows
        )
        done: list[Merged[DatasetVersion]] = []

        def make(head: Snapshot, number: int) -> Change:
            change: Change | None
            theirs = self.open(asked.ref)
            base = self.open(exact(name, self._base_of(name, number, theirs.number)))
            facts: Merged[DatasetVersion] = Merged(None, base.ref, exact(name, number), theirs.ref)
            if base.number == theirs.number:
                done[:] = [facts]
                raise _NothingToDoError
            if base.number == number:  # nobody wrote here since
                change = mutations.between(head, theirs.snapshot)
                done[:] = [replace(facts, added=change.added, removed=change.removed, changed=change.changed)]
            else:
                merging = Merging(base.snapshot, head, theirs.snapshot, choose, folder, shown)
                done[:] = [merging.described(facts)]
                change = merging.change() if not dry_run else None
            if dry_run or change is None:
                raise _NothingToDoError
            return change

        with self._scratch.working() as folder:
            try:
                version = self._follow(name, note, make)
            except _NothingToDoError:
                shown.finish()
                return replace(done[0], version=None if dry_run else self.open(done[0].ours))
        shown.finish()
        info = version.info
        return replace(done[0], version=version, added=info.added, removed=info.removed, changed=info.changed)

    def _base_of(self, name: str, first: int, second: int) -> int:
        with self._catalog.reading() as session:
            dataset = find_dataset(session, name)
            rows = session.execute(
                select(VersionRow.number, VersionRow.parent, VersionRow.merged).where(
                    VersionRow.dataset_id == dataset.id
                )
            )
            return common_base({number: (parent, merged) for number, parent, merged in rows}, first, second)

    def remove(self, name: str, *, force: bool = False, follows: int | None = None) -> None:
        """Remove a dataset with all its versions; ConflictError where a run, model or other dataset was made from it.

        Its version numbers are not given again to a dataset of the same name. ``follows`` is the number of its latest
        version; MovedError where there is a newer one.
        """
        with self._catalog.writing() as session:
            dataset = find_dataset(session, name)
            check_head(session, dataset, MAIN, follows)
            users = [f"{use.user_kind} {use.user_ref}" for use in uses_of(session, dataset)]
            others = sorted({user for user in users if not user.startswith(f"dataset {name}@")})
            if others and not force:
                raise ConflictError(
                    f"The dataset '{name}' is needed by {', '.join(others[:5])}{' …' if len(others) > 5 else ''}.",
                    hint="Remove it with force (--force) if their lineage may end there.",
                )
            versions = VersionRow.dataset_id == dataset.id
            folders = session.scalars(select(VersionRow.table_id).where(versions).distinct()).all()
            for table in (VersionRow, BranchRow, DatasetAliasRow, DatasetUseRow, DatasetViewRow):
                session.execute(delete(table).where(table.dataset_id == dataset.id))
            dataset.removed = now()
            tell(session, "dataset.removed", DatasetRemoved(name, dataset.last_number), dataset.project_id)
        with self._scratch.alone() as alone:
            if alone:  # else, as after a kill, doctor and the garbage collection clear them
                self._clear(folders)

    def _clear(self, folders: Iterable[str]) -> None:
        """Remove tables that no version is in; a copy of a dataset under another name shares the table."""
        with self._catalog.reading() as session:
            needed = set(session.scalars(select(VersionRow.table_id).distinct()))
        for folder in set(folders) - needed:
            shutil.rmtree(self._folder / f"{folder}.lance", ignore_errors=True)

    def _snapshot(self, row: VersionRow) -> Snapshot:
        return Snapshot(self._folder / f"{row.table_id}.lance", row.table_version, Schema.from_json(row.schema))
