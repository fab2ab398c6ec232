"""A step bound to its inputs: its cache key, its cached result, and the items that are not cached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from saccade.core.digest import digest_file, digest_json
from saccade.core.errors import NotFoundError, PipelineError, SaccadeError
from saccade.core.schema import Kind, Schema
from saccade.operations.base import (
    Granularity,
    Operation,
    Parameters,
    PortType,
)
from saccade.pipeline.cache.column import LazyColumn, Rows, changed_rows
from saccade.pipeline.cache.key import ENGINE_VERSION, canonical_parameters, fingerprint_operation, library_version
from saccade.pipeline.cache.memo import Memo
from saccade.pipeline.data.results import CachedResult, Result, concat_tables
from saccade.pipeline.data.table import Table
from saccade.pipeline.definition.graph import Step
from saccade.pipeline.execution.environment import StepEnvironment
from saccade.pipeline.hashing.code_fingerprint import CodeFingerprint
from saccade.pipeline.hashing.columns import Digests, combine_digests, digest_array
from saccade.store.arrow.codec import ARROW_TYPES
from saccade.store.arrow.columns import to_list

FILE_KINDS = (Kind.IMAGE, Kind.VIDEO, Kind.FILE)
"""Kinds whose values refer to media files."""


@dataclass(frozen=True)
class StepDelta:
    """The previous result of a step, and the rows in which its input has changed since."""

    previous: CachedResult
    rows: Rows


class BoundStep:
    """A step with its inputs.

    Args:
        environment: the shared services.
        step: the step.
        operation: its operation.
        parameters: its validated parameters.
        inputs: the results at each port, by port name.
        previous_components: the key components of the step's last run, if known.

    Raises:
        PipelineError: the input columns do not fit the operation.
    """

    def __init__(
        self,
        environment: StepEnvironment,
        step: Step,
        operation: Operation,
        parameters: Parameters,
        inputs: Mapping[str, Sequence[Result]],
        previous_components: Mapping[str, Any] | None = None,
    ) -> None:
        self.environment = environment
        self.step = step
        self.operation = operation
        self.parameters = parameters
        self.inputs = inputs
        self.previous_components = previous_components
        try:
            self._resolve_columns()
        except (SaccadeError, ValueError) as error:
            hint = error.hint if isinstance(error, SaccadeError) else ""
            message = error.message if isinstance(error, SaccadeError) else str(error)
            raise PipelineError(message, step=step.name, hint=hint) from None

    @cached_property
    def tables(self) -> list[Table]:
        """The input datasets, in the order of the ports."""
        tables = [result.table for port in self.operation.inputs for result in self.inputs.get(port.name, ())]
        return [table for table in tables if table is not None]

    def _resolve_columns(self) -> None:
        self.input_columns: list[tuple[str, ...]] = [
            self.operation.resolve_input_columns(self.parameters, table.schema) for table in self._input_tables()
        ]
        self.schema = self.operation.resolve_output_schema(self.parameters, [table.schema for table in self.tables])
        if self.operation.group_by is not None:
            column = self.tables[0].schema[self.operation.group_by(self.parameters)]
            if column.kind not in (Kind.TEXT, Kind.LABEL):
                raise PipelineError(f"cannot group by '{column.name}': it is of kind {column.kind}, not text or label.")

    def _input_tables(self) -> list[Table]:
        # A group operation reads the members; the second table only says what the groups belong to.
        return self.tables[:1] if self.operation.granularity is Granularity.GROUP else self.tables

    # Cache key

    @cached_property
    def code(self) -> CodeFingerprint:
        return fingerprint_operation(self.environment.cache, self.operation)

    @cached_property
    def key_components(self) -> dict[str, Any]:
        """Everything that the result depends on, in comparable parts."""
        return {
            "operation": self.operation.name,
            "parameters": canonical_parameters(self.parameters),
            "code": dict(self.code.definitions),
            "libraries": {name: library_version(name) for name in self.operation.libraries},
            "seed": self.step.seed,
            "outside": self._external_fingerprint(),
            "inputs": {port.name: self._input_components(port.name) for port in self.operation.inputs},
        }

    def _external_fingerprint(self) -> str | None:
        fingerprint = self.operation.fingerprint
        try:
            data = None if fingerprint is None else fingerprint(self.parameters, self.environment.workspace)
            if self.operation.files is None:
                return data
            return digest_json({"data": data, "files": [self._file_digests(path) for path in self._declared_files()]})
        except SaccadeError as error:
            raise PipelineError(error.message, step=self.step.name, hint=error.hint) from None

    def _declared_files(self) -> list[Path]:
        assert self.operation.files is not None
        folder = Path() if self.operation.file is None else self.operation.file.parent
        return [folder / path for path in self.operation.files(self.parameters)]

    def _file_digests(self, path: Path) -> dict[str, str]:
        """Return the digests of a file, or of the files in a folder by relative name."""
        if not path.exists():
            raise NotFoundError(f"The declared file {path} does not exist.", hint="Check 'files' of the operation.")
        files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): digest_file(file) for file in files}

    def _input_components(self, port: str) -> list[dict[str, Any]]:
        inputs: list[dict[str, Any]] = []
        for result in self.inputs.get(port, ()):
            if result.table is None:
                inputs.append({"value": result.identity()})
                continue
            is_group_target = self.operation.granularity is Granularity.GROUP and result.table is not self.tables[0]
            names = (
                () if is_group_target else self.operation.resolve_input_columns(self.parameters, result.table.schema)
            )
            components: dict[str, Any] = {
                "schema": result.table.schema.select(names).to_json(),
                "columns": {name: result.table.columns[name].id for name in names},
                "items": len(result.table),
            }
            if self._reads_keys:
                components["keys"] = result.table.keys.id
            inputs.append(components)
        return inputs

    @property
    def _reads_keys(self) -> bool:
        return self.operation.reads_key or self.operation.granularity not in (Granularity.ITEM, Granularity.FILTER)

    @cached_property
    def key(self) -> str:
        """The cache key of the result."""
        return self._hash_components(self.key_components)

    def _hash_components(self, components: Mapping[str, Any]) -> str:
        # The number of tolerated failures decides whether there is a result at all.
        return digest_json([ENGINE_VERSION, {**components, "code": self.code.digest}, self.step.failures])

    @cached_property
    def memo(self) -> Memo:
        """The per-item results, for everything that is the same for all items."""
        columns = [self.tables[0].schema.select(self.input_columns[0]).to_json()] if self.tables else []
        shared = {name: value for name, value in self.key_components.items() if name not in ("inputs", "code")}
        other_inputs = {
            port: components
            for port, components in self.key_components["inputs"].items()
            if any("value" in component for component in components)
        }
        key = [ENGINE_VERSION, shared, self.code.digest, columns, other_inputs, self.output_columns.to_json()]
        return self.environment.cache.memo(digest_json(key)[:32])

    @cached_property
    def output_columns(self) -> Schema:
        """The columns that the operation writes."""
        declared = self.operation.output_columns
        return Schema() if declared is None else Schema(tuple(declared(self.parameters, self.tables[0].schema)))

    # Cached results

    def cached_result(self) -> CachedResult | None:
        """Return the cached result, or None unless it and everything that it refers to exist."""
        entry = self.environment.cache.get_entry("steps", self.key)
        if entry is None:
            return None
        result = CachedResult.from_json(entry)
        if not result.is_available(self.environment.cache) or not self.has_media(result):
            return None
        if result.ref is not None and not self._version_exists(result.ref):
            return None
        exists = self.operation.exists
        if exists is not None and not exists(self.environment.workspace, result.value):
            return None
        return result

    def has_media(self, result: CachedResult) -> bool:
        """Whether all media files that a result refers to exist; if not, the affected segments are deleted."""
        cache = self.environment.cache
        blobs = self.environment.workspace.blobs
        missing: set[str] = set()
        for column in result.schema.columns_of_kind(*FILE_KINDS):
            digests = cache.file_digests(result.columns[column.name][0])
            if digests is None:
                return False
            missing |= {digest for digest in digests if not blobs.exists(digest)}
        if missing:
            for name in {source.partition(":")[2].partition("/")[0] for source in result.segments}:
                memo = cache.memo(name)
                memo.delete_segments(
                    [segment for segment in memo.segments if missing & set(segment_file_digests(segment.batch.rows))]
                )
            cache.repair()
            self.__dict__.pop("memo", None)  # the repair has closed it
        return not missing

    def _version_exists(self, ref: str) -> bool:
        try:
            self.environment.workspace.datasets.open(ref)
        except NotFoundError:
            return False
        return True

    def result(self, cached: CachedResult) -> Result:
        """Convert a cached result to a result."""
        if cached.ref is not None:
            version = self.environment.workspace.datasets.open(cached.ref)
            return Result(PortType.DATASET, self.environment.sources.table(version))
        return cached.result(self.environment.cache, self._input_table())

    def _input_table(self) -> Table | None:
        """Return the table whose items and columns may be passed through to the result."""
        if not self.tables:
            return None
        if self.operation.granularity is Granularity.GROUP:
            return self.tables[1] if len(self.tables) > 1 else None
        return concat_tables(self.environment.cache, self.tables)

    # Items

    def __len__(self) -> int:
        """The number of input items (or groups)."""
        return len(self.groups[0]) if self.operation.granularity is Granularity.GROUP else len(self.tables[0])

    @cached_property
    def item_digests(self) -> Digests:
        """The digest of what the operation reads of each item (or group), uint64 (N, 2)."""
        parts = [column.digests for column in self._digested_columns()]
        if self.operation.granularity is Granularity.GROUP:
            return self._group_digests(parts)
        return combine_digests(parts) if parts else np.zeros((len(self.tables[0]), 2), np.uint64)

    def digests_at(self, rows: Rows) -> Digests:
        """Return the digests of some items; unless they are grouped, the other items are not read."""
        if "item_digests" in self.__dict__ or self.operation.granularity is Granularity.GROUP:
            return self.item_digests[rows]
        parts = [column.take(rows).digests for column in self._digested_columns()]
        return combine_digests(parts) if parts else np.zeros((len(rows), 2), np.uint64)

    def _digested_columns(self) -> list[LazyColumn]:
        table = self.tables[0]
        return [table.columns[name] for name in self.input_columns[0]] + ([table.keys] if self._reads_keys else [])

    @cached_property
    def delta(self) -> StepDelta | None:
        """The previous result and the changed rows, if the input differs from that of the last run in few rows only.

        None if it differs in more than that, or if the new result cannot be derived from the changed rows alone: it
        refers to files, has failures, or has classes that only the items reveal.
        """
        if self.previous_components is None or len(self.tables) != 1:
            return None
        if self.operation.granularity not in (Granularity.ITEM, Granularity.FILTER):
            return None
        rows = self._changed_rows(self.previous_components)
        if rows is None:
            return None
        entry = self.environment.cache.get_entry("steps", self._hash_components(self.previous_components))
        if entry is None:
            return None
        previous = CachedResult.from_json(entry)
        if previous.failed or previous.schema != self.output_columns or previous.schema.columns_of_kind(*FILE_KINDS):
            return None
        return StepDelta(previous, rows) if previous.is_available(self.environment.cache) else None

    def _changed_rows(self, before: Mapping[str, Any]) -> Rows | None:
        """Return the rows in which the input differs from that of an earlier run.

        Returns None if anything but the content of the columns differs, or if that would take a full comparison.
        """
        if _strip_column_content(before) != _strip_column_content(self.key_components):
            return None
        port = next(
            name
            for name, components in before["inputs"].items()
            if any("columns" in component for component in components)
        )
        old = before["inputs"][port][0]
        new = self.key_components["inputs"][port][0]
        table = self.tables[0]
        pairs = [(table.columns[name], id) for name, id in old["columns"].items() if id != new["columns"][name]]
        if old.get("keys") != new.get("keys"):
            pairs.append((table.keys, old["keys"]))
        rows: Rows = np.empty(0, np.int64)
        cache = self.environment.cache
        for column, id in pairs:
            differing = changed_rows(column, cache.column(id, len(table))) if cache.has_column(id) else None
            if differing is None:
                return None
            rows = np.union1d(rows, differing)
        return rows

    def cache_misses(self) -> Rows:
        """Return the numbers of the items (or groups) without a cached result."""
        if self.delta is not None:
            rows = self.delta.rows
            return rows[self.memo.find(self.digests_at(rows)) < 0]
        return np.flatnonzero(self.memo.find(self.item_digests) < 0)

    # Groups

    @cached_property
    def groups(self) -> tuple[list[str], Rows, npt.NDArray[np.int64]]:
        """The name of each group, the rows of the members ordered by group, and the number of members per group."""
        assert self.operation.group_by is not None
        table = self.tables[0]
        name = self.operation.group_by(self.parameters)
        column = table.schema[name]
        group_of_row = self.environment.loader.load_column(table.columns[name], ARROW_TYPES[column.kind])
        if len(self.tables) > 1:
            groups = self.environment.reader(self.tables[1]).keys()
            indices = pa.compute.index_in(group_of_row, value_set=pa.array(groups))
            codes = np.asarray(pa.compute.fill_null(indices, -1), np.int64)
        else:
            encoded = group_of_row.dictionary_encode()
            groups = to_list(encoded.dictionary)
            codes = np.asarray(encoded.indices.fill_null(-1), np.int64)
        order = np.argsort(codes, kind="stable")
        order = order[codes[order] >= 0]
        return groups, order, np.bincount(codes[order], minlength=len(groups)).astype(np.int64)

    def _group_digests(self, parts: list[Digests]) -> Digests:
        groups, order, counts = self.groups
        members = combine_digests(parts)[order]
        # The digest of a group is that of the list of its members' digests.
        member_lists = pa.ListArray.from_arrays(
            pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)),
            pa.StructArray.from_arrays(
                [pa.array(members[:, 0].view(np.int64)), pa.array(members[:, 1].view(np.int64))], names=["a", "b"]
            ),
        )
        digests = [digest_array(member_lists)]
        if len(self.tables) > 1:
            digests.append(self.tables[1].keys.digests)
        else:
            digests.append(digest_array(pa.array(groups, pa.string())))
        return combine_digests(digests)


def _strip_column_content(components: Mapping[str, Any]) -> dict[str, Any]:
    """Return key components without the content of the columns."""
    inputs = {
        port: [
            {**entry, "columns": list(entry["columns"]), "keys": "keys" in entry} if "columns" in entry else entry
            for entry in entries
        ]
        for port, entries in components["inputs"].items()
    }
    return {**components, "inputs": inputs}


def stored_digests(values: pa.StructArray) -> list[str]:
    """Return the digests of the media files that are stored in the workspace, not linked."""
    digests = values.field("digest")
    uris = values.field("uri")
    return [digest for digest in digests.filter(uris.is_null()).to_pylist() if digest is not None]


def segment_file_digests(rows: pa.RecordBatch) -> list[str]:
    """Return the digests of the media files that any column of a segment refers to."""
    structs = [rows.column(index) for index, field in enumerate(rows.schema) if pa.types.is_struct(field.type)]
    return [digest for values in structs for digest in stored_digests(values)]
