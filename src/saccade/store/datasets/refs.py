"""Refs of datasets: branches, aliases, tags (aliases that never move), and saved views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.records.datasets import SavedView
from saccade.core.refs import MAIN, check_selector, split_branch_ref, split_ref
from saccade.store.catalog.queries import find_branch, find_dataset, find_version
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import BranchRow, DatasetAliasRow, DatasetViewRow, now
from saccade.store.datasets.label_sets import check_no_label_set
from saccade.store.datasets.rows import check_head, check_selector_free, log_alias_move

_MAX_VIEW_NAME = 100
_TAG_HINT = "Choose another name, or delete the tag first."


class DatasetRefs:
    """The methods of ``Datasets`` for branches, aliases, tags and saved views. They read and write only the catalog.

    Where a method has an ``expected_version``, the name may be ``NAME@BRANCH``: it is the head of that branch.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def resolve_branch(self, ref: str, branch: str | None = None) -> tuple[str, str]:
        """Return the name of the dataset and the branch that a write to a reference goes to.

        Args:
            ref: ``cells`` (the main branch) or ``cells@review``.
            branch: the branch, if ``ref`` is only the name of the dataset.

        Raises:
            InvalidValueError: if the reference names a version, an alias or a tag.
            NotFoundError: if there is no such dataset or branch.
        """
        name, branch = split_branch_ref(ref, branch)
        with self._catalog.read_tx() as session:
            find_branch(session, find_dataset(session, name), branch)
        return name, branch

    def branch(
        self, name: str, branch: str, from_ref: str | None = None, *, expected_version: int | None = None
    ) -> None:
        """Create a branch.

        Args:
            name: name of the dataset.
            branch: name of the branch.
            from_ref: where it starts: a reference such as ``cells@7``, or only the part after '@'. Default: the head of
                the main branch.
            expected_version: the number of the head, as the caller knows it.

        Raises:
            ConflictError: if a branch or alias of that name exists.
            StaleVersionError: if there is a newer version than ``expected_version``.
        """
        check_selector("branch", branch)
        name, checked_branch = split_branch_ref(name)
        from_ref = from_ref or name
        selector = split_ref(from_ref)[1] if "@" in from_ref or from_ref == name else from_ref
        with self._catalog.write_tx() as session:
            dataset = find_dataset(session, name)
            check_head(session, dataset, checked_branch, expected_version)
            check_selector_free(session, dataset, branch)
            number = find_version(session, dataset, selector).number
            session.add(BranchRow(dataset_id=dataset.id, name=branch, head=number))

    def delete_branch(self, name: str, branch: str, *, expected_version: int | None = None) -> None:
        """Delete a branch. Its versions remain, by number.

        Args:
            name: name of the dataset.
            branch: name of the branch.
            expected_version: the number of its head, as the caller knows it.

        Raises:
            ConflictError: if a label set commits to it.
            InvalidValueError: for the main branch.
            NotFoundError: if there is no such branch.
            StaleVersionError: if the head is not ``expected_version``.
        """
        if branch == MAIN:
            raise InvalidValueError(
                f"The branch '{MAIN}' cannot be deleted.", hint="To delete everything, remove the dataset."
            )
        with self._catalog.write_tx() as session:
            dataset = find_dataset(session, name)
            row = find_branch(session, dataset, branch)
            check_head(session, dataset, branch, expected_version)
            check_no_label_set(session, dataset, branch)
            session.delete(row)

    def alias(
        self,
        name: str,
        alias: str,
        number: int,
        *,
        fixed: bool = False,
        author: str = "",
        expected_version: int | None = None,
    ) -> int | None:
        """Create or move an alias.

        Args:
            name: name of the dataset.
            alias: name of the alias.
            number: the version that it refers to from now on.
            fixed: make it a tag, which cannot be moved.
            author: who moves it, for the alias history.
            expected_version: the number of the head, as the caller knows it.

        Returns:
            The number of the version that it referred to before, or None if it is new.

        Raises:
            ConflictError: if a branch of that name exists, or the alias is a tag of another version.
            StaleVersionError: if there is a newer version than ``expected_version``.
        """
        check_selector("alias", alias)
        name, checked_branch = split_branch_ref(name)
        with self._catalog.write_tx() as session:
            dataset = find_dataset(session, name)
            check_head(session, dataset, checked_branch, expected_version)
            find_version(session, dataset, str(number))
            row = session.get(DatasetAliasRow, (dataset.id, alias))
            if row is None:
                check_selector_free(session, dataset, alias)
            elif row.fixed and row.number != number:
                raise ConflictError(f"'{alias}' is a tag of {name}@{row.number}: tags cannot be moved.", hint=_TAG_HINT)
            previous = None if row is None else row.number
            row = row or DatasetAliasRow(dataset_id=dataset.id, name=alias, number=number, fixed=False)
            row.number = number
            row.fixed = row.fixed or fixed
            session.add(row)
            log_alias_move(session, name, alias, previous=previous, number=number, author=author)
        return previous

    def delete_alias(self, name: str, alias: str, *, author: str = "", expected_version: int | None = None) -> None:
        """Delete an alias or tag. ``expected_version`` as in :meth:`alias`.

        Raises:
            NotFoundError: if there is no such alias.
            StaleVersionError: if there is a newer version than ``expected_version``.
        """
        name, checked_branch = split_branch_ref(name)
        with self._catalog.write_tx() as session:
            dataset = find_dataset(session, name)
            check_head(session, dataset, checked_branch, expected_version)
            row = session.get(DatasetAliasRow, (dataset.id, alias))
            if row is None:
                raise NotFoundError(f"The dataset '{name}' has no alias '{alias}'.")
            session.delete(row)
            log_alias_move(session, name, alias, previous=row.number, number=None, author=author)

    def tags(self, name: str) -> dict[str, int]:
        """Return the tags of a dataset and the versions that they refer to."""
        with self._catalog.read_tx() as session:
            dataset = find_dataset(session, name)
            tags = select(DatasetAliasRow).where(DatasetAliasRow.dataset_id == dataset.id, DatasetAliasRow.fixed)
            return {row.name: row.number for row in session.scalars(tags.order_by(DatasetAliasRow.name))}

    def aliases(self, name: str) -> dict[str, int]:
        """Return the aliases of a dataset, tags included, and the versions that they refer to."""
        with self._catalog.read_tx() as session:
            dataset = find_dataset(session, name)
            rows = session.scalars(
                select(DatasetAliasRow).where(DatasetAliasRow.dataset_id == dataset.id).order_by(DatasetAliasRow.name)
            )
            return {row.name: row.number for row in rows}

    def branches(self, name: str) -> dict[str, int]:
        """Return the branches of a dataset and their heads."""
        with self._catalog.read_tx() as session:
            dataset = find_dataset(session, name)
            rows = session.scalars(select(BranchRow).where(BranchRow.dataset_id == dataset.id).order_by(BranchRow.name))
            return {row.name: row.head for row in rows}

    def views(self, name: str) -> list[SavedView]:
        """Return the saved views of a dataset, ordered by name."""
        with self._catalog.read_tx() as session:
            dataset = find_dataset(session, name)
            query = select(DatasetViewRow).where(DatasetViewRow.dataset_id == dataset.id).order_by(DatasetViewRow.name)
            return [SavedView(row.name, row.filters, row.author, row.created) for row in session.scalars(query)]

    def save_view(self, name: str, view: str, filters: Mapping[str, Any], *, author: str = "") -> None:
        """Save a view, replacing any of the same name.

        Args:
            name: name of the dataset.
            view: name of the view.
            filters: the filters, as query parameters of the items screen.
            author: who saves it.

        Raises:
            InvalidValueError: if the name is empty, too long or not printable.
        """
        if not view.strip() or len(view) > _MAX_VIEW_NAME or not view.isprintable():
            raise InvalidValueError(f"A view needs a name of 1 to {_MAX_VIEW_NAME} printable characters.")
        with self._catalog.write_tx() as session:
            dataset = find_dataset(session, name)
            row = session.get(DatasetViewRow, (dataset.id, view))
            row = row or DatasetViewRow(dataset_id=dataset.id, name=view)
            row.filters = dict(filters)
            row.author = author
            row.created = now()
            session.add(row)

    def delete_view(self, name: str, view: str) -> None:
        """Delete a saved view.

        Raises:
            NotFoundError: if there is no such view.
        """
        with self._catalog.write_tx() as session:
            dataset = find_dataset(session, name)
            row = session.get(DatasetViewRow, (dataset.id, view))
            if row is None:
                raise NotFoundError(f"The dataset '{name}' has no view '{view}'.")
            session.delete(row)
