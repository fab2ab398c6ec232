"""Evaluations: what a model scored on one split of one exact version of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from saccade.core.errors import InvalidValueError, NotFoundError, nearest
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.names import MODEL_PREFIX
from saccade.store.catalog.queries import check_run, exact_ref, plain_json, record_uses
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import EvaluationRow, now


@dataclass(frozen=True)
class EvaluationFacts:
    """Metrics of a model (None for predictions from elsewhere) on a dataset; both are exact references."""

    id: str
    model: str | None
    dataset: str
    split: str
    kind: str
    metrics: Mapping[str, Any]
    created: datetime


@dataclass(frozen=True)
class Evaluation(EvaluationFacts):
    """An evaluation on this machine."""

    report_digest: str | None
    run_id: str | None
    objects: ObjectStore

    @property
    def report(self) -> bytes | None:
        """The report as HTML, where one was kept."""
        return None if self.report_digest is None else self.objects.read(self.report_digest)


EvaluationList = list[Evaluation]


class Evaluations:
    """The evaluations of a workspace."""

    def __init__(self, catalog: Catalog, objects: ObjectStore) -> None:
        self._catalog = catalog
        self._objects = objects

    def _evaluation(self, row: EvaluationRow) -> Evaluation:
        return Evaluation(
            row.id,
            row.model,
            row.dataset,
            row.split,
            row.kind,
            row.metrics,
            row.created,
            row.report,
            row.run_id,
            self._objects,
        )

    def add(
        self,
        model_ref: str | None,
        dataset_ref: str,
        split: str,
        kind: str,
        metrics: Mapping[str, Any],
        report: bytes | None = None,
        run_id: str | None = None,
    ) -> Evaluation:
        """Record an evaluation. ``kind`` is what was evaluated ("boxes", "masks", "classification" …)."""
        with self._objects.keeping():
            digest = None if report is None else self._objects.put_bytes(report)
            row = self._record(model_ref, dataset_ref, split, kind, metrics, digest, run_id)
        return self._evaluation(row)

    def _record(
        self,
        model_ref: str | None,
        dataset_ref: str,
        split: str,
        kind: str,
        metrics: Mapping[str, Any],
        report: str | None,
        run_id: str | None,
    ) -> EvaluationRow:
        evaluation_id = new_id()
        with self._catalog.writing() as session:
            check_run(session, run_id)
            model = (
                None if model_ref is None else exact_ref(session, _as_model(model_ref))[0].removeprefix(MODEL_PREFIX)
            )
            (dataset,) = record_uses(session, [dataset_ref], "evaluation", evaluation_id)
            if dataset.startswith(MODEL_PREFIX):
                raise InvalidValueError(f"'{dataset_ref}' is a model, and an evaluation needs a dataset.")
            row = EvaluationRow(
                id=evaluation_id,
                model=model,
                dataset=dataset,
                split=split,
                kind=kind,
                metrics=plain_json(metrics),
                report=report,
                run_id=run_id,
                created=now(),
            )
            session.add(row)
        return row

    def list(self, model: str | None = None, dataset: str | None = None) -> EvaluationList:
        """Evaluations, the newest first; of a model or dataset by name (all versions) or by reference."""
        with self._catalog.reading() as session:
            conditions = []
            if model is not None:
                ref = exact_ref(session, _as_model(model))[0].removeprefix(MODEL_PREFIX) if "@" in model else model
                conditions.append(_of(EvaluationRow.model, ref))
            if dataset is not None:
                ref = exact_ref(session, dataset)[0] if "@" in dataset else dataset
                conditions.append(_of(EvaluationRow.dataset, ref))
            newest_first = (EvaluationRow.created.desc(), EvaluationRow.id.desc())
            rows = session.scalars(select(EvaluationRow).where(*conditions).order_by(*newest_first))
            return [self._evaluation(row) for row in rows]

    def get(self, evaluation_id: str) -> Evaluation:
        """The evaluation of that id; NotFoundError where there is none."""
        with self._catalog.reading() as session:
            row = session.get(EvaluationRow, evaluation_id)
            if row is None:
                known = session.scalars(select(EvaluationRow.id)).all()
                raise NotFoundError(f"There is no evaluation '{evaluation_id}'.", hint=nearest(evaluation_id, known))
        return self._evaluation(row)


def _as_model(ref: str) -> str:
    return MODEL_PREFIX + ref.removeprefix(MODEL_PREFIX)


def _of(column: InstrumentedAttribute[Any], ref: str) -> ColumnElement[bool]:
    return column == ref if "@" in ref else column.startswith(f"{ref}@", autoescape=True)
