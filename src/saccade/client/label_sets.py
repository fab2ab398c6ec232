"""Label sets of a project on a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from saccade.annotation.records import (
    AttributeSpec,
    ClassChange,
    CommitPreview,
    CommitResult,
    ItemState,
    LabelClass,
    LabelledItem,
    LabelObject,
    LabelSet,
    Start,
    parse_state,
    to_core_objects,
)
from saccade.client.api import ApiClient
from saccade.client.decoding import api_path, from_json

_PAGE_ITEMS = 1000
LabelSetList = list[LabelSet]
SummaryList = list[dict[str, Any]]


class RemoteLabelSets:
    """Label sets of a project on a server."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def list(self) -> LabelSetList:
        """List the label sets by name."""
        return [_decode_set(data) for data in self._api.get("/label-sets")["label_sets"]]

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
        body = {"name": name, "dataset": dataset, "column": column, "start": start, "query": query}
        return _decode_set(self._api.post("/label-sets", {**body, "classes": [*classes]}))

    def get(self, name: str) -> LabelSet:
        """Return a label set with its classes and the number of items in each state.

        Raises:
            NotFoundError: There is no such label set.
        """
        return _decode_set(self._api.get(api_path("label-sets", name)))

    def items(self, name: str, *, state: ItemState | str | None = None) -> Iterator[LabelledItem]:
        """Iterate over the items of a label set with their objects after the last edit.

        Args:
            name: The name of the label set.
            state: Only items in this state: unlabelled, in_progress, labelled, empty or skipped.

        Raises:
            NotFoundError: There is no such label set.
        """
        names = {entry.id: entry.name for entry in self.get(name).classes if not entry.deleted}
        for summary in self._summaries(name, None if state is None else parse_state(state)):
            # Most items of a new set have no objects: one request less.
            data: Mapping[str, Any] = {**summary, "objects": []}
            if summary["objects"]:
                data = self._api.get(api_path("label-sets", name, "item"), key=summary["key"])
            objects = to_core_objects(map(_decode_object, data["objects"]), names)
            yield LabelledItem(data["key"], ItemState(data["state"]), data["reason"], objects)

    def preview(self, name: str) -> CommitPreview:
        """Return what a commit would change, compared with the base of the set.

        Raises:
            NotFoundError: There is no such label set.
        """
        data = self._api.get(api_path("label-sets", name, "commit"))
        return from_json(CommitPreview, data, classes=_decode_class_changes(data))

    def commit(
        self, name: str, *, message: str = "", prefer: Literal["labels", "dataset"] | None = None
    ) -> CommitResult:
        """Commit the edits as the next version of the dataset.

        Args:
            name: The name of the label set.
            message: The message of the version.
            prefer: Whose value to take if the branch changed the same object: "labels" or "dataset".

        Raises:
            ConflictError: The branch and the set changed the same objects, and ``prefer`` is None.
            NotFoundError: There is no such label set.
        """
        data = self._api.post(api_path("label-sets", name, "commit"), {"message": message, "prefer": prefer})
        return from_json(CommitResult, data, classes=_decode_class_changes(data))

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a label set with the history of its edits.

        Raises:
            ConflictError: It has uncommitted edits, and ``force`` is not set.
            NotFoundError: There is no such label set.
        """
        self._api.send("DELETE", api_path("label-sets", name), params={"force": force or None})

    def _summaries(self, name: str, state: ItemState | None) -> SummaryList:
        """Return the items without their objects: those that change their state meanwhile would shift the pages."""
        summaries: SummaryList = []
        while True:
            path = api_path("label-sets", name, "items")
            page = self._api.get(path, state=state, offset=len(summaries), limit=_PAGE_ITEMS)
            summaries += page["items"]
            if not page["items"] or len(summaries) >= page["total"]:
                return summaries


def _decode_set(data: Mapping[str, Any]) -> LabelSet:
    classes = tuple(_decode_class(entry) for entry in data["classes"])
    states = {ItemState(state): count for state, count in data["states"].items()}
    unchecked = {ItemState(state): count for state, count in data["unchecked"].items()}
    return from_json(LabelSet, data, classes=classes, states=states, unchecked=unchecked)


def _decode_class(data: Mapping[str, Any]) -> LabelClass:
    attributes = tuple(from_json(AttributeSpec, spec) for spec in data["attributes"])
    skeleton = tuple((first, second) for first, second in data["skeleton"])
    return from_json(LabelClass, data, attributes=attributes, skeleton=skeleton)


def _decode_object(data: Mapping[str, Any]) -> LabelObject:
    return from_json(LabelObject, data, class_id=data["class"])


def _decode_class_changes(data: Mapping[str, Any]) -> tuple[ClassChange, ...]:
    return tuple(from_json(ClassChange, change) for change in data["classes"])
