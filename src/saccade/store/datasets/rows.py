"""Catalog rows of datasets and versions: reading, creating, and moving heads and aliases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, SaccadeError, StaleVersionError
from saccade.core.records.datasets import DatasetInfo, VersionInfo
from saccade.core.refs import MAIN, format_ref
from saccade.core.schema import Schema
from saccade.core.webhooks.events import DatasetVersionCreated
from saccade.store.catalog.queries import add_lineage, find_branch, project_id, require_run
from saccade.store.catalog.tables import (
    AliasChangeRow,
    BranchRow,
    DatasetAliasRow,
    DatasetRow,
    VersionRow,
    new_uid,
    now,
)
from saccade.store.webhooks.outbox_writer import publish_event

if TYPE_CHECKING:
    from saccade.store.datasets.mutations import Mutation


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """Metadata of a commit.

    Attributes:
        branch: the branch to commit to.
        message: the commit message.
        author: who commits.
        run_id: the run that commits.
        inputs: exact references of the versions that the new one was made from.
        merged: number of the version that is merged.
        expected_version: number that the head of the branch must have; None for any.
    """

    branch: str = MAIN
    message: str = ""
    author: str = ""
    run_id: str | None = None
    inputs: tuple[str, ...] = ()
    merged: int | None = None
    expected_version: int | None = None


def name_conflict(name: str) -> SaccadeError:
    """Return the error for a dataset that already exists."""
    return ConflictError(
        f"The dataset '{name}' already exists.", hint="Choose another name, or mode 'append', 'merge' or 'replace'."
    )


def dataset_info(dataset: DatasetRow, version: VersionRow) -> DatasetInfo:
    schema = Schema.from_json(version.schema)
    columns = {column.name: str(column.kind) for column in schema.columns}
    return DatasetInfo(dataset.name, version.number, version.items, dataset.created, version.created, columns)


def version_info(row: VersionRow) -> VersionInfo:
    return VersionInfo(
        row.number,
        row.branch,
        row.parent,
        row.message,
        row.author,
        row.created,
        row.items,
        row.added,
        row.removed,
        row.changed,
        row.run_id,
        tuple(row.inputs),
        row.merged,
    )


def create_dataset(session: Session, name: str) -> DatasetRow:
    """Create a dataset. A removed dataset of the same name is reused, so that its version numbers are not.

    Raises:
        ConflictError: if the dataset exists.
    """
    project = project_id(session)
    row = session.scalar(select(DatasetRow).where(DatasetRow.project_id == project, DatasetRow.name == name))
    if row is None:
        row = DatasetRow(project_id=project, name=name, last_number=0)
        session.add(row)
        session.flush()
    elif row.removed is None:
        raise name_conflict(name)
    else:
        row.removed = None
        row.created = now()
        row.uid = new_uid()
    return row


def create_version(
    session: Session, dataset: DatasetRow, parent: int | None, mutation: Mutation, commit: CommitInfo
) -> VersionRow:
    """Add a version with the next number, its lineage and its webhook event, but without moving a head.

    Args:
        session: a write transaction.
        dataset: the dataset.
        parent: number of the version that it follows; None for the first.
        mutation: the table version.
        commit: metadata.
    """
    # Incremented by the database, so that concurrent commits get different numbers.
    increment = update(DatasetRow).where(DatasetRow.id == dataset.id).values(last_number=DatasetRow.last_number + 1)
    session.execute(increment, execution_options={"synchronize_session": False})
    number = session.scalars(select(DatasetRow.last_number).where(DatasetRow.id == dataset.id)).one()
    require_run(session, commit.run_id)
    row = VersionRow(
        dataset_id=dataset.id,
        number=number,
        branch=commit.branch,
        parent=parent,
        merged=commit.merged,
        table_id=mutation.snapshot.table_id,
        table_version=mutation.snapshot.version,
        schema=mutation.snapshot.schema.to_json(),
        message=commit.message,
        author=commit.author,
        created=now(),
        items=mutation.items,
        added=mutation.added,
        removed=mutation.removed,
        changed=mutation.changed,
        run_id=commit.run_id,
        inputs=add_lineage(session, commit.inputs, "dataset", format_ref(dataset.name, number)),
    )
    session.add(row)
    session.flush()
    publish_version_created(session, dataset, row)
    return row


def publish_version_created(session: Session, dataset: DatasetRow, row: VersionRow) -> None:
    """Publish the webhook event of a new version."""
    event = DatasetVersionCreated(
        dataset.name,
        row.number,
        format_ref(dataset.name, row.number),
        row.branch,
        row.parent,
        row.merged,
        row.message,
        row.author,
        row.items,
        row.added,
        row.removed,
        row.changed,
        row.run_id,
    )
    publish_event(session, "dataset.version", event, dataset.project_id)


def check_selector_free(session: Session, dataset: DatasetRow, name: str) -> None:
    """Check that a name is neither a branch nor an alias; ConflictError otherwise."""
    for ref_type, table in (("a branch", BranchRow), ("an alias", DatasetAliasRow)):
        if session.get(table, (dataset.id, name)) is not None:
            raise ConflictError(f"The dataset '{dataset.name}' already has {ref_type} '{name}'.")


def check_head(session: Session, dataset: DatasetRow, branch: str, expected_version: int | None) -> None:
    """Check that the head of a branch is the expected version; None accepts any.

    Args:
        session: a transaction.
        dataset: the dataset.
        branch: name of the branch.
        expected_version: number that the head must have.

    Raises:
        StaleVersionError: if the head is another version.
    """
    if expected_version is None:
        return
    head = find_branch(session, dataset, branch).head
    if head != expected_version:
        raise StaleVersionError(
            f"'{dataset.name}@{branch}' is no longer version {expected_version}, but {head}.",
            hint="Nothing was changed. Review the current version and try again.",
        )


def advance_head(session: Session, dataset: DatasetRow, branch: str, before: int, after: int) -> bool:
    """Move the head of a branch from one version to the next, unless another commit has moved it.

    Args:
        session: a write transaction.
        dataset: the dataset.
        branch: name of the branch.
        before: number of the expected head.
        after: number of the new head.

    Returns:
        Whether the head was ``before`` and has been moved.
    """
    is_branch = (BranchRow.dataset_id == dataset.id, BranchRow.name == branch)
    statement = update(BranchRow).where(*is_branch, BranchRow.head == before).values(head=after)
    return session.execute(statement.returning(BranchRow.head)).scalar() is not None


def log_alias_move(
    session: Session, name: str, alias: str, *, previous: int | None, number: int | None, author: str
) -> None:
    """Add an entry to the alias history; ``number`` is None if the alias is deleted."""
    session.add(
        AliasChangeRow(subject="dataset", name=name, alias=alias, previous=previous, number=number, author=author)
    )
