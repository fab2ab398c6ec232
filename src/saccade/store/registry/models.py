"""Models: versions of weights with what they are and where they come from."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, WorkspaceError, nearest
from saccade.core.webhooks.events import ModelAliasMoved, ModelVersionMade, numbers
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.catalog.names import check_name, check_selector, exact, split_ref
from saccade.store.catalog.queries import (
    check_run,
    find_model,
    find_model_version,
    plain_json,
    project_id,
    record_uses,
)
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import AliasChangeRow, DatasetUseRow, ModelAliasRow, ModelRow, ModelVersionRow, now
from saccade.store.io.atomic import sync_folder
from saccade.store.webhooks.outbox_writer import tell

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class ModelFacts:
    """An immutable version of a model; ``files`` maps names to digests, ``aliases`` are those that name it now."""

    name: str
    number: int
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]
    files: Mapping[str, str]
    run_id: str | None
    inputs: tuple[str, ...]
    licence: str
    created: datetime
    aliases: tuple[str, ...]

    @property
    def ref(self) -> str:
        """The exact reference, as ``ships@3``."""
        return exact(self.name, self.number)


@dataclass(frozen=True)
class ModelVersion(ModelFacts):
    """A version of a model on this machine."""

    objects: ObjectStore

    def _digest(self, name: str) -> str:
        if name not in self.files:
            raise NotFoundError(f"The model {self.ref} has no file '{name}'.", hint=nearest(name, self.files))
        return self.files[name]

    def read_file(self, name: str) -> bytes:
        """The bytes of one file."""
        return self.objects.read(self._digest(name))

    def open_file(self, name: str) -> BinaryIO:
        """One file, open for reading."""
        return self.objects.open(self._digest(name))

    def path(self, name: str) -> Path:
        """One file on this machine; its name is its digest. Do not change it."""
        digest = self._digest(name)
        if found := self.objects.open_path(digest):
            return found
        raise NotFoundError(
            f"The file '{name}' of {self.ref} is not on this machine.", hint="Use read_file, or export the model."
        )


@dataclass(frozen=True, slots=True)
class AliasChange:
    """One move of an alias; ``number`` is None where it was taken away."""

    alias: str
    previous: int | None
    number: int | None
    author: str
    at: datetime


ModelList = list[ModelVersion]


class Models:
    """The models of a workspace."""

    def __init__(self, catalog: Catalog, objects: ObjectStore) -> None:
        self._catalog = catalog
        self._objects = objects

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
        """The next version of a model, which begins with the first.

        Args:
            files: relative names and their content.
            inputs: the dataset versions it was trained on.
        """
        check_name("model", name)
        for file in files:
            _check_file_name(file)
        with self._objects.keeping():
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
        for _ in range(3):  # two processes may begin a model of one name at the same moment
            try:
                with self._catalog.writing() as session:
                    number = _next_number(session, name)
                    check_run(session, run_id)
                    row = ModelVersionRow(
                        model_id=_model_row(session, name).id,
                        number=number,
                        manifest=plain_json(manifest),
                        metrics=plain_json(metrics),
                        files=dict(digests),
                        licence=licence,
                        run_id=run_id,
                        inputs=record_uses(session, inputs, "model", exact(name, number)),
                        created=now(),
                    )
                    session.add(row)
                    _tell_version(session, name, row)
                return self._version(name, row, ())
            except IntegrityError:
                continue
        raise ConflictError(f"Others keep adding to the model '{name}'.", hint="Nothing was added; try again.")

    def _put(self, content: Path | bytes) -> str:
        return self._objects.put_bytes(content) if isinstance(content, bytes) else self._objects.put_file(content)

    def _version(self, name: str, row: ModelVersionRow, aliases: Iterable[str]) -> ModelVersion:
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
            self._objects,
        )

    def open(self, ref: str) -> ModelVersion:
        """The version of a reference: ``ships``, ``ships@3``, ``ships@latest`` or ``ships@alias``."""
        name, selector = split_ref(ref)
        with self._catalog.reading() as session:
            model = find_model(session, name)
            row = find_model_version(session, model, selector)
            return self._version(name, row, _aliases_of(session, model.id).get(row.number, ()))

    def versions(self, name: str) -> ModelList:
        """All versions of a model, the newest first."""
        with self._catalog.reading() as session:
            model = find_model(session, name)
            aliases = _aliases_of(session, model.id)
            rows = session.scalars(
                select(ModelVersionRow)
                .where(ModelVersionRow.model_id == model.id)
                .order_by(ModelVersionRow.number.desc())
            )
            return [self._version(name, row, aliases.get(row.number, ())) for row in rows]

    def list(self) -> ModelList:
        """The newest version of every model, by name."""
        with self._catalog.reading() as session:
            has_versions = select(ModelVersionRow.id).where(ModelVersionRow.model_id == ModelRow.id).exists()
            names = session.scalars(select(ModelRow.name).where(has_versions).order_by(ModelRow.name)).all()
        return [self.versions(name)[0] for name in names]

    def promote(self, ref: str, alias: str, *, author: str = "") -> int | None:
        """Let an alias name a version; returns the number that it named before."""
        check_selector("alias", alias)
        name, selector = split_ref(ref)
        with self._catalog.writing() as session:
            model = find_model(session, name)
            number = find_model_version(session, model, selector).number
            row = session.get(ModelAliasRow, (model.id, alias))
            previous = None if row is None else row.number
            session.merge(ModelAliasRow(model_id=model.id, name=alias, number=number))
            change = AliasChangeRow(subject="model", name=name, alias=alias, previous=previous, number=number)
            change.author = author
            session.add(change)
            moved = ModelAliasMoved(name, alias, number, exact(name, number), previous, author)
            tell(session, "model.alias", moved, model.project_id)
        return previous

    def alias_changes(self, name: str) -> tuple[AliasChange, ...]:
        """Every move of the aliases of a model, the oldest first."""
        wanted = select(AliasChangeRow).where(AliasChangeRow.subject == "model", AliasChangeRow.name == name)
        with self._catalog.reading() as session:
            rows = session.scalars(wanted.order_by(AliasChangeRow.id))
            return tuple(AliasChange(row.alias, row.previous, row.number, row.author, row.at) for row in rows)

    def export(self, ref: str, destination: Path) -> ModelVersion:
        """Write the files and ``manifest.json`` into a new or empty folder, all or nothing."""
        version = self.open(ref)
        if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
            raise ConflictError(f"'{destination}' is not an empty folder.", hint="Choose another destination.")
        making = destination.resolve().with_name(f".{destination.name}.{uuid.uuid4().hex}")
        try:
            making.mkdir(parents=True)
            for name in version.files:
                (making / name).parent.mkdir(parents=True, exist_ok=True)
                (making / name).write_bytes(version.read_file(name))
            (making / MANIFEST).write_text(json.dumps(exported(version), indent=2) + "\n")
            making.replace(destination)
            sync_folder(destination.parent)
        except OSError as error:
            raise WorkspaceError(f"'{destination}' cannot be written: {error}.") from error
        finally:
            shutil.rmtree(making, ignore_errors=True)
        return version

    def remove(self, ref: str, *, force: bool = False) -> None:
        """Remove one version (``ships@3``) or the whole model (``ships``).

        ConflictError where an alias names what would go, unless forced. Numbers are not given again.
        """
        name, selector = split_ref(ref)
        with self._catalog.writing() as session:
            model = find_model(session, name)
            gone = [find_model_version(session, model, selector).number] if "@" in ref else None
            pointed = {
                alias: number
                for number, aliases in _aliases_of(session, model.id).items()
                for alias in aliases
                if gone is None or number in gone
            }
            if pointed and not force:
                raise ConflictError(
                    f"{ref} is in use as {', '.join(f'{name}@{alias}' for alias in sorted(pointed))}.",
                    hint="Promote another version first, or remove it with force (--force).",
                )
            _remove_rows(session, model, gone)


def exported(version: ModelVersion) -> dict[str, Any]:
    """What the manifest of an exported version says."""
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


def _tell_version(session: Session, name: str, row: ModelVersionRow) -> None:
    made = ModelVersionMade(
        name, row.number, exact(name, row.number), list(row.inputs), numbers(row.metrics), row.run_id
    )
    tell(session, "model.version", made)


def _check_file_name(name: str) -> None:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or name == MANIFEST:
        raise InvalidValueError(
            f"A model may not hold a file called {name!r}.", hint=f"Use a relative name other than {MANIFEST}."
        )


def _model_row(session: Session, name: str) -> ModelRow:
    wanted = select(ModelRow).where(ModelRow.project_id == project_id(session), ModelRow.name == name)
    row = session.scalar(wanted)
    if row is None:
        row = ModelRow(project_id=project_id(session), name=name, last_number=0)
        session.add(row)
        session.flush()
    return row


def _next_number(session: Session, name: str) -> int:
    row = _model_row(session, name)
    counted = update(ModelRow).where(ModelRow.id == row.id).values(last_number=ModelRow.last_number + 1)
    return session.execute(counted.returning(ModelRow.last_number)).scalar_one()


def _aliases_of(session: Session, model_id: int) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in session.scalars(select(ModelAliasRow).where(ModelAliasRow.model_id == model_id)):
        found.setdefault(row.number, []).append(row.name)
    return found


def _remove_rows(session: Session, model: ModelRow, numbers: list[int] | None) -> None:
    versions = select(ModelVersionRow.number).where(ModelVersionRow.model_id == model.id)
    going = list(session.scalars(versions)) if numbers is None else numbers
    here = (ModelAliasRow.model_id == model.id, ModelAliasRow.number.in_(going))
    session.execute(delete(ModelAliasRow).where(*here))
    session.execute(
        delete(ModelVersionRow).where(ModelVersionRow.model_id == model.id, ModelVersionRow.number.in_(going))
    )
    users = [exact(model.name, number) for number in going]
    session.execute(delete(DatasetUseRow).where(DatasetUseRow.user_kind == "model", DatasetUseRow.user_ref.in_(users)))
