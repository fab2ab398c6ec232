"""Evaluations: the metrics of a model on one split of one exact dataset version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from saccade.core.errors import InvalidValueError, NotFoundError, suggest
from saccade.core.records.models import EvaluationInfo
from saccade.core.refs import MODEL_PREFIX
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.queries import add_lineage, require_run, resolve_ref, to_jsonable
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import EvaluationRow, now


@dataclass(frozen=True)
class Evaluation(EvaluationInfo):
    """An evaluation with access to its report."""

    report_digest: str | None
    run_id: str | None
    blobs: BlobStore

    @property
    def report(self) -> bytes | None:
        """The HTML report, None if there is none."""
        return None if self.report_digest is None else self.blobs.read(self.report_digest)


EvaluationList = list[Evaluation]


class Evaluations:
    """The evaluations of a project."""

    def __init__(self, catalog: Catalog, blobs: BlobStore) -> None:
        self._catalog = catalog
        self._blobs = blobs

    def _to_evaluation(self, row: EvaluationRow) -> Evaluation:
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
            self._blobs,
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
        """Record an evaluation.

        Args:
            model_ref: the model version, None for predictions from elsewhere.
            dataset_ref: the dataset version.
            split: the split of the dataset.
            kind: what was evaluated: "boxes", "masks", "classification" …
            metrics: the metrics by name.
            report: the report as HTML.
            run_id: the run that evaluated.

        Raises:
            NotFoundError: the model, dataset or run does not exist.
            InvalidValueError: ``dataset_ref`` is a model.
        """
        # Until the row is committed nothing refers to the report.
        with self._blobs.gc_guard():
            digest = None if report is None else self._blobs.put_bytes(report)
            row = self._insert(model_ref, dataset_ref, split, kind, metrics, digest, run_id)
        return self._to_evaluation(row)

    def _insert(
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
        with self._catalog.write_tx() as session:
            require_run(session, run_id)
            model = None
            if model_ref is not None:
                model = resolve_ref(session, _with_model_prefix(model_ref))[0].removeprefix(MODEL_PREFIX)
            (dataset,) = add_lineage(session, [dataset_ref], "evaluation", evaluation_id)
            if dataset.startswith(MODEL_PREFIX):
                raise InvalidValueError(f"'{dataset_ref}' is a model; an evaluation needs a dataset.")
            row = EvaluationRow(
                id=evaluation_id,
                model=model,
                dataset=dataset,
                split=split,
                kind=kind,
                metrics=to_jsonable(metrics),
                report=report,
                run_id=run_id,
                created=now(),
            )
            session.add(row)
        return row

    def list(self, model: str | None = None, dataset: str | None = None) -> EvaluationList:
        """List evaluations, the newest first.

        Args:
            model: only of this model: a name (all versions) or a reference.
            dataset: only on this dataset: a name (all versions) or a reference.

        Raises:
            NotFoundError: a reference names no version.
        """
        with self._catalog.read_tx() as session:
            conditions = []
            if model is not None:
                if "@" in model:
                    model = resolve_ref(session, _with_model_prefix(model))[0].removeprefix(MODEL_PREFIX)
                conditions.append(_matches(EvaluationRow.model, model))
            if dataset is not None:
                if "@" in dataset:
                    dataset = resolve_ref(session, dataset)[0]
                conditions.append(_matches(EvaluationRow.dataset, dataset))
            newest_first = (EvaluationRow.created.desc(), EvaluationRow.id.desc())
            rows = session.scalars(select(EvaluationRow).where(*conditions).order_by(*newest_first))
            return [self._to_evaluation(row) for row in rows]

    def get(self, evaluation_id: str) -> Evaluation:
        """Return an evaluation by id.

        Raises:
            NotFoundError: there is no such evaluation.
        """
        with self._catalog.read_tx() as session:
            row = session.get(EvaluationRow, evaluation_id)
            if row is None:
                known = session.scalars(select(EvaluationRow.id)).all()
                raise NotFoundError(f"There is no evaluation '{evaluation_id}'.", hint=suggest(evaluation_id, known))
        return self._to_evaluation(row)


def _with_model_prefix(ref: str) -> str:
    return MODEL_PREFIX + ref.removeprefix(MODEL_PREFIX)


def _matches(column: InstrumentedAttribute[Any], name_or_ref: str) -> ColumnElement[bool]:
    return column == name_or_ref if "@" in name_or_ref else column.startswith(f"{name_or_ref}@", autoescape=True)
