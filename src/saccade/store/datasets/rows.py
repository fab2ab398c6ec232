"""The rows of the catalog that stand for datasets and their versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, MovedError, SaccadeError
from saccade.core.schema import Schema
from saccade.core.webhooks.events import DatasetVersionMade
from saccade.store.catalog.names import MAIN, exact
from saccade.store.catalog.queries import check_run, find_branch, project_id, record_uses
from saccade.store.catalog.tables import (
    AliasChangeRow,
    BranchRow,
    DatasetAliasRow,
    DatasetRow,
    VersionRow,
    new_uid,
    now,
)
from saccade.store.datasets.mutations import Change
from saccade.store.datasets.version import VersionInfo
from saccade.store.webhooks.outbox_writer import tell


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """A dataset at its latest version; ``columns`` maps names to kinds."""

    name: str
    latest: int
    items: int
    created: datetime
    updated: datetime
    columns: dict[str, str]


@dataclass(frozen=True, slots=True)
class Note:
    """What is recorded with a version besides its content.

    Attributes:
        follows: the number that the branch must end at, which this version is to follow; None for any.
    """

    branch: str = MAIN
    message: str = ""
    author: str = ""
    run_id: str | None = None
    inputs: tuple[str, ...] = ()
    merged: int | None = None
    follows: int | None = None


def taken(name: str) -> SaccadeError:
    return ConflictError(
        f"There is a dataset '{name}' already.", hint="Choose another name, or mode 'append', 'merge' or 'replace'."
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


def new_dataset(session: Session, name: str) -> DatasetRow:
    """The row of a dataset that is not there: a fresh one, or that of a removed one with its count of versions."""
    project = project_id(session)
    row = session.scalar(select(DatasetRow).where(DatasetRow.project_id == project, DatasetRow.name == name))
    if row is None:
        row = DatasetRow(project_id=project, name=name, last_number=0)
        session.add(row)
        session.flush()
    elif row.removed is None:
        raise taken(name)
    else:
        row.removed = None
        row.created = now()
        row.uid = new_uid()
    return row


def add_version(session: Session, dataset: DatasetRow, parent: int | None, change: Change, note: Note) -> VersionRow:
    counted = update(DatasetRow).where(DatasetRow.id == dataset.id).values(last_number=DatasetRow.last_number + 1)
    session.execute(counted, execution_options={"synchronize_session": False})
    number = session.scalars(select(DatasetRow.last_number).where(DatasetRow.id == dataset.id)).one()
    check_run(session, note.run_id)
    row = VersionRow(
        dataset_id=dataset.id,
        number=number,
        branch=note.branch,
        parent=parent,
        merged=note.merged,
        table_id=change.snapshot.table_id,
        table_version=change.snapshot.version,
        schema=change.snapshot.schema.to_json(),
        message=note.message,
        author=note.author,
        created=now(),
        items=change.items,
        added=change.added,
        removed=change.removed,
        changed=change.changed,
        run_id=note.run_id,
        inputs=record_uses(session, note.inputs, "dataset", exact(dataset.name, number)),
    )
    session.add(row)
    session.flush()
    tell_version(session, dataset, row)
    return row


def tell_version(session: Session, dataset: DatasetRow, row: VersionRow) -> None:
    """Let webhooks know of a new version."""
    made = DatasetVersionMade(
        dataset.name,
        row.number,
        exact(dataset.name, row.number),
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
    tell(session, "dataset.version", made, dataset.project_id)


def refuse_taken_selector(session: Session, dataset: DatasetRow, name: str) -> None:
    for what, table in (("branch", BranchRow), ("alias", DatasetAliasRow)):
        if session.get(table, (dataset.id, name)) is not None:
            raise ConflictError(f"The dataset '{dataset.name}' has a{'n' * (what == 'alias')} {what} '{name}' already.")


def check_head(session: Session, dataset: DatasetRow, branch: str, number: int | None) -> None:
    """MovedError where a branch does not end at this version any more; None holds always."""
    if number is None:
        return
    head = find_branch(session, dataset, branch).head
    if head != number:
        raise MovedError(
            f"'{dataset.name}@{branch}' is no longer version {number}, but {head}.",
            hint="Nothing was changed. Look at what is there now, and then try again.",
        )


def move_head(session: Session, dataset: DatasetRow, branch: str, before: int, after: int) -> bool:
    """Make a version the head of a branch if another still is; whether it was."""
    here = (BranchRow.dataset_id == dataset.id, BranchRow.name == branch)
    moved = update(BranchRow).where(*here, BranchRow.head == before).values(head=after).returning(BranchRow.head)
    return session.execute(moved).scalar() is not None


def record_alias(
    session: Session, name: str, alias: str, *, previous: int | None, number: int | None, author: str
) -> None:
    session.add(
        AliasChangeRow(subject="dataset", name=name, alias=alias, previous=previous, number=number, author=author)
    )
