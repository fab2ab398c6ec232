"""Queries on the catalog that several stores share: resolving references, and lineage edges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from saccade.core.errors import InvalidValueError, NotFoundError, suggest
from saccade.core.refs import (
    DATASET_PREFIX,
    LATEST,
    MAIN,
    MODEL_PREFIX,
    format_ref,
    parse_version_number,
    split_ref,
    version_not_found,
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
    """Return the project of a session; the default project if the session is unscoped."""
    project: int | None = session.info["project"]
    if project is not None:
        return project
    return session.scalars(select(ProjectRow.id).where(ProjectRow.name == DEFAULT_PROJECT)).one()


def find_dataset(session: Session, name: str) -> DatasetRow:
    """Return a dataset by name.

    Raises:
        NotFoundError: there is no such dataset; suggests similar names.
    """
    existing = select(DatasetRow).where(DatasetRow.removed.is_(None))
    if row := session.scalar(existing.where(DatasetRow.name == name)):
        return row
    known = session.scalars(select(DatasetRow.name).where(DatasetRow.removed.is_(None)))
    raise NotFoundError(f"There is no dataset '{name}'.", hint=suggest(name, known))


def find_branch(session: Session, dataset: DatasetRow, name: str) -> BranchRow:
    """Return a branch of a dataset.

    Raises:
        InvalidValueError: the name is that of a version, an alias or a tag, which cannot be written to.
        NotFoundError: there is no such branch; suggests similar names.
    """
    if row := session.get(BranchRow, (dataset.id, name)):
        return row
    if fixed_version := _describe_fixed_version(session, dataset, name):
        raise InvalidValueError(
            f"'{dataset.name}@{name}' is {fixed_version}, not a branch.",
            hint=f"Use {dataset.name} or {dataset.name}@BRANCH. To change this version, create a branch from it: "
            f"saccade datasets branch {dataset.name}@{name} BRANCH",
        )
    known = session.scalars(select(BranchRow.name).where(BranchRow.dataset_id == dataset.id))
    raise NotFoundError(f"The dataset '{dataset.name}' has no branch '{name}'.", hint=suggest(name, known))


def _describe_fixed_version(session: Session, dataset: DatasetRow, selector: str) -> str:
    """Describe what a selector is if it names a version without being a branch; otherwise return ""."""
    if alias := session.get(DatasetAliasRow, (dataset.id, selector)):
        return f"{'a tag' if alias.fixed else 'an alias'} of version {alias.number}"
    number = parse_version_number(selector)
    exists = number is not None and find_version_by_number(session, dataset, number) is not None
    return "a version" if exists else ""


def find_version_by_number(session: Session, dataset: DatasetRow, number: int) -> VersionRow | None:
    """Return a version of a dataset by number, or None if there is none."""
    conditions = (VersionRow.dataset_id == dataset.id, VersionRow.number == number)
    return session.scalar(select(VersionRow).where(*conditions))


def find_version(session: Session, dataset: DatasetRow, selector: str) -> VersionRow:
    """Return a version of a dataset.

    Args:
        session: a transaction.
        dataset: the dataset.
        selector: a number, 'latest', an alias or a branch.

    Raises:
        NotFoundError: the selector names no version; suggests similar selectors.
    """
    number = parse_version_number(selector)
    if number is None and selector == LATEST:
        number = find_branch(session, dataset, MAIN).head
    if number is not None and (row := find_version_by_number(session, dataset, number)):
        return row
    aliases: dict[str, int] = dict(
        session.execute(
            select(DatasetAliasRow.name, DatasetAliasRow.number).where(DatasetAliasRow.dataset_id == dataset.id)
        ).all()
    )
    heads: dict[str, int] = dict(
        session.execute(select(BranchRow.name, BranchRow.head).where(BranchRow.dataset_id == dataset.id)).all()
    )
    selectors = {**heads, **aliases, LATEST: heads[MAIN]}
    version = find_version_by_number(session, dataset, selectors[selector]) if selector in selectors else None
    if version is None:
        numbers = session.scalars(select(VersionRow.number).where(VersionRow.dataset_id == dataset.id)).all()
        raise version_not_found("dataset", dataset.name, selector, [*selectors, *map(str, sorted(numbers)[-5:])])
    return version


def find_model(session: Session, name: str) -> ModelRow:
    """Return a model by name.

    Raises:
        NotFoundError: there is no such model, or it has no versions; suggests similar names.
    """
    has_versions = select(ModelVersionRow.id).where(ModelVersionRow.model_id == ModelRow.id).exists()
    if row := session.scalar(select(ModelRow).where(ModelRow.name == name, has_versions)):
        return row
    known = session.scalars(select(ModelRow.name).where(has_versions))
    raise NotFoundError(f"There is no model '{name}'.", hint=suggest(name, known))


def find_model_version(session: Session, model: ModelRow, selector: str) -> ModelVersionRow:
    """Return a version of a model.

    Args:
        session: a transaction.
        model: the model.
        selector: a number, 'latest' or an alias.

    Raises:
        NotFoundError: the selector names no version; says how to set the alias.
    """
    versions = {
        row.number: row
        for row in session.scalars(select(ModelVersionRow).where(ModelVersionRow.model_id == model.id)).all()
    }
    aliases = select(ModelAliasRow.name, ModelAliasRow.number).where(ModelAliasRow.model_id == model.id)
    selectors = {**dict(session.execute(aliases).all()), LATEST: max(versions)}
    number = parse_version_number(selector) or selectors.get(selector)
    if number in versions:
        return versions[number]
    hint = "" if selector.isdigit() else f"To set it: saccade models promote {model.name}@{max(versions)} {selector}"
    raise version_not_found("model", model.name, selector, [*selectors, *map(str, versions)], hint)


def require_run(session: Session, run_id: str | None) -> None:
    """Check that a run exists; None is accepted.

    Raises:
        NotFoundError: there is no such run.
    """
    if run_id is not None and session.get(RunRow, run_id) is None:
        raise NotFoundError(f"There is no run '{run_id}'.", hint="List them: saccade runs list")


def resolve_ref(session: Session, ref: str) -> tuple[str, DatasetRow | None, int]:
    """Resolve a reference to a dataset or model version.

    Args:
        session: a transaction.
        ref: a reference, optionally with the prefix ``dataset:`` or ``model:``. Without a prefix, datasets come first.

    Returns:
        The exact reference (with the prefix ``model:`` for a model), the dataset (None for a model), and the version
        number.

    Raises:
        NotFoundError: there is no such version.
    """
    name, selector = split_ref(ref.removeprefix(MODEL_PREFIX).removeprefix(DATASET_PREFIX))
    if not ref.startswith(MODEL_PREFIX):
        try:
            dataset = find_dataset(session, name)
        except NotFoundError as error:
            return _resolve_model_ref(session, ref, name, selector, error)
        number = find_version(session, dataset, selector).number
        return format_ref(name, number), dataset, number
    return _resolve_model_ref(session, ref, name, selector, None)


def _resolve_model_ref(
    session: Session, ref: str, name: str, selector: str, dataset_error: NotFoundError | None
) -> tuple[str, None, int]:
    try:
        model = find_model(session, name)
    except NotFoundError:
        if dataset_error is None or ref.startswith(DATASET_PREFIX):
            raise
        raise dataset_error from None
    number = find_model_version(session, model, selector).number
    return MODEL_PREFIX + format_ref(name, number), None, number


def add_lineage(session: Session, refs: Iterable[str], user_kind: str, user_ref: str) -> list[str]:
    """Record the inputs of a run, model, evaluation or dataset version.

    Args:
        session: a write transaction.
        refs: references of the inputs.
        user_kind: what uses them: "run", "model", "evaluation" or "dataset".
        user_ref: the id or exact reference of what uses them.

    Returns:
        The exact references of the inputs.

    Raises:
        NotFoundError: an input does not exist.
    """
    exact_refs: list[str] = []
    for ref in refs:
        exact_ref, dataset, number = resolve_ref(session, ref)
        exact_refs.append(exact_ref)
        if dataset is not None:
            session.add(DatasetUseRow(dataset_id=dataset.id, number=number, user_kind=user_kind, user_ref=user_ref))
    return exact_refs


def outputs_of_run(session: Session, run_id: str) -> str:
    """Return what kind of output of a run still exists, as text for a message; "" if there is none."""
    for row, description in (
        (VersionRow, "a dataset version"),
        (ModelVersionRow, "a model version"),
        (EvaluationRow, "an evaluation"),
    ):
        if session.scalar(select(row.id).where(row.run_id == run_id).limit(1)) is not None:
            return description
    return ""


def consumers(session: Session, dataset: DatasetRow) -> Sequence[DatasetUseRow]:
    """Return the lineage edges from all versions of a dataset to what uses them."""
    return session.scalars(select(DatasetUseRow).where(DatasetUseRow.dataset_id == dataset.id)).all()


def to_jsonable(value: Any) -> Any:
    """Convert a value to what a JSON column of any database can store.

    Tuples and sets become lists, NumPy arrays and scalars Python's, NaN and infinity None, and other objects text.
    """
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(key): to_jsonable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_jsonable(inner) for inner in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return to_jsonable(value.tolist())
    if isinstance(value, float):
        return value if value - value == 0 else None  # the difference of NaN and infinity is NaN
    return value if isinstance(value, bool | int | str | None) else str(value)
