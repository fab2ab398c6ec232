"""Datasets: named tables of items with immutable versions."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, get_args

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from saccade.core.class_edits import ClassPlan
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.merge import Merged, Resolver
from saccade.core.progress import NullProgress, Progress
from saccade.core.reader import Item
from saccade.core.records.datasets import DatasetInfo, VersionInfo, WriteMode
from saccade.core.refs import MAIN, check_name, format_ref, split_branch_ref, split_ref
from saccade.core.schema import Column, Schema
from saccade.core.version_graph import common_ancestor
from saccade.core.webhooks.events import DatasetRemoved
from saccade.runtime.signals import deferred_interrupts
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.catalog.queries import (
    consumers,
    find_branch,
    find_dataset,
    find_version,
    require_run,
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
from saccade.store.datasets.label_sets import delete_label_sets
from saccade.store.datasets.refs import DatasetRefs
from saccade.store.datasets.rows import (
    CommitInfo,
    advance_head,
    check_head,
    create_dataset,
    create_version,
    dataset_info,
    name_conflict,
    version_info,
)
from saccade.store.io.scratch import ScratchDir
from saccade.store.webhooks.outbox_writer import publish_event

if TYPE_CHECKING:
    # Lance, NumPy and pyarrow.compute take most of the start-up time, and listing datasets needs none of them.
    from saccade.store.datasets.diff import DatasetDiff
    from saccade.store.datasets.mutations import Mutation
    from saccade.store.datasets.version import DatasetVersion
    from saccade.store.table.snapshot import Snapshot
    from saccade.store.table.staging import StagedItems
    from saccade.store.table.uncommitted import UncommittedFiles

_MAX_ATTEMPTS = 50
Log = list[VersionInfo]
BuildMutation: TypeAlias = "Callable[[Snapshot, int], Mutation]"
"""Creates a mutation on top of a snapshot, the head of a branch, given also its version number."""
RecordCommit: TypeAlias = "Callable[[Session, int], None]"
"""Records a commit, given the number of the version, in the transaction that makes it the head."""


class ChangeSet(Protocol):
    """Changes on top of a version that is not always the head any more; see :meth:`Datasets.commit_changes`."""

    def build(self, base: Snapshot, folder: Path) -> Mutation:
        """Apply the changes to the base. Called again if another commit comes first.

        Args:
            base: the version that the changes are based on.
            folder: where temporary files are created.
        """

    def prepare(self, changed: Snapshot, result: Snapshot) -> None:
        """Prepare the record, before the transaction: it is the only one in the workspace while it is open.

        Args:
            changed: the base with the changes.
            result: the snapshot that becomes the version: the same, or the merge with the head.
        """

    def record(self, session: Session, number: int) -> None:
        """Record that version ``number`` has the changes, in the transaction that makes it the head of the branch."""


class _StaleHeadError(Exception):
    """Another commit has moved the head of the branch."""


class _NoChangeError(Exception):
    """There is nothing to commit."""


class Datasets(DatasetRefs):
    """The datasets of a workspace.

    Writes use optimistic concurrency: a write stages its items, writes a detached Lance version, and then, in one
    transaction of the catalog, makes it the head of the branch if the head is still its parent. Otherwise it is written
    again on top of the new head, from the staged items. So writers neither wait for nor overwrite each other.
    """

    def __init__(self, catalog: Catalog, folder: Path, objects: BlobStore, scratch: ScratchDir) -> None:
        """Open the datasets.

        Args:
            catalog: the catalog, scoped to a project.
            folder: where the tables are.
            objects: the blobs that items refer to.
            scratch: for temporary files.
        """
        super().__init__(catalog)
        self._folder = folder
        self._objects = objects
        self._scratch = scratch

    # Reading

    def list(self) -> list[DatasetInfo]:
        """Return all datasets ordered by name, each at the head of its main branch."""
        query = (
            select(DatasetRow, VersionRow)
            .join(BranchRow, (BranchRow.dataset_id == DatasetRow.id) & (BranchRow.name == MAIN))
            .join(VersionRow, (VersionRow.dataset_id == DatasetRow.id) & (VersionRow.number == BranchRow.head))
            .where(DatasetRow.removed.is_(None))
            .order_by(DatasetRow.name)
        )
        with self._catalog.read_tx() as session:
            return [dataset_info(dataset, version) for dataset, version in session.execute(query)]

    def exists(self, name: str) -> bool:
        is_current = (DatasetRow.name == name, DatasetRow.removed.is_(None))
        with self._catalog.read_tx() as session:
            return session.scalar(select(DatasetRow.id).where(*is_current)) is not None

    def open(self, ref: str) -> DatasetVersion:
        """Open a version.

        Args:
            ref: ``cells`` (the head of the main branch), ``cells@7``, ``cells@latest``, ``cells@alias`` or
                ``cells@branch``.

        Raises:
            NotFoundError: if there is no such dataset or version.
        """
        from saccade.store.datasets.version import DatasetVersion

        name, selector = split_ref(ref)
        with self._catalog.read_tx() as session:
            row = find_version(session, find_dataset(session, name), selector)
        return DatasetVersion(name, version_info(row), self._snapshot(row), self._objects)

    def log(self, name: str, branch: str | None = None) -> Log:
        """Return all versions, or the history of one branch, newest first."""
        with self._catalog.read_tx() as session:
            dataset = find_dataset(session, name)
            rows = session.scalars(
                select(VersionRow).where(VersionRow.dataset_id == dataset.id).order_by(VersionRow.number.desc())
            ).all()
            number = None if branch is None else find_branch(session, dataset, branch).head
        infos = [version_info(row) for row in rows]
        if number is None:
            return infos
        history = []
        for info in infos:  # a parent has a smaller number than its child, so one pass suffices
            if info.number == number:
                history.append(info)
                number = info.parent
        return history

    def column_history(self, name: str, column: str, first: int, last: int) -> Sequence[Column]:
        """Return a column in each version from ``first`` to ``last``, along the parents and merges of ``last``.

        Args:
            name: name of the dataset.
            column: name of the column.
            first, last: version numbers.

        Returns:
            The columns, the oldest first; empty if ``last`` does not descend from ``first`` or a version between them
            does not have the column.

        Raises:
            NotFoundError: if there is no such dataset.
        """
        with self._catalog.read_tx() as session:
            dataset = find_dataset(session, name)
            query = select(VersionRow.number, VersionRow.parent, VersionRow.merged, VersionRow.schema).where(
                VersionRow.dataset_id == dataset.id, VersionRow.number >= first, VersionRow.number <= last
            )
            versions = {number: row for number, *row in session.execute(query.order_by(VersionRow.number))}
        descendants = {first}  # a version has a larger number than its parents, so one pass suffices
        for number, (parent, merged, _) in versions.items():
            if parent in descendants or merged in descendants:
                descendants.add(number)
        if last not in descendants:
            return []
        columns = []
        number = last
        while number in versions:
            parent, merged, schema = versions[number]
            version_schema = Schema.from_json(schema)
            if column not in version_schema:
                return []
            columns.append(version_schema[column])
            if number == first:
                return columns[::-1]
            number = parent if parent in descendants else merged
        return []

    def diff(self, ref_a: str, ref_b: str) -> DatasetDiff:
        """Compare two versions, of one dataset or of two."""
        from saccade.store.datasets.diff import DatasetDiff
        from saccade.store.datasets.row_diff import Comparison

        before = self.open(ref_a)
        after = self.open(ref_b)

        def histories(column: str) -> tuple[Sequence[Column], Sequence[Column]]:
            if before.name != after.name:
                return (), ()
            ancestor = self._common_ancestor(before.name, before.number, after.number)
            return self._histories(before.name, column, ancestor, (before.number, after.number))

        return DatasetDiff(before.ref, after.ref, Comparison(before.snapshot, after.snapshot), histories)

    def _histories(
        self, name: str, column: str, ancestor: int, versions: tuple[int, int]
    ) -> tuple[Sequence[Column], Sequence[Column]]:
        """Return a column in each version from a common ancestor to each of two versions."""
        first, second = versions
        return self.column_history(name, column, ancestor, first), self.column_history(name, column, ancestor, second)

    # Writing

    def write(
        self,
        name: str,
        schema: Schema,
        items: Iterable[Item],
        *,
        mode: WriteMode,
        message: str = "",
        run_id: str | None = None,
        inputs: Sequence[str] = (),
        branch: str | None = None,
        progress: Progress | None = None,
        author: str = "",
        expected_version: int | None = None,
    ) -> DatasetVersion:
        """Write items as the next version, all or nothing.

        Args:
            name: name of the dataset, or ``NAME@BRANCH``.
            schema: the columns of ``items``. Classes that occur in the items and are not listed are added.
            items: the items.
            mode: ``create`` a dataset; ``append`` new items; ``merge`` by key, which changes existing items only in the
                columns of ``schema`` and adds the others; ``replace`` all items and columns, or create.
            message: commit message.
            run_id: the run that writes.
            inputs: references of the dataset versions that the items were made from.
            branch: the branch to commit to, if ``name`` has none; the main branch by default.
            progress: advanced by one for each item.
            author: who writes.
            expected_version: number that the head of the branch must have; None for any.

        Raises:
            ConflictError: if the dataset exists (``create``), a key exists (``append``), or too many other writers
                commit at the same time.
            InvalidValueError: if a value does not fit its column, a key occurs twice, or the target is a version or
                alias instead of a branch.
            NotFoundError: if the dataset or branch does not exist (``append``, ``merge``).
            StaleVersionError: if the head of the branch is not ``expected_version``.
        """
        from saccade.store.table.staging import StagedItems

        # Fail early: reading the items may take minutes, and the commit would fail anyway.
        name, branch = self.resolve_target(name, mode, branch)
        commit = CommitInfo(branch, message, author, run_id, tuple(inputs), expected_version=expected_version)
        self._check_before_staging(name, mode, commit)
        progress = progress or NullProgress()
        progress.start(f"Writing {name}", len(items) if isinstance(items, Sequence) else None)
        with self._scratch.shared() as folder:
            staged = StagedItems(folder, schema, items, progress)
            version = self._write_staged(name, staged, mode, commit, folder)
        progress.finish()
        return version

    def resolve_target(self, ref: str, mode: WriteMode, branch: str | None = None) -> tuple[str, str]:
        """Return the name of the dataset and the branch that a write goes to, if it is possible.

        Args:
            ref: ``cells`` (the main branch) or ``cells@review``.
            mode: how the items are written.
            branch: the branch, if ``ref`` is only the name of the dataset.

        Raises:
            ConflictError: if the dataset exists (``create``).
            InvalidValueError: if the name or the mode is invalid, the reference names a version or alias, or a new
                dataset is to start on another branch than the main one.
            NotFoundError: if the dataset or branch does not exist.
        """
        if mode not in get_args(WriteMode):
            raise InvalidValueError(f"Unknown write mode {mode!r}.", hint=f"Modes: {', '.join(get_args(WriteMode))}.")
        name, branch = split_branch_ref(ref, branch)
        check_name("dataset", name)
        exists = self.exists(name)
        if mode == "create" and exists:
            raise name_conflict(name)
        if exists or mode in ("append", "merge"):
            return self.resolve_branch(name, branch)
        if branch != MAIN:
            raise InvalidValueError(f"A new dataset starts on the branch '{MAIN}', not '{branch}'.")
        return name, branch

    def validate(self, schema: Schema, items: Iterable[Item]) -> None:
        """Check items as :meth:`write` does, without writing.

        Raises:
            InvalidValueError: if a value does not fit its column or a key occurs twice.
        """
        from saccade.store.table.staging import StagedItems

        with self._scratch.shared() as folder:
            StagedItems(folder, schema, items, NullProgress())

    def _check_before_staging(self, name: str, mode: WriteMode, commit: CommitInfo) -> None:
        with self._catalog.read_tx() as session:
            require_run(session, commit.run_id)
            if mode in ("append", "merge"):
                check_head(session, find_dataset(session, name), commit.branch, commit.expected_version)

    def _write_staged(
        self, name: str, staged: StagedItems, mode: WriteMode, commit: CommitInfo, folder: Path
    ) -> DatasetVersion:
        from saccade.store.datasets import mutations

        if mode == "create" or (mode == "replace" and not self.exists(name)):
            return self._create(name, staged, commit)
        return self._commit_on_head(
            name,
            commit,
            {
                "append": lambda head, _: mutations.append(head, staged),
                "merge": lambda head, _: mutations.merge(head, staged, folder),
                "replace": lambda head, _: mutations.replace_all(head, staged),
            }[mode],
        )

    def _create(self, name: str, staged: StagedItems, commit: CommitInfo) -> DatasetVersion:
        from saccade.store.datasets import mutations
        from saccade.store.datasets.version import DatasetVersion
        from saccade.store.query.index_warmup import build_indexes
        from saccade.store.table.uncommitted import rollback_on_error

        try:
            with rollback_on_error() as uncommitted:
                mutation = mutations.create(self._folder, staged)
                uncommitted.sync()
                with deferred_interrupts(), self._catalog.write_tx() as session:
                    dataset = create_dataset(session, name)
                    row = create_version(session, dataset, None, mutation, commit)
                    session.add(BranchRow(dataset_id=dataset.id, name=MAIN, head=row.number))
                    session.flush()
                    uncommitted.commit()
        except IntegrityError as error:
            raise name_conflict(name) from error
        build_indexes(mutation.snapshot)
        return DatasetVersion(name, version_info(row), mutation.snapshot, self._objects)

    def _commit_on_head(
        self, name: str, commit: CommitInfo, build_mutation: BuildMutation, record: RecordCommit | None = None
    ) -> DatasetVersion:
        """Commit a mutation on top of the head of a branch; build it again each time another commit comes first."""
        from saccade.store.datasets.version import DatasetVersion
        from saccade.store.query.index_warmup import build_indexes
        from saccade.store.table.uncommitted import rollback_on_error

        for attempt in range(_MAX_ATTEMPTS):
            with self._catalog.read_tx() as session:
                dataset = find_dataset(session, name)
                check_head(session, dataset, commit.branch, commit.expected_version)
                head = find_version(session, dataset, str(find_branch(session, dataset, commit.branch).head))
            snapshot = self._snapshot(head)
            with suppress(_StaleHeadError), rollback_on_error() as uncommitted:
                mutation = build_mutation(snapshot, head.number)
                uncommitted.sync()
                row = self._commit(dataset, head, mutation, commit, uncommitted, record)
                build_indexes(mutation.snapshot)
                return DatasetVersion(name, version_info(row), mutation.snapshot, self._objects)
            # Random, so that concurrent writers do not retry in step.
            time.sleep(random.uniform(0, 0.02 * min(attempt + 1, 10)))  # noqa: S311
        raise ConflictError(
            f"Too many concurrent writes to '{name}@{commit.branch}' ({_MAX_ATTEMPTS} attempts).",
            hint="Nothing was changed; try again.",
        )

    def _commit(
        self,
        dataset: DatasetRow,
        head: VersionRow,
        mutation: Mutation,
        commit: CommitInfo,
        uncommitted: UncommittedFiles,
        record: RecordCommit | None = None,
    ) -> VersionRow:
        """Add the version to the catalog and move the head: the commit point of a write.

        ``record`` is called in the transaction with the number of the version.
        """
        with deferred_interrupts(), self._catalog.write_tx() as session:
            current = session.get(DatasetRow, dataset.id)
            if current is None or current.removed is not None:
                raise NotFoundError(f"The dataset '{dataset.name}' was removed during the write.")
            row = create_version(session, current, head.number, mutation, commit)
            if not advance_head(session, dataset, commit.branch, head.number, row.number):
                raise _StaleHeadError
            if record is not None:
                record(session, row.number)
            # Before the transaction ends: if its commit reports an error, it may still have succeeded.
            uncommitted.commit()
        return row

    def delete_items(
        self,
        name: str,
        keys: Iterable[str],
        message: str = "",
        *,
        branch: str | None = None,
        author: str = "",
        expected_version: int | None = None,
        run_id: str | None = None,
    ) -> DatasetVersion:
        """Delete items.

        Args:
            name: name of the dataset, or ``NAME@BRANCH``.
            keys: keys of the items.
            message, branch, author, expected_version, run_id: see :meth:`write`.

        Raises:
            NotFoundError: if a key does not exist.
            StaleVersionError: if the head of the branch is not ``expected_version``.
        """
        from saccade.store.datasets import mutations

        key_list = list(keys)  # read again at each attempt
        name, branch = split_branch_ref(name, branch)
        commit = CommitInfo(branch, message, author, run_id, expected_version=expected_version)
        with self._scratch.shared():
            return self._commit_on_head(name, commit, lambda head, _: mutations.delete(head, key_list))

    def relabel(
        self,
        name: str,
        plan: Callable[[Schema], ClassPlan],
        *,
        message: str = "",
        branch: str | None = None,
        author: str = "",
        expected_version: int | None = None,
        run_id: str | None = None,
        progress: Progress | None = None,
    ) -> DatasetVersion:
        """Change classes. Only items that have a class whose name changes are written.

        Args:
            name: name of the dataset, or ``NAME@BRANCH``.
            plan: returns the planned classes for a schema. Called again if another commit comes first.
            message, branch, author, expected_version, run_id: see :meth:`write`.
            progress: advanced by the items that change.

        Raises:
            ConflictError: if a class that must be unused still has objects or labels.
            StaleVersionError: if the head of the branch is not ``expected_version``.
        """
        from saccade.store.datasets.classes import apply_class_plan

        name, branch = split_branch_ref(name, branch)
        commit = CommitInfo(branch, message, author, run_id, expected_version=expected_version)
        progress = progress or NullProgress()
        with self._scratch.shared() as folder:
            version = self._commit_on_head(
                name, commit, lambda head, _: apply_class_plan(head, plan(head.schema), folder, progress)
            )
        progress.finish()
        return version

    def restore(
        self,
        name: str,
        number: int,
        message: str = "",
        *,
        branch: str | None = None,
        author: str = "",
        expected_version: int | None = None,
    ) -> DatasetVersion:
        """Commit an old version again as the next one. It shares the data of the old version.

        Args:
            name: name of the dataset, or ``NAME@BRANCH``.
            number: number of the old version.
            message, branch, author, expected_version: see :meth:`write`.

        Raises:
            StaleVersionError: if the head of the branch is not ``expected_version``.
        """
        from saccade.store.datasets import mutations

        name, branch = split_branch_ref(name, branch)
        commit = CommitInfo(branch, message or f"Restored version {number}.", author, expected_version=expected_version)
        # Open the version at each attempt: meanwhile the dataset may be removed and created again without it.
        return self._commit_on_head(
            name, commit, lambda head, _: mutations.fast_forward(head, self.open(format_ref(name, number)).snapshot)
        )

    def merge(
        self,
        ref: str,
        *,
        into: str = MAIN,
        resolver: Resolver | None = None,
        message: str = "",
        author: str = "",
        dry_run: bool = False,
        expected_version: int | None = None,
        run_id: str | None = None,
        progress: Progress | None = None,
    ) -> Merged[DatasetVersion]:
        """Merge a branch or version into a branch of the same dataset, all or nothing.

        Changes of only one side since the common ancestor are taken. Labels, and objects (by id), are merged one by
        one. Whatever both sides changed differently is a conflict. A merge adds columns and classes, and removes none.
        If there is nothing to merge, no version is created.

        Args:
            ref: reference of the version to merge.
            into: the branch to merge into.
            resolver: returns the side to take in a conflict; None leaves it unresolved.
            dry_run: only return what the merge would do.
            message, author, run_id: see :meth:`write`.
            expected_version: number that the head of ``into`` must have; None for any.
            progress: reports the phases.

        Raises:
            MergeConflictError: if conflicts are unresolved.
            StaleVersionError: if the head of ``into`` is not ``expected_version``.
        """
        from saccade.store.datasets import mutations
        from saccade.store.datasets.three_way_merge import MergeOperation

        progress = progress or NullProgress()
        resolver = resolver or (lambda conflict: None)
        source = self.open(ref)
        name = source.name
        commit = CommitInfo(
            into,
            message or f"Merged {ref} ({source.ref}).",
            author,
            run_id,
            merged=source.number,
            expected_version=expected_version,
        )
        results: list[Merged[DatasetVersion]] = []  # of each attempt; the last one counts

        def build_mutation(head: Snapshot, number: int) -> Mutation:
            mutation: Mutation | None
            theirs = self.open(source.ref)
            base = self.open(format_ref(name, self._common_ancestor(name, number, theirs.number)))
            result: Merged[DatasetVersion] = Merged(None, base.ref, format_ref(name, number), theirs.ref)
            if base.number == theirs.number:  # already merged
                results.append(result)
                raise _NoChangeError
            if base.number == number:
                mutation = mutations.fast_forward(head, theirs.snapshot)
                results.append(
                    replace(result, added=mutation.added, removed=mutation.removed, changed=mutation.changed)
                )
            else:
                operation = MergeOperation(
                    base.snapshot,
                    head,
                    theirs.snapshot,
                    lambda column: self._histories(name, column, base.number, (number, theirs.number)),
                    resolver,
                    folder,
                    progress,
                )
                results.append(operation.summary(result))
                mutation = operation.mutation() if not dry_run else None
            if dry_run or mutation is None:
                raise _NoChangeError
            return mutation

        with self._scratch.shared() as folder:
            try:
                version = self._commit_on_head(name, commit, build_mutation)
            except _NoChangeError:
                progress.finish()
                result = results[-1]
                return replace(result, version=None if dry_run else self.open(result.ours))
        progress.finish()
        info = version.info
        return replace(results[-1], version=version, added=info.added, removed=info.removed, changed=info.changed)

    def commit_changes(
        self,
        name: str,
        base: int,
        changes: ChangeSet,
        *,
        branch: str,
        resolver: Resolver | None = None,
        message: str = "",
        author: str = "",
    ) -> DatasetVersion | None:
        """Commit changes to a version on top of a branch, merged if that has moved on, all or nothing.

        The version and its record by ``changes`` are one transaction: neither exists without the other.

        Args:
            name: name of the dataset.
            base: number of the version that the changes are based on: the common ancestor of the merge.
            changes: the changes.
            branch: the branch.
            resolver: returns the side to take in a conflict: "ours" is the branch, "theirs" are the changes.
            message, author: see :meth:`write`.

        Returns:
            The new version; None if it would equal the head of the branch, which then has been recorded.

        Raises:
            MergeConflictError: if conflicts are unresolved.
            NotFoundError: if the dataset, branch or base does not exist any more.
        """
        from saccade.store.datasets.three_way_merge import MergeOperation
        from saccade.store.table.uncommitted import rollback_on_error

        commit = CommitInfo(branch, message, author)
        heads: list[int] = []  # of each attempt; the last one counts

        def build_mutation(head: Snapshot, number: int) -> Mutation:
            heads.append(number)
            base_snapshot = self.open(format_ref(name, base)).snapshot
            if number == base:
                mutation = changes.build(base_snapshot, folder)
                changes.prepare(mutation.snapshot, mutation.snapshot)
            else:
                mutation = merge(head, base_snapshot, number)
            if mutation.snapshot.schema == head.schema and not (mutation.added or mutation.removed or mutation.changed):
                raise _NoChangeError
            return mutation

        def merge(head: Snapshot, base_snapshot: Snapshot, number: int) -> Mutation:
            with rollback_on_error() as temporary:  # no version has the files of the changes alone
                changed = changes.build(base_snapshot, folder).snapshot
            choose_side = resolver or (lambda conflict: None)

            def histories(column: str) -> tuple[Sequence[Column], Sequence[Column]]:
                schemas = (base_snapshot.schema, changed.schema)
                is_new = column not in base_snapshot.schema
                of_changes = [] if is_new else [schema[column] for schema in schemas]
                return self.column_history(name, column, base, number), of_changes

            try:
                operation = MergeOperation(base_snapshot, head, changed, histories, choose_side, folder, NullProgress())
                mutation = operation.mutation()
                changes.prepare(changed, mutation.snapshot)
            finally:
                temporary.delete()
            return mutation

        with self._scratch.shared() as folder:
            try:
                return self._commit_on_head(name, commit, build_mutation, changes.record)
            except _NoChangeError:
                with deferred_interrupts(), self._catalog.write_tx() as session:
                    changes.record(session, heads[-1])
                return None

    def _common_ancestor(self, name: str, first: int, second: int) -> int:
        with self._catalog.read_tx() as session:
            dataset = find_dataset(session, name)
            rows = session.execute(
                select(VersionRow.number, VersionRow.parent, VersionRow.merged).where(
                    VersionRow.dataset_id == dataset.id
                )
            )
            return common_ancestor({number: (parent, merged) for number, parent, merged in rows}, first, second)

    def remove(self, name: str, *, force: bool = False, expected_version: int | None = None) -> None:
        """Remove a dataset with all its versions. A later dataset of the same name does not reuse version numbers.

        Args:
            name: name of the dataset.
            force: also if runs, models or other datasets were made from it, or label sets have uncommitted edits.
            expected_version: number of the latest version, as the caller knows it; None for any.

        Raises:
            ConflictError: if a run, model or other dataset was made from it, or a label set has uncommitted edits.
            StaleVersionError: if there is a newer version than ``expected_version``.
        """
        with self._catalog.essential_tx() as session:
            dataset = find_dataset(session, name)
            check_head(session, dataset, MAIN, expected_version)
            users = [f"{use.user_kind} {use.user_ref}" for use in consumers(session, dataset)]
            other_users = sorted({user for user in users if not user.startswith(f"dataset {name}@")})
            if other_users and not force:
                examples = f"{', '.join(other_users[:5])}{' …' if len(other_users) > 5 else ''}"
                raise ConflictError(
                    f"The dataset '{name}' is used by {examples}.",
                    hint="Remove it with force (--force); their lineage will then end there.",
                )
            delete_label_sets(session, dataset, force=force)
            versions = VersionRow.dataset_id == dataset.id
            table_ids = session.scalars(select(VersionRow.table_id).where(versions).distinct()).all()
            for row_type in (VersionRow, BranchRow, DatasetAliasRow, DatasetUseRow, DatasetViewRow):
                session.execute(delete(row_type).where(row_type.dataset_id == dataset.id))
            dataset.removed = now()
            publish_event(session, "dataset.removed", DatasetRemoved(name, dataset.last_number), dataset.project_id)
        with self._scratch.exclusive() as is_exclusive:
            if is_exclusive:  # otherwise doctor or the garbage collection deletes them later
                self._delete_unused_tables(table_ids)

    def _delete_unused_tables(self, table_ids: Iterable[str]) -> None:
        """Delete tables without versions. A copy of a dataset under another name may share a table."""
        with self._catalog.read_tx() as session:
            used = set(session.scalars(select(VersionRow.table_id).distinct()))
        for table_id in set(table_ids) - used:
            shutil.rmtree(self._folder / f"{table_id}.lance", ignore_errors=True)

    def _snapshot(self, row: VersionRow) -> Snapshot:
        from saccade.store.table.snapshot import Snapshot

        return Snapshot(self._folder / f"{row.table_id}.lance", row.table_version, Schema.from_json(row.schema))
