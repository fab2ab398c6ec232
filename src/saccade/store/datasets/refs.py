"""Names for versions of datasets: branches, which grow; aliases, which move; and tags, which stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.store.catalog.names import MAIN, check_selector, split_ref
from saccade.store.catalog.queries import find_branch, find_dataset, find_version
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import BranchRow, DatasetAliasRow, DatasetViewRow, now
from saccade.store.datasets.rows import check_head, record_alias, refuse_taken_selector


@dataclass(frozen=True, slots=True)
class View:
    """How somebody looks at a dataset: filters, as the screen has them in its address."""

    name: str
    filters: Mapping[str, Any]
    author: str
    created: datetime


_LONGEST = 100
_TAG_HINT = "Choose another name, or take the tag away first."


class DatasetNames:
    """The part of ``Datasets`` that names versions and reads or writes no data."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def branch(self, name: str, branch: str, from_ref: str, *, follows: int | None = None) -> None:
        """A new branch that begins at a version; ``from_ref`` is a reference or what follows its '@'.

        ``follows`` is the number of the latest version; MovedError where there is a newer one.
        """
        check_selector("branch", branch)
        selector = split_ref(from_ref)[1] if "@" in from_ref or from_ref == name else from_ref
        with self._catalog.writing() as session:
            dataset = find_dataset(session, name)
            check_head(session, dataset, MAIN, follows)
            refuse_taken_selector(session, dataset, branch)
            number = find_version(session, dataset, selector).number
            session.add(BranchRow(dataset_id=dataset.id, name=branch, head=number))

    def remove_branch(self, name: str, branch: str, *, follows: int | None = None) -> None:
        """Take a branch away; its versions stay, by their numbers. InvalidValueError for the main one.

        ``follows`` is the number that it ends at; MovedError where somebody wrote to it since.
        """
        if branch == MAIN:
            raise InvalidValueError(f"The branch '{MAIN}' stays.", hint="Remove the dataset, if all of it is to go.")
        with self._catalog.writing() as session:
            dataset = find_dataset(session, name)
            row = find_branch(session, dataset, branch)
            check_head(session, dataset, branch, follows)
            session.delete(row)

    def alias(
        self, name: str, alias: str, number: int, *, fixed: bool = False, author: str = "", follows: int | None = None
    ) -> int | None:
        """Let an alias name a version; returns the number that it named before.

        Args:
            fixed: for good, as a tag; ConflictError where somebody tries to move it.
            follows: the number of the latest version; MovedError where there is a newer one.
        """
        check_selector("alias", alias)
        with self._catalog.writing() as session:
            dataset = find_dataset(session, name)
            check_head(session, dataset, MAIN, follows)
            find_version(session, dataset, str(number))
            row = session.get(DatasetAliasRow, (dataset.id, alias))
            if row is None:
                refuse_taken_selector(session, dataset, alias)
            elif row.fixed and row.number != number:
                raise ConflictError(f"'{alias}' is a tag: it names {name}@{row.number} for good.", hint=_TAG_HINT)
            previous = None if row is None else row.number
            row = row or DatasetAliasRow(dataset_id=dataset.id, name=alias, number=number, fixed=False)
            row.number, row.fixed = number, row.fixed or fixed
            session.add(row)
            record_alias(session, name, alias, previous=previous, number=number, author=author)
        return previous

    def unalias(self, name: str, alias: str, *, author: str = "", follows: int | None = None) -> None:
        """Take an alias away; NotFoundError where there is none. ``follows`` as in :meth:`alias`."""
        with self._catalog.writing() as session:
            dataset = find_dataset(session, name)
            check_head(session, dataset, MAIN, follows)
            row = session.get(DatasetAliasRow, (dataset.id, alias))
            if row is None:
                raise NotFoundError(f"The dataset '{name}' has no alias '{alias}'.")
            session.delete(row)
            record_alias(session, name, alias, previous=row.number, number=None, author=author)

    def tags(self, name: str) -> dict[str, int]:
        """The aliases that never move."""
        with self._catalog.reading() as session:
            dataset = find_dataset(session, name)
            tags = select(DatasetAliasRow).where(DatasetAliasRow.dataset_id == dataset.id, DatasetAliasRow.fixed)
            return {row.name: row.number for row in session.scalars(tags.order_by(DatasetAliasRow.name))}

    def aliases(self, name: str) -> dict[str, int]:
        """The aliases of a dataset and the versions they name."""
        with self._catalog.reading() as session:
            dataset = find_dataset(session, name)
            rows = session.scalars(
                select(DatasetAliasRow).where(DatasetAliasRow.dataset_id == dataset.id).order_by(DatasetAliasRow.name)
            )
            return {row.name: row.number for row in rows}

    def branches(self, name: str) -> dict[str, int]:
        """The branches of a dataset and their heads."""
        with self._catalog.reading() as session:
            dataset = find_dataset(session, name)
            rows = session.scalars(select(BranchRow).where(BranchRow.dataset_id == dataset.id).order_by(BranchRow.name))
            return {row.name: row.head for row in rows}

    def views(self, name: str) -> list[View]:
        """The views that were kept of a dataset, by name."""
        with self._catalog.reading() as session:
            dataset = find_dataset(session, name)
            wanted = select(DatasetViewRow).where(DatasetViewRow.dataset_id == dataset.id).order_by(DatasetViewRow.name)
            return [View(row.name, row.filters, row.author, row.created) for row in session.scalars(wanted)]

    def keep_view(self, name: str, view: str, filters: Mapping[str, Any], *, author: str = "") -> None:
        """Keep a view under a name, in the place of one that has it."""
        if not view.strip() or len(view) > _LONGEST or not view.isprintable():
            raise InvalidValueError(f"A view needs a name of 1 to {_LONGEST} printable characters.")
        with self._catalog.writing() as session:
            dataset = find_dataset(session, name)
            row = session.get(DatasetViewRow, (dataset.id, view))
            row = row or DatasetViewRow(dataset_id=dataset.id, name=view)
            row.filters, row.author, row.created = dict(filters), author, now()
            session.add(row)

    def forget_view(self, name: str, view: str) -> None:
        """Let a view go; NotFoundError where there is none."""
        with self._catalog.writing() as session:
            dataset = find_dataset(session, name)
            row = session.get(DatasetViewRow, (dataset.id, view))
            if row is None:
                raise NotFoundError(f"The dataset '{name}' has no view '{view}'.")
            session.delete(row)
