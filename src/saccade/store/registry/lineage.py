"""Lineage: from a model or dataset version back to everything that it was made from."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, NotFoundError
from saccade.core.refs import DATASET_PREFIX, MODEL_PREFIX, format_ref, split_ref
from saccade.store.catalog.queries import (
    find_dataset,
    find_model,
    find_model_version,
    find_version,
    find_version_by_number,
    resolve_ref,
)
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import DatasetRow, RunRow, VersionRow

Node = dict[str, Any]


class _LineageBuilder:
    """Builds the lineage tree.

    A node that appears again has only its type and reference, so that the tree of a long history stays small.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._visited: set[str] = set()

    def node(self, ref: str) -> Node:
        name, number = split_ref(ref.removeprefix(MODEL_PREFIX))
        try:
            return self._model(name, number) if ref.startswith(MODEL_PREFIX) else self._dataset(name, number)
        except NotFoundError:
            return {"type": "missing", "ref": ref}

    def _inputs(self, refs: list[str]) -> list[Node]:
        return [self.node(ref) for ref in refs]

    def _is_first_visit(self, ref: str) -> bool:
        is_first = ref not in self._visited
        self._visited.add(ref)
        return is_first

    def _model(self, name: str, selector: str) -> Node:
        row = find_model_version(self._session, find_model(self._session, name), selector)
        ref = format_ref(name, row.number)
        node: Node = {"type": "model", "ref": ref}
        if self._is_first_visit(MODEL_PREFIX + ref):
            node |= {
                "created": row.created.isoformat(),
                "metrics": row.metrics,
                "licence": row.licence,
                "run": self._run(row.run_id),
                "inputs": self._inputs(row.inputs),
            }
        return node

    def _run(self, run_id: str | None) -> Node | None:
        row = None if run_id is None else self._session.get(RunRow, run_id)
        if row is None:
            return None
        node: Node = {"type": "run", "id": row.id, "kind": row.kind, "name": row.name}
        if self._is_first_visit(f"run:{row.id}"):
            node |= {"created": row.created.isoformat(), "recipe": row.config, "inputs": self._inputs(row.inputs)}
        return node

    def _dataset(self, name: str, selector: str) -> Node:
        dataset = find_dataset(self._session, name)
        row = find_version(self._session, dataset, selector)
        ref = format_ref(name, row.number)
        node: Node = {"type": "dataset", "ref": ref}
        if self._is_first_visit(ref):
            node |= {**_describe(row), "run": self._run(row.run_id), "inputs": self._inputs(row.inputs)}
            if row.origin is not None:
                node["origin"] = row.origin
            node["history"] = self._history(dataset, row)
        return node

    def _history(self, dataset: DatasetRow, row: VersionRow) -> list[Node]:
        """Return the ancestors of a version, the newest first."""
        history: list[Node] = []
        parent = row.parent
        while parent is not None and self._is_first_visit(format_ref(dataset.name, parent)):
            version = find_version_by_number(self._session, dataset, parent)
            if version is None:
                break
            node = {"type": "dataset", "ref": format_ref(dataset.name, parent), **_describe(version)}
            history.append(node | {"run": self._run(version.run_id), "inputs": self._inputs(version.inputs)})
            parent = version.parent
        return history


def _describe(row: VersionRow) -> Node:
    return {"created": row.created.isoformat(), "message": row.message, "author": row.author, "items": row.items}


def lineage(catalog: Catalog, ref: str) -> Node:
    """Return the lineage tree of a model or dataset version.

    The node of a model has a ``run`` (with its recipe) and ``inputs``; that of a run has ``inputs``; that of a dataset
    version has a ``run``, ``inputs`` and a ``history``. A node that appears again has only its type and reference.

    Args:
        catalog: the catalog of the project.
        ref: a reference, with the prefix ``model:`` or ``dataset:`` if both have the name.

    Raises:
        NotFoundError: there is no such version.
        ConflictError: a model and a dataset have the name, and there is no prefix.
    """
    with catalog.read_tx() as session:
        name = split_ref(ref)[0]
        if ":" not in ref and _is_ambiguous(session, name):
            raise ConflictError(
                f"'{name}' is both a dataset and a model.", hint=f"Write {DATASET_PREFIX}{ref} or {MODEL_PREFIX}{ref}."
            )
        return _LineageBuilder(session).node(resolve_ref(session, ref)[0])


def _is_ambiguous(session: Session, name: str) -> bool:
    try:
        return bool(find_dataset(session, name) and find_model(session, name))
    except NotFoundError:
        return False
