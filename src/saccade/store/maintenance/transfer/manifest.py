"""The manifest of a remote copy of a dataset."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from saccade.core.errors import FormatError
from saccade.core.refs import MAIN
from saccade.core.schema import Schema

_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_UniqueId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
_FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9]+)*"
_TableFile = Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{32}}/(data|_versions|_deletions)/{_FILE_NAME}$")]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}$")]
_Count = Annotated[int, Field(ge=0)]


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileInfo(_StrictModel):
    """The SHA-256 and the size in bytes of a file."""

    sha256: _Digest
    size: _Count


class VersionEntry(_StrictModel):
    """A dataset version as in the catalog; ``origin`` is its lineage in the workspace that created it."""

    number: Annotated[int, Field(ge=1)]
    branch: _Name
    parent: int | None
    merged: int | None
    table: _UniqueId
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
    def _check_schema(cls, columns: dict[str, Any]) -> dict[str, Any]:
        try:
            Schema.from_json(columns)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a schema: {error!r}") from error
        return columns

    @property
    def identity(self) -> tuple[str, str]:
        """What distinguishes this version from any other in any workspace."""
        return self.table, self.table_version


class Manifest(_StrictModel):
    """A dataset: its versions, branches, aliases and tags, and the files that they need.

    Attributes:
        files: table files, by path below ``tables/``.
        media: lists of media, by path below ``lists/``; each line of a list is a digest and a size.
    """

    format: Literal[1] = 1
    name: _Name
    uid: _UniqueId
    versions: tuple[VersionEntry, ...]
    branches: dict[_Name, int]
    aliases: dict[_Name, int]
    tags: dict[_Name, int]
    files: dict[_TableFile, FileInfo]
    media: dict[_Digest, FileInfo]

    @model_validator(mode="after")
    def _check_references(self) -> Self:
        numbers = {version.number for version in self.versions}
        referenced = {*self.branches.values(), *self.aliases.values(), *self.tags.values()}
        if len(numbers) != len(self.versions) or MAIN not in self.branches or not referenced <= numbers:
            raise ValueError("versions, branches and aliases are inconsistent")
        return self

    def by_number(self) -> dict[int, VersionEntry]:
        return {version.number: version for version in self.versions}

    def to_bytes(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, source: str) -> Manifest:
        """Parse a manifest.

        Args:
            data: the content of the file.
            source: its location, for the error message.

        Raises:
            FormatError: it is not a manifest that this code can read.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            loc = ".".join(map(str, first["loc"]))
            raise FormatError(
                f"'{source}' is not a dataset of Saccade: {loc}: {first['msg']}.",
                hint="It may be damaged, or written by a newer Saccade.",
            ) from error


def format_media_line(digest: str, size: int) -> str:
    return f"{digest} {size}\n"


def parse_media_lines(data: bytes, source: str) -> list[tuple[str, int]]:
    """Parse a list of media into digests and sizes.

    Args:
        data: the content of the file.
        source: its location, for the error message.

    Raises:
        FormatError: a line is not a digest and a size.
    """
    media = []
    for line in data.decode("ascii", "replace").splitlines():
        digest, _, size = line.partition(" ")
        if len(digest) != 64 or not set(digest) <= set("0123456789abcdef") or not size.isdigit() or len(size) > 18:
            raise FormatError(f"'{source}' contains a line that is not a digest and a size: {line[:80]!r}.")
        media.append((digest, int(size)))
    return media
