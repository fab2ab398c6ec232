"""The model registry: versions of models with their weights, metrics, aliases and lineage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, WorkspaceError, suggest
from saccade.core.records.models import AliasChange, ModelVersionInfo
from saccade.core.refs import check_name, check_selector, format_ref, split_ref
from saccade.core.webhooks.events import ModelAliasMoved, ModelVersionCreated, finite_numbers
from saccade.io.atomic import atomic_output_dir
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.catalog.queries import (
    add_lineage,
    find_model,
    find_model_version,
    project_id,
    require_run,
    to_jsonable,
)
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import AliasChangeRow, DatasetUseRow, ModelAliasRow, ModelRow, ModelVersionRow, now
from saccade.store.webhooks.outbox_writer import publish_event

MANIFEST = "manifest.json"
_MAX_ADD_ATTEMPTS = 3


@dataclass(frozen=True)
class ModelVersion(ModelVersionInfo):
    """A model version with access to its files."""

    blobs: BlobStore

    def _digest(self, name: str) -> str:
        if name not in self.files:
            raise NotFoundError(f"The model {self.ref} has no file '{name}'.", hint=suggest(name, self.files))
        return self.files[name]

    def read_file(self, name: str) -> bytes:
        """Return the content of a file. Raises NotFoundError if the model has no such file."""
        return self.blobs.read(self._digest(name))

    def open_file(self, name: str) -> BinaryIO:
        """Open a file for reading. Raises NotFoundError if the model has no such file."""
        return self.blobs.open(self._digest(name))

    def path(self, name: str) -> Path:
        """Return the local path of a file, whose file name is its digest. Do not modify it.

        Raises:
            NotFoundError: the model has no such file, or the workspace stores it elsewhere.
        """
        digest = self._digest(name)
        if path := self.blobs.local_path(digest):
            return path
        raise NotFoundError(
            f"The file '{name}' of {self.ref} is not on this machine.", hint="Use read_file, or export the model."
        )


ModelList = list[ModelVersion]


class Models:
    """The model registry of a project."""

    def __init__(self, catalog: Catalog, blobs: BlobStore) -> None:
        self._catalog = catalog
        self._blobs = blobs

    def add(
        self,
        name: str,
        *,
        files: Mapping[str, Path | bytes],
        manifest: Mapping[str, Any],
        metrics: Mapping[str, float],
        run_id: str | None = None,
        inputs: Sequence[str] = (),
        licence: str = "",
    ) -> ModelVersion:
        """Add a version to a model; the first version creates the model.

        Args:
            name: name of the model.
            files: content of the files by relative name.
            manifest: recipe, label map, preprocessing and other metadata.
            metrics: metrics of the training.
            run_id: the run that trained the model.
            inputs: references of the dataset versions it was trained on.
            licence: licence of the weights.

        Raises:
            InvalidValueError: the name of the model or of a file is not valid.
            NotFoundError: the run or an input does not exist.
            ConflictError: other processes kept adding versions at the same time.
        """
        check_name("model", name)
        for file in files:
            _check_file_name(file)
        # Until the row is committed nothing refers to the blobs.
        with self._blobs.gc_guard():
            digests = {file: self._put(content) for file, content in files.items()}
            return self._add(name, digests, manifest, metrics, run_id, inputs, licence)

    def _add(
        self,
        name: str,
        digests: Mapping[str, str],
        manifest: Mapping[str, Any],
        metrics: Mapping[str, float],
        run_id: str | None,
        inputs: Sequence[str],
        licence: str,
    ) -> ModelVersion:
        for _ in range(_MAX_ADD_ATTEMPTS):  # two processes may create a model with the same name at the same time
            try:
                with self._catalog.write_tx() as session:
                    number = _next_number(session, name)  # also after deletions, numbers are never reused
                    require_run(session, run_id)
                    row = ModelVersionRow(
                        model_id=_get_or_create_model(session, name).id,
                        number=number,
                        manifest=to_jsonable(manifest),
                        metrics=to_jsonable(metrics),
                        files=dict(digests),
                        licence=licence,
                        run_id=run_id,
                        inputs=add_lineage(session, inputs, "model", format_ref(name, number)),
                        created=now(),
                    )
                    session.add(row)
                    _publish_version_created(session, name, row)
                return self._to_version(name, row, ())
            except IntegrityError:
                continue
        raise ConflictError(
            f"Other processes keep adding versions to the model '{name}'.", hint="Nothing was added; try again."
        )

    def _put(self, content: Path | bytes) -> str:
        return self._blobs.put_bytes(content) if isinstance(content, bytes) else self._blobs.put_file(content)

    def _to_version(self, name: str, row: ModelVersionRow, aliases: Iterable[str]) -> ModelVersion:
        return ModelVersion(
            name,
            row.number,
            row.manifest,
            row.metrics,
            row.files,
            row.run_id,
            tuple(row.inputs),
            row.licence,
            row.created,
            tuple(sorted(aliases)),
            self._blobs,
        )

    def open(self, ref: str) -> ModelVersion:
        """Return the model version of a reference: ``ships``, ``ships@3``, ``ships@latest`` or ``ships@alias``.

        Raises:
            NotFoundError: there is no such version.
        """
        name, selector = split_ref(ref)
        with self._catalog.read_tx() as session:
            model = find_model(session, name)
            row = find_model_version(session, model, selector)
            return self._to_version(name, row, _aliases_by_number(session, model.id).get(row.number, ()))

    def versions(self, name: str) -> ModelList:
        """List all versions of a model, the newest first. Raises NotFoundError if there is no such model."""
        with self._catalog.read_tx() as session:
            model = find_model(session, name)
            aliases = _aliases_by_number(session, model.id)
            rows = session.scalars(
                select(ModelVersionRow)
                .where(ModelVersionRow.model_id == model.id)
                .order_by(ModelVersionRow.number.desc())
            )
            return [self._to_version(name, row, aliases.get(row.number, ())) for row in rows]

    def list(self) -> ModelList:
        """List the newest version of every model, by name."""
        with self._catalog.read_tx() as session:
            has_versions = select(ModelVersionRow.id).where(ModelVersionRow.model_id == ModelRow.id).exists()
            names = session.scalars(select(ModelRow.name).where(has_versions).order_by(ModelRow.name)).all()
        return [self.versions(name)[0] for name in names]

    def promote(self, ref: str, alias: str, *, author: str = "") -> int | None:
        """Set an alias to a version.

        Args:
            ref: the version.
            alias: the alias; it is created if it does not exist.
            author: the user who sets it, for the history.

        Returns:
            The number of the version that the alias named before, None if it is new.

        Raises:
            InvalidValueError: the alias is not a valid name.
            NotFoundError: there is no such version.
        """
        check_selector("alias", alias)
        name, selector = split_ref(ref)
        with self._catalog.write_tx() as session:
            model = find_model(session, name)
            number = find_model_version(session, model, selector).number
            row = session.get(ModelAliasRow, (model.id, alias))
            previous = None if row is None else row.number
            session.merge(ModelAliasRow(model_id=model.id, name=alias, number=number))
            change = AliasChangeRow(subject="model", name=name, alias=alias, previous=previous, number=number)
            change.author = author
            session.add(change)
            moved = ModelAliasMoved(name, alias, number, format_ref(name, number), previous, author)
            publish_event(session, "model.alias", moved, model.project_id)
        return previous

    def alias_changes(self, name: str) -> tuple[AliasChange, ...]:
        """List every move of the aliases of a model, the oldest first."""
        query = select(AliasChangeRow).where(AliasChangeRow.subject == "model", AliasChangeRow.name == name)
        with self._catalog.read_tx() as session:
            rows = session.scalars(query.order_by(AliasChangeRow.id))
            return tuple(AliasChange(row.alias, row.previous, row.number, row.author, row.at) for row in rows)

    def export(self, ref: str, destination: Path, *, overwrite: bool = False) -> ModelVersion:
        """Write the files and ``manifest.json`` of a version to a folder, all or nothing.

        Args:
            ref: an exact reference or an alias.
            destination: a new or empty folder, or an earlier export with ``overwrite``.
            overwrite: replace an earlier export; other folders are never replaced.

        Raises:
            NotFoundError: there is no such version.
            ConflictError: the destination is not an empty folder.
            WorkspaceError: the destination cannot be written.
        """
        version = self.open(ref)
        try:
            with atomic_output_dir(destination, replaceable=True, overwrite=overwrite) as folder:
                for name in version.files:
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(version.read_file(name))
                (folder / MANIFEST).write_text(json.dumps(export_manifest(version), indent=2) + "\n")
        except OSError as error:
            raise WorkspaceError(f"'{destination}' cannot be written: {error}.") from error
        return version

    def remove(self, ref: str, *, force: bool = False) -> None:
        """Delete one version (``ships@3``) or all versions of a model (``ships``). Numbers are never reused.

        Args:
            ref: an exact reference or the name of a model.
            force: also delete versions that an alias names, with the alias.

        Raises:
            NotFoundError: there is no such version or model.
            ConflictError: an alias names a version, and ``force`` is not set.
        """
        name, selector = split_ref(ref)
        with self._catalog.write_tx() as session:
            model = find_model(session, name)
            numbers = [find_model_version(session, model, selector).number] if "@" in ref else None
            used_aliases = sorted(
                alias
                for number, aliases in _aliases_by_number(session, model.id).items()
                for alias in aliases
                if numbers is None or number in numbers
            )
            if used_aliases and not force:
                raise ConflictError(
                    f"{ref} is in use as {', '.join(f'{name}@{alias}' for alias in used_aliases)}.",
                    hint="Promote another version first, or remove it with force (--force).",
                )
            _delete_versions(session, model, numbers)


def export_manifest(version: ModelVersion) -> dict[str, Any]:
    """Build the content of ``manifest.json`` of an exported version."""
    return {
        "name": version.name,
        "version": version.number,
        "manifest": version.manifest,
        "metrics": version.metrics,
        "files": version.files,
        "run": version.run_id,
        "inputs": version.inputs,
        "licence": version.licence,
        "created": version.created.isoformat(),
    }


def _publish_version_created(session: Session, name: str, row: ModelVersionRow) -> None:
    created = ModelVersionCreated(
        name, row.number, format_ref(name, row.number), list(row.inputs), finite_numbers(row.metrics), row.run_id
    )
    publish_event(session, "model.version", created)


def _check_file_name(name: str) -> None:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or name == MANIFEST:
        raise InvalidValueError(
            f"A model may not contain a file called {name!r}.", hint=f"Use a relative name other than {MANIFEST}."
        )


def _get_or_create_model(session: Session, name: str) -> ModelRow:
    query = select(ModelRow).where(ModelRow.project_id == project_id(session), ModelRow.name == name)
    row = session.scalar(query)
    if row is None:
        row = ModelRow(project_id=project_id(session), name=name, last_number=0)
        session.add(row)
        session.flush()
    return row


def _next_number(session: Session, name: str) -> int:
    row = _get_or_create_model(session, name)
    increment = update(ModelRow).where(ModelRow.id == row.id).values(last_number=ModelRow.last_number + 1)
    return session.execute(increment.returning(ModelRow.last_number)).scalar_one()


def _aliases_by_number(session: Session, model_id: int) -> dict[int, list[str]]:
    aliases: dict[int, list[str]] = {}
    for row in session.scalars(select(ModelAliasRow).where(ModelAliasRow.model_id == model_id)):
        aliases.setdefault(row.number, []).append(row.name)
    return aliases


def _delete_versions(session: Session, model: ModelRow, numbers: list[int] | None) -> None:
    """Delete versions with their aliases and lineage edges; ``numbers`` None means all versions."""
    if numbers is None:
        query = select(ModelVersionRow.number).where(ModelVersionRow.model_id == model.id)
        numbers = list(session.scalars(query))
    session.execute(delete(ModelAliasRow).where(ModelAliasRow.model_id == model.id, ModelAliasRow.number.in_(numbers)))
    session.execute(
        delete(ModelVersionRow).where(ModelVersionRow.model_id == model.id, ModelVersionRow.number.in_(numbers))
    )
    users = [format_ref(model.name, number) for number in numbers]
    session.execute(delete(DatasetUseRow).where(DatasetUseRow.user_kind == "model", DatasetUseRow.user_ref.in_(users)))
