"""What a copy of a dataset says of itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from saccade.core.errors import FormatError
from saccade.core.schema import Schema
from saccade.store.catalog.names import MAIN

_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Identity = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
_FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9]+)*"
_TableFile = Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{32}}/(data|_versions|_deletions)/{_FILE_NAME}$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}$")]
_Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileFacts(_Strict):
    """The SHA-256 and the size in bytes of a file."""

    sha256: _Digest
    size: _Count


class VersionFacts(_Strict):
    """A version as the catalog has it; ``origin`` is what the workspace that made it knows of its making."""

    number: Annotated[int, Field(ge=1)]
    branch: _Name
    parent: int | None
    merged: int | None
    table: _Identity
    table_version: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,20}$")]
    columns: dict[str, Any]
    message: str
    author: str
    created: datetime
    items: _Count
    added: _Count
    removed: _Count
    changed: _Count
    origin: dict[str, Any] | None

    @field_validator("columns")
    @classmethod
    def _is_a_schema(cls, columns: dict[str, Any]) -> dict[str, Any]:
        try:
            Schema.from_json(columns)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no schema: {error!r}") from error
        return columns

    @property
    def identity(self) -> tuple[str, str]:
        """What makes it this version and no other."""
        return self.table, self.table_version


class Manifest(_Strict):
    """A dataset: its versions, branches, aliases and tags, and the files that they need.

    Attributes:
        files: of tables, by their path below ``tables/``.
        media: lists of media, by their path below ``lists/``; a line of one is a digest and a size.
    """

    format: Literal[1] = 1
    name: _Name
    uid: _Identity
    versions: tuple[VersionFacts, ...]
    branches: dict[_Name, int]
    aliases: dict[_Name, int]
    tags: dict[_Name, int]
    files: dict[_TableFile, FileFacts]
    media: dict[_Digest, FileFacts]

    @model_validator(mode="after")
    def _names_its_versions(self) -> Self:
        numbers = {version.number for version in self.versions}
        named = {*self.branches.values(), *self.aliases.values(), *self.tags.values()}
        if len(numbers) != len(self.versions) or MAIN not in self.branches or not named <= numbers:
            raise ValueError("versions, branches and aliases do not fit together")
        return self

    def by_number(self) -> dict[int, VersionFacts]:
        return {version.number: version for version in self.versions}

    def to_bytes(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Manifest:
        """The manifest of a file; FormatError where it is none that this code can read."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise FormatError(
                f"'{where}' is not a dataset of Saccade: {place}: {first['msg']}.",
                hint="It may be damaged, or written by a newer Saccade.",
            ) from error


def media_line(digest: str, size: int) -> str:
    return f"{digest} {size}\n"


def read_media_lines(data: bytes, where: str) -> list[tuple[str, int]]:
    """The digests and sizes of a list of media; FormatError where a line is something else."""
    found = []
    for line in data.decode("ascii", "replace").splitlines():
        digest, _, size = line.partition(" ")
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef") or not size.isdigit() or len(size) > 18:
            raise FormatError(f"'{where}' has a line that is not a digest and a size: {line[:80]!r}.")
        found.append((digest, int(size)))
    return found
