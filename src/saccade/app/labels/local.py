"""The label sets of a local workspace for Python programs: ``workspace.label_sets``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from saccade.annotation.commit import Preference
from saccade.annotation.label_sets import LabelSetList, LabelSets
from saccade.annotation.reader import LabelSetReader, class_names
from saccade.annotation.records import (
    CommitPreview,
    CommitResult,
    ItemState,
    LabelledItem,
    LabelSet,
    Start,
    parse_state,
    to_core_objects,
)
from saccade.app.labels.exporting import export_label_set
from saccade.app.labels.importing import LabelImport, import_labels
from saccade.app.labels.label_sets import commit_label_set, create_label_set, delete_label_set, preview_commit
from saccade.core.progress import Progress
from saccade.core.report import ConversionReport
from saccade.store.workspace import Workspace

_PAGE_ITEMS = 1000
KeyList = list[str]


class LocalLabelSets:
    """The label sets of a project of a local workspace; ``label_sets`` of a ``Workspace``.

    Args:
        workspace: The workspace.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._label_sets = LabelSets(workspace)

    def list(self) -> LabelSetList:
        """List the label sets by name."""
        return self._label_sets.list()

    def create(
        self,
        name: str,
        dataset: str,
        *,
        column: str = "objects",
        start: Start = "labels",
        query: str | None = None,
        classes: Sequence[str] = (),
    ) -> LabelSet:
        """Create a label set.

        Args:
            name: Its name.
            dataset: The dataset, ``NAME@BRANCH``, or a version: its branch gets the commits.
            column: The column of objects to label; the first commit adds it if the dataset does not have it.
            start: "labels" starts with the labels of the dataset, "empty" without any.
            query: Only the items that match this query.
            classes: Names of classes to add to those of the column.

        Raises:
            ConflictError: There is a label set of that name.
            NotFoundError: There is no such version.
        """
        return create_label_set(
            self._label_sets, name, dataset, column=column, start=start, query=query, classes=classes
        )

    def get(self, name: str) -> LabelSet:
        """Return a label set with its classes and the number of items in each state.

        Raises:
            NotFoundError: There is no such label set.
        """
        return self._label_sets.get(name)

    def items(self, name: str, *, state: ItemState | str | None = None) -> Iterator[LabelledItem]:
        """Iterate over the items of a label set with their objects after the last edit.

        Args:
            name: The name of the label set.
            state: Only items in this state: unlabelled, in_progress, labelled, empty or skipped.

        Raises:
            NotFoundError: There is no such label set.
        """
        names = class_names(self._label_sets.classes(name))
        selected = None if state is None else parse_state(state)
        keys = self._keys(name, selected)
        for start in range(0, len(keys), _PAGE_ITEMS):
            for key, item in self._label_sets.objects(name, keys[start : start + _PAGE_ITEMS]).items():
                yield LabelledItem(key, item.state, item.reason, to_core_objects(item.objects, names))

    def reader(self, name: str) -> LabelSetReader:
        """Return the label set as a reader of items with all columns, to train, evaluate or convert.

        Raises:
            NotFoundError: There is no such label set.
        """
        return LabelSetReader(self._label_sets, name)

    def preview(self, name: str) -> CommitPreview:
        """Return what a commit would change, compared with the base of the set.

        Raises:
            NotFoundError: There is no such label set.
        """
        return preview_commit(self._label_sets, name)

    def commit(self, name: str, *, message: str = "", prefer: Preference | None = None) -> CommitResult:
        """Commit the edits as the next version of the dataset.

        Args:
            name: The name of the label set.
            message: The message of the version.
            prefer: Whose value to take if the branch changed the same object: "labels" or "dataset".

        Raises:
            MergeConflictError: The branch and the set changed the same objects, and ``prefer`` is None.
            NotFoundError: There is no such label set.
        """
        return commit_label_set(self._label_sets, name, message=message, prefer=prefer)

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a label set with the history of its edits.

        Raises:
            ConflictError: It has uncommitted edits, and ``force`` is not set.
            NotFoundError: There is no such label set.
        """
        delete_label_set(self._label_sets, name, force=force)

    def export(
        self,
        name: str,
        destination: Path | str,
        format: str,
        *,
        strict: bool = False,
        options: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> ConversionReport:
        """Export the present labels; see :func:`saccade.app.labels.exporting.export_label_set`."""
        return export_label_set(
            self._label_sets,
            name,
            Path(destination),
            format,
            strict=strict,
            options=options,
            overwrite=overwrite,
            progress=progress,
        )

    def import_labels(
        self,
        name: str,
        source: Path | str,
        *,
        format: str = "auto",
        options: Mapping[str, Any] | None = None,
        check: bool = False,
        progress: Progress | None = None,
    ) -> LabelImport:
        """Import labels as edits; see :func:`saccade.app.labels.importing.import_labels`."""
        return import_labels(
            self._label_sets, name, source, format=format, options=options, check=check, progress=progress
        )

    def _keys(self, name: str, state: ItemState | None) -> KeyList:
        """Return the keys of the items: those that change their state meanwhile would shift the pages."""
        keys: KeyList = []
        while True:
            total, _, page = self._label_sets.items(name, state, len(keys), _PAGE_ITEMS)
            keys += [item.key for item in page]
            if not page or len(keys) >= total:
                return keys
