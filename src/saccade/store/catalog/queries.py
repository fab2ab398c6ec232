"""From references to rows of the catalog; used inside a session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from saccade.core.errors import NotFoundError, nearest
from saccade.store.catalog.names import (
    DATASET_PREFIX,
    LATEST,
    MAIN,
    MODEL_PREFIX,
    exact,
    missing_version,
    numbered,
    split_ref,
)
from saccade.store.catalog.tables import (
    DEFAULT_PROJECT,
    BranchRow,
    DatasetAliasRow,
    DatasetRow,
    DatasetUseRow,
    EvaluationRow,
    ModelAliasRow,
    ModelRow,
    ModelVersionRow,
    ProjectRow,
    RunRow,
    VersionRow,
)


def project_id(session: Session) -> int:
    """The project of a session; where it sees all of them, the one that is always there."""
    project: int | None = session.info["project"]
    if project is not None:
        return project
    return session.scalars(select(ProjectRow.id).where(ProjectRow.name == DEFAULT_PROJECT)).one()


def find_dataset(session: Session, name: str) -> DatasetRow:
    """The dataset of that name; NotFoundError with the nearest names."""
    there = select(DatasetRow).where(DatasetRow.removed.is_(None))
    if found := session.scalar(there.where(DatasetRow.name == name)):
        return found
    known = session.scalars(select(DatasetRow.name).where(DatasetRow.removed.is_(None)))
    raise NotFoundError(f"There is no dataset '{name}'.", hint=nearest(name, known))


def find_branch(session: Session, dataset: DatasetRow, name: str) -> BranchRow:
    """A branch of a dataset; NotFoundError with the nearest names."""
    if found := session.get(BranchRow, (dataset.id, name)):
        return found
    known = session.scalars(select(BranchRow.name).where(BranchRow.dataset_id == dataset.id))
    raise NotFoundError(f"The dataset '{dataset.name}' has no branch '{name}'.", hint=nearest(name, known))


def version_at(session: Session, dataset: DatasetRow, number: int) -> VersionRow | None:
    wanted = (VersionRow.dataset_id == dataset.id, VersionRow.number == number)
    return session.scalar(select(VersionRow).where(*wanted))


def find_version(session: Session, dataset: DatasetRow, selector: str) -> VersionRow:
    """The version that a number, 'latest', an alias or a branch names; NotFoundError with the nearest."""
    number = numbered(selector)
    if number is None and selector == LATEST:
        number = find_branch(session, dataset, MAIN).head
    if number is not None and (found := version_at(session, dataset, number)):
        return found
    aliases: dict[str, int] = dict(
        session.execute(
            select(DatasetAliasRow.name, DatasetAliasRow.number).where(DatasetAliasRow.dataset_id == dataset.id)
        ).all()
    )
    heads: dict[str, int] = dict(
        session.execute(select(BranchRow.name, BranchRow.head).where(BranchRow.dataset_id == dataset.id)).all()
    )
    named = {**heads, **aliases, LATEST: heads[MAIN]}
    found = version_at(session, dataset, named[selector]) if selector in named else None
    if found is None:
        numbers = session.scalars(select(VersionRow.number).where(VersionRow.dataset_id == dataset.id)).all()
        raise missing_version("dataset", dataset.name, selector, [*named, *map(str, sorted(numbers)[-5:])])
    return found


def find_model(session: Session, name: str) -> ModelRow:
    """The model of that name; NotFoundError with the nearest names."""
    has_versions = select(ModelVersionRow.id).where(ModelVersionRow.model_id == ModelRow.id).exists()
    if found := session.scalar(select(ModelRow).where(ModelRow.name == name, has_versions)):
        return found
    known = session.scalars(select(ModelRow.name).where(has_versions))
    raise NotFoundError(f"There is no model '{name}'.", hint=nearest(name, known))


def find_model_version(session: Session, model: ModelRow, selector: str) -> ModelVersionRow:
    """The version that a number, 'latest' or an alias names; NotFoundError says how to set an alias."""
    versions = {
        row.number: row
        for row in session.scalars(select(ModelVersionRow).where(ModelVersionRow.model_id == model.id)).all()
    }
    pointed = select(ModelAliasRow.name, ModelAliasRow.number).where(ModelAliasRow.model_id == model.id)
    named = {**dict(session.execute(pointed).all()), LATEST: max(versions)}
    number = numbered(selector) or named.get(selector)
    if number in versions:
        return versions[number]
    hint = "" if selector.isdigit() else f"To set it: saccade models promote {model.name}@{max(versions)} {selector}"
    raise missing_version("model", model.name, selector, [*named, *map(str, versions)], hint)


def check_run(session: Session, run_id: str | None) -> None:
    """NotFoundError where a run is named that there is not."""
    if run_id is not None and session.get(RunRow, run_id) is None:
        raise NotFoundError(f"There is no run '{run_id}'.", hint="'saccade runs list' shows them.")


def exact_ref(session: Session, ref: str) -> tuple[str, DatasetRow | None, int]:
    """A reference with its version number, and the dataset where it names one; models get the prefix 'model:'."""
    name, selector = split_ref(ref.removeprefix(MODEL_PREFIX).removeprefix(DATASET_PREFIX))
    if not ref.startswith(MODEL_PREFIX):
        try:
            dataset = find_dataset(session, name)
        except NotFoundError as error:
            return _exact_model_ref(session, ref, name, selector, error)
        number = find_version(session, dataset, selector).number
        return exact(name, number), dataset, number
    return _exact_model_ref(session, ref, name, selector, None)


def _exact_model_ref(
    session: Session, ref: str, name: str, selector: str, no_dataset: NotFoundError | None
) -> tuple[str, None, int]:
    try:
        model = find_model(session, name)
    except NotFoundError:
        if no_dataset is None or ref.startswith(DATASET_PREFIX):
            raise
        raise no_dataset from None
    number = find_model_version(session, model, selector).number
    return MODEL_PREFIX + exact(name, number), None, number


def record_uses(session: Session, refs: Iterable[str], user_kind: str, user_ref: str) -> list[str]:
    """Resolve inputs to exact versions, note who uses them, and return the exact references."""
    found: list[str] = []
    for ref in refs:
        made, dataset, number = exact_ref(session, ref)
        found.append(made)
        if dataset is not None:
            session.add(DatasetUseRow(dataset_id=dataset.id, number=number, user_kind=user_kind, user_ref=user_ref))
    return found


def made_by(session: Session, run_id: str) -> str:
    """What a run made that is still there, in words; "" where there is nothing."""
    for row, what in (
        (VersionRow, "a dataset version"),
        (ModelVersionRow, "a model version"),
        (EvaluationRow, "an evaluation"),
    ):
        if session.scalar(select(row.id).where(row.run_id == run_id).limit(1)) is not None:
            return what
    return ""


def uses_of(session: Session, dataset: DatasetRow) -> Sequence[DatasetUseRow]:
    return session.scalars(select(DatasetUseRow).where(DatasetUseRow.dataset_id == dataset.id)).all()


def plain_json(value: Any) -> Any:
    """A value that any database's JSON holds: tuples become lists, NumPy numbers Python's, NaN and infinity None."""
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): plain_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_json(inner) for inner in value]
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        return plain_json(value.tolist())
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value if isinstance(value, bool | int | str | None) else str(value)
