"""Rows of label sets: counting uncommitted edits, and deleting sets, also together with their dataset."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError
from saccade.store.catalog.tables import (
    DatasetRow,
    LabelClassRow,
    LabelEditRow,
    LabelItemRow,
    LabelObjectRow,
    LabelSetRow,
)


def count_uncommitted(session: Session, row: LabelSetRow) -> int:
    """Return the number of edits by people that are in no version."""
    edits = (LabelEditRow.set_id == row.id, LabelEditRow.seq > row.committed_seq, ~LabelEditRow.is_merge)
    return session.scalar(select(func.count()).select_from(LabelEditRow).where(*edits)) or 0


def delete_label_set(session: Session, row: LabelSetRow) -> None:
    """Delete a label set with its classes, objects and log."""
    for table in (LabelEditRow, LabelObjectRow, LabelItemRow, LabelClassRow):
        session.execute(delete(table).where(table.set_id == row.id))
    session.delete(row)
    session.flush()


def delete_label_sets(session: Session, dataset: DatasetRow, *, force: bool) -> None:
    """Delete the label sets of a dataset.

    Args:
        session: a write transaction.
        dataset: the dataset.
        force: also those with uncommitted edits, which are lost.

    Raises:
        ConflictError: a set has uncommitted edits.
    """
    rows = session.scalars(select(LabelSetRow).where(LabelSetRow.dataset_id == dataset.id)).all()
    names = sorted(row.name for row in rows if count_uncommitted(session, row))
    if names and not force:
        raise ConflictError(
            f"The dataset '{dataset.name}' has label sets with uncommitted edits: {', '.join(names[:5])}"
            f"{' …' if len(names) > 5 else ''}.",
            hint="Commit them: saccade labels commit NAME. Or remove the dataset with force (--force): they are lost.",
        )
    _release_predictions(session, dataset, force=force)
    for row in rows:
        delete_label_set(session, row)


def _release_predictions(session: Session, dataset: DatasetRow, *, force: bool) -> None:
    """Take the predictions of a dataset from the label sets that start with them; decided objects stay.

    Raises:
        ConflictError: there are such sets, and ``force`` is not set.
    """
    is_used = (
        LabelSetRow.predictions.startswith(f"{dataset.name}@", autoescape=True),
        LabelSetRow.project_id == dataset.project_id,
        LabelSetRow.dataset_id != dataset.id,
    )
    rows = session.scalars(select(LabelSetRow).where(*is_used).order_by(LabelSetRow.name)).all()
    if rows and not force:
        raise ConflictError(
            f"The dataset '{dataset.name}' has the predictions of the label set '{rows[0].name}'.",
            hint="Remove it with force (--force); items without edits then start without predictions.",
        )
    for row in rows:
        row.predictions = None
        row.prediction_classes = None
    session.flush()


def check_no_label_set(session: Session, dataset: DatasetRow, branch: str) -> None:
    """Check that no label set commits to a branch.

    Raises:
        ConflictError: a label set does.
    """
    is_target = (LabelSetRow.dataset_id == dataset.id, LabelSetRow.branch == branch)
    name = session.scalar(select(LabelSetRow.name).where(*is_target).limit(1))
    if name is not None:
        raise ConflictError(
            f"The label set '{name}' commits to the branch '{branch}'.",
            hint=f"Remove the label set first: saccade labels remove {name}",
        )
