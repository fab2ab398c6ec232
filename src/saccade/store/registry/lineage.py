"""Lineage: from a model or dataset version back to everything that it came from."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, NotFoundError
from saccade.store.catalog.names import DATASET_PREFIX, MODEL_PREFIX, exact, split_ref
from saccade.store.catalog.queries import (
    exact_ref,
    find_dataset,
    find_model,
    find_model_version,
    find_version,
    version_at,
)
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import DatasetRow, RunRow, VersionRow

Node = dict[str, Any]


class _Walk:
    """Builds the tree; what was shown once is only named after that, so that a long history stays small."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shown: set[str] = set()

    def any(self, ref: str) -> Node:
        name, number = split_ref(ref.removeprefix(MODEL_PREFIX))
        try:
            return self.model(name, number) if ref.startswith(MODEL_PREFIX) else self.dataset(name, number)
        except NotFoundError:
            return {"type": "missing", "ref": ref}

    def _inputs(self, refs: list[str]) -> list[Node]:
        return [self.any(ref) for ref in refs]

    def _first(self, ref: str) -> bool:
        first = ref not in self._shown
        self._shown.add(ref)
        return first

    def model(self, name: str, selector: str) -> Node:
        row = find_model_version(self._session, find_model(self._session, name), selector)
        ref = exact(name, row.number)
        node: Node = {"type": "model", "ref": ref}
        if self._first(MODEL_PREFIX + ref):
            node |= {
                "created": row.created.isoformat(),
                "metrics": row.metrics,
                "licence": row.licence,
                "run": self.run(row.run_id),
                "inputs": self._inputs(row.inputs),
            }
        return node

    def run(self, run_id: str | None) -> Node | None:
        row = None if run_id is None else self._session.get(RunRow, run_id)
        if row is None:
            return None
        node: Node = {"type": "run", "id": row.id, "kind": row.kind, "name": row.name}
        if self._first(f"run:{row.id}"):
            node |= {"created": row.created.isoformat(), "recipe": row.config, "inputs": self._inputs(row.inputs)}
        return node

    def dataset(self, name: str, selector: str) -> Node:
        dataset = find_dataset(self._session, name)
        row = find_version(self._session, dataset, selector)
        ref = exact(name, row.number)
        node: Node = {"type": "dataset", "ref": ref}
        if self._first(ref):
            node |= {**_facts(row), "run": self.run(row.run_id), "inputs": self._inputs(row.inputs)}
            if row.origin is not None:
                node["origin"] = row.origin
            node["history"] = self._history(dataset, row)
        return node

    def _history(self, dataset: DatasetRow, row: VersionRow) -> list[Node]:
        """The versions that a version was made from step by step, the newest first."""
        found: list[Node] = []
        parent = row.parent
        while parent is not None and self._first(exact(dataset.name, parent)):
            version = version_at(self._session, dataset, parent)
            if version is None:
                break
            node = {"type": "dataset", "ref": exact(dataset.name, parent), **_facts(version)}
            found.append(node | {"run": self.run(version.run_id), "inputs": self._inputs(version.inputs)})
            parent = version.parent
        return found


def _facts(row: VersionRow) -> Node:
    return {"created": row.created.isoformat(), "message": row.message, "author": row.author, "items": row.items}


def lineage(catalog: Catalog, ref: str) -> Node:
    """The tree of a model or dataset version.

    A model leads to its ``run`` (with its recipe) and its ``inputs``; a run to its inputs; a dataset version to its
    run, its inputs and its ``history``. A node that was shown before is only named.

    Args:
        ref: a reference; with the prefix ``model:`` or ``dataset:`` where both have the name.
    """
    with catalog.reading() as session:
        name = split_ref(ref)[0]
        if ":" not in ref and _has_both(session, name):
            raise ConflictError(
                f"There is a dataset '{name}' and a model '{name}'.",
                hint=f"Write {DATASET_PREFIX}{ref} or {MODEL_PREFIX}{ref}.",
            )
        return _Walk(session).any(exact_ref(session, ref)[0])


def _has_both(session: Session, name: str) -> bool:
    try:
        return bool(find_dataset(session, name) and find_model(session, name))
    except NotFoundError:
        return False
