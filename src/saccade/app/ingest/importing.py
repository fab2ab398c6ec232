"""Import of an external dataset as a dataset version."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from saccade.app.datasets.splits import SPLIT
from saccade.app.ingest.fetch import (
    fetch_fsspec,
    fetch_http,
    fetch_url_list,
    is_remote_url,
    is_url_list,
    local_source_path,
)
from saccade.app.ingest.media import LOW_RANGE, MediaIngestor
from saccade.app.ingest.prefetch import IngestPool, ingest_prefetched
from saccade.app.net.download import is_http_url
from saccade.core.errors import FormatError, InvalidValueError, NotFoundError, SaccadeError
from saccade.core.progress import NullProgress, Progress
from saccade.core.reader import Item
from saccade.core.records.datasets import WriteMode
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Column, ImageRef, Kind, Schema, VideoRef
from saccade.core.splits import GroupSplits
from saccade.core.urls import redact_url
from saccade.formats._common.encoding import stated_encoding
from saccade.formats.archives import is_archive, unpack
from saccade.formats.base import FORMATS, Record, RecordStream
from saccade.formats.detect import detect_format
from saccade.formats.reading import read_source
from saccade.media.window import ValueWindow, has_wide_values, parse_window, with_window
from saccade.runtime.gc_control import collect_periodically, gc_paused
from saccade.store.blobs.blob_batch import BlobBatch
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

# Reasons that the error for a source without images lists.
_MAX_CAUSES = 3
# Of a source of unknown size, one of so many images is checked after the first ones.
_LATE_STRIDE = 20


@dataclass(frozen=True, slots=True)
class SplitRequest:
    """How to split an import.

    Attributes:
        shares: The share of each split by name, such as ``{"train": 0.8, "val": 0.2}``.
        group_pattern: A regular expression that finds an item's group in its key: its first capturing group, or all of
            the match if it has none. If empty, the frames of a video or sequence are one group, and any other item is
            a group of its own.
        seed: The seed of the random assignment.
    """

    shares: Mapping[str, float]
    group_pattern: str = ""
    seed: int = 0

    def assign(self, records: Iterable[Record]) -> Callable[[Record], str]:
        """Assign the groups of records to splits.

        Args:
            records: All records, read once to collect the groups.

        Returns:
            A function that returns the split of a record.

        Raises:
            InvalidValueError: The pattern is invalid or does not match a key.
        """
        try:
            pattern = re.compile(self.group_pattern)
        except re.error as error:
            raise InvalidValueError(f"'{self.group_pattern}' is not a regular expression: {error}.") from None
        splits = GroupSplits((_group_of(pattern, record) for record in records), self.shares, self.seed)
        return lambda record: splits.split_of(_group_of(pattern, record))


@dataclass(frozen=True, slots=True)
class ImportResult:
    """Result of an import.

    Attributes:
        version: The new version.
        format: The format of the source.
        reason: Why this format was chosen.
        report: Everything that was skipped, inferred or changed.
        skipped: The number of items whose image or video cannot be used.
        splits: The number of items in each split.
    """

    version: DatasetVersion
    format: str
    reason: str
    report: ConversionReport
    skipped: int
    splits: Mapping[str, int] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        return self.version._repr_html_() + self.report._repr_html_()


def import_dataset(
    workspace: Workspace,
    source: Path | str,
    name: str,
    *,
    format: str = "auto",
    link: bool = False,
    split: SplitRequest | None = None,
    strict: bool = False,
    private_network: bool = False,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    mode: WriteMode = "create",
    display_name: str = "",
) -> ImportResult:
    """Import a source as a dataset. Either all of it is imported or nothing.

    An image that cannot be read is skipped and reported; the import continues.

    Args:
        workspace: The workspace.
        source: A folder, a file, or a ZIP or tar archive; an HTTP URL or a URL that fsspec supports
            (``s3://bucket/data``) of one of these; or a text file with an HTTP URL in each line, optionally followed
            by the key of the item.
        name: The name of the dataset; NAME@BRANCH to add a version to a branch of an existing dataset.
        format: The format of the source; detected if "auto".
        link: Refer to the images at their present paths instead of copying them.
        split: Assign items to splits.
        strict: Fail instead of importing with losses.
        private_network: Also fetch from addresses that are not public, such as those of the local network.
        options: Options of the format; ``encoding``, the encoding of label files that are not UTF-8; and ``window``,
            the values of images of more than 8 bits that are shown black and white, as ``LOW,HIGH``.
        progress: Advances by each item.
        mode: How the items are combined with those of an existing dataset: ``append`` new items, ``merge`` by key, or
            ``replace`` all of them.
        display_name: The name of the source in the version's message and the run, for a source in a temporary folder.

    Returns:
        The new version and a report.

    Raises:
        ConflictError: The dataset exists (``create``), or a key exists (``append``).
        FormatError: The source cannot be read or has no image that can be used, or ``strict`` is set and data would
            be lost.
        NotFoundError: The source, the format or the branch does not exist.
        InvalidValueError: The source cannot be linked, the split is invalid, or the target is a version or alias
            instead of a branch.
    """
    name, branch = workspace.datasets.resolve_target(name, mode)
    progress = progress or NullProgress()
    format_options = dict(options or {})
    window = parse_window(str(format_options.pop("window", "")))
    report = ConversionReport()
    with (
        materialize_source(workspace, source, link, report, progress, private_network) as path,
        IngestPool.for_source(path) as pool,
        gc_paused(),
    ):
        with stated_encoding(str(format_options.get("encoding", ""))):
            format_name, reason = resolve_format(path, format)
        assign_split = None
        if split is not None:
            # The source is read twice: groups are assigned to splits only once all of them are known.
            assign_split = split.assign(
                read_source(FORMATS.get(format_name), path, ConversionReport(), **format_options).records
            )
        stream = read_source(FORMATS.get(format_name), path, report, **format_options)
        source_name = display_name or (redact_url(str(source)) if is_remote_url(source) else str(source))
        config = {"source": source_name, "format": format_name, "link": link, "options": dict(options or {})}
        if split is not None:
            config["split"] = {"shares": dict(split.shares), "group": split.group_pattern, "seed": split.seed}
        run = workspace.runs.start("import", name, config, [])
        try:
            with workspace.runs.record_failure(run.id), workspace.blobs.batch(packed=True) as blobs:
                session = _ImportSession(blobs, report, link, assign_split, pool, window)
                items = session.items(stream, progress)
                if strict:
                    items = _raise_on_losses(items, report)
                # The message is visible to all members: name a local source without its folder.
                local_name = source_name if is_remote_url(source) else local_source_path(source).resolve().name
                version = workspace.datasets.write(
                    name,
                    session.schema(stream),
                    items,
                    mode=mode,
                    branch=branch,
                    message=f"import {display_name or local_name} ({format_name})",
                    run_id=run.id,
                )
        finally:
            progress.finish()
    with (run.folder / "report.json").open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(report.iter_json())
    workspace.runs.finish(run.id, "finished", metrics={"items": len(version)}, outputs=[version.ref])
    return ImportResult(version, format_name, reason, report, session.skipped, dict(session.split_counts))


@dataclass(slots=True)
class SourceCheck:
    """Result of checking a source: what an import of it would find.

    Attributes:
        format: The format of the source.
        reason: Why this format was chosen.
        schema: The columns of the items.
        report: Everything that an import would skip, infer or change. If not all images were checked, an import may
            find more that cannot be used.
        items: The number of items.
        checked: The number of items whose image or video was checked.
        skipped: The number of these whose image or video cannot be used.
        refusal: Why an import would be refused, or None.
    """

    format: str
    reason: str
    schema: Schema
    report: ConversionReport
    items: int = 0
    checked: int = 0
    skipped: int = 0
    refusal: SaccadeError | None = None


def check_source(
    workspace: Workspace,
    source: Path | str,
    *,
    format: str = "auto",
    private_network: bool = False,
    options: Mapping[str, Any] | None = None,
    max_images: int | None = None,
    on_record: Callable[[Record, Schema], None] = lambda record, schema: None,
    progress: Progress | None = None,
) -> SourceCheck:
    """Check a source with the code that imports it, without importing anything.

    All labels are read, and all images are verified, or a sample of them that is spread over the source.

    Args:
        workspace: The workspace.
        source: The source of :func:`import_dataset`.
        format: The format of the source; detected if "auto".
        private_network: Also fetch from addresses that are not public, such as those of the local network.
        options: The options of :func:`import_dataset`.
        max_images: About the number of images that are verified; None for all.
        on_record: Called with each record.
        progress: Advances by each item.

    Raises:
        FormatError: The format cannot be detected, or the source cannot be read.
        NotFoundError: The source or the format does not exist.
    """
    progress = progress or NullProgress()
    format_options = dict(options or {})
    window = parse_window(str(format_options.pop("window", "")))
    report = ConversionReport()
    with (
        materialize_source(workspace, source, False, report, progress, private_network) as path,
        IngestPool.for_source(path) as pool,
        gc_paused(),
        workspace.blobs.batch() as blobs,
    ):
        with stated_encoding(str(format_options.get("encoding", ""))):
            format_name, reason = resolve_format(path, format)
        stream = read_source(FORMATS.get(format_name), path, report, **format_options)
        check = SourceCheck(format_name, reason, stream.schema, report)
        session = _ImportSession(blobs, report, True, None, pool, window, check_only=True)
        records = _sample_media(stream, check, max_images, on_record)
        try:
            workspace.datasets.validate(stream.schema, session.items(replace(stream, records=records), progress))
        except (FormatError, InvalidValueError) as error:
            check.refusal = error
        finally:
            progress.finish()
        check.skipped = session.skipped
    return check


def _sample_media(
    stream: RecordStream, check: SourceCheck, max_images: int | None, on_record: Callable[[Record, Schema], None]
) -> Iterator[Record]:
    """Yield all records, but without their media if they are not part of the sample."""
    stride = 1 if max_images is None or stream.total is None else -(-stream.total // max_images)
    for record in stream.records:
        check.items += 1
        on_record(record, stream.schema)
        if max_images is not None and stream.total is None and check.checked >= max_images:
            stride = _LATE_STRIDE
        is_sampled = check.items % stride == 0 or stride == 1
        check.checked += is_sampled
        yield record if is_sampled else replace(record, media=None)


@contextmanager
def materialize_source(
    workspace: Workspace,
    source: Path | str,
    link: bool,
    report: ConversionReport,
    progress: Progress,
    allow_private: bool,
) -> Iterator[Path]:
    """Provide a source as a local, unpacked path. Temporary files are deleted at the end.

    Args:
        workspace: Provides the temporary folder.
        source: The source of :func:`import_dataset`.
        link: Whether the images are to be linked, which needs a source that stays where it is.
        report: Receives what could not be fetched or unpacked.
        progress: Receives progress of fetching.
        allow_private: Also fetch from addresses that are not public.

    Raises:
        InvalidValueError: The source is a URL or an archive and ``link`` is set.
    """
    is_list = not is_remote_url(source) and is_url_list(local_source_path(source))
    if not is_remote_url(source) and not is_list:
        with _unpack_archive(workspace, local_source_path(source), link, report) as path:
            yield path
        return
    if link:
        raise InvalidValueError(f"The images at a URL cannot be linked: {source}.", hint="Import it without --link.")
    with workspace.scratch.shared() as folder:
        if is_list:
            yield fetch_url_list(local_source_path(source), folder, report, progress, allow_private=allow_private)
            return
        if is_http_url(str(source)):
            fetched = fetch_http(str(source), folder, progress, allow_private=allow_private)
        else:
            fetched = fetch_fsspec(str(source), folder, report, progress)
        with _unpack_archive(workspace, fetched, link, report) as path:
            yield path


@contextmanager
def _unpack_archive(workspace: Workspace, source: Path, link: bool, report: ConversionReport) -> Iterator[Path]:
    """Yield the source, or a temporary folder with its content if it is an archive."""
    if not is_archive(source):
        yield source
        return
    if link:
        raise InvalidValueError(
            f"The images of an archive cannot be linked: {source}.", hint="Unpack it, or import it without --link."
        )
    with workspace.scratch.shared() as folder:
        yield unpack(source, folder, report)


def resolve_format(source: Path, format: str) -> tuple[str, str]:
    """Return the name of the format of a source, and the reason for it.

    Raises:
        NotFoundError: The format or the source does not exist.
        FormatError: The format is "auto" and cannot be detected.
    """
    if format != "auto":
        FORMATS.get(format)
        if not source.exists():
            raise NotFoundError(f"There is no file or folder {source}.", hint="Check the path.")
        return format, "as requested"
    detected, candidates = detect_format(source)
    return detected, next(candidate.reason for name, candidate in candidates if name == detected)


def _group_of(pattern: re.Pattern[str], record: Record) -> str:
    if not pattern.pattern:
        return record.group or record.key
    match = pattern.search(record.key)
    if match is None:
        raise InvalidValueError(f"The group expression '{pattern.pattern}' does not match the item '{record.key}'.")
    return match.group(1) if pattern.groups else match.group(0)


def _raise_on_losses(items: Iterator[Item], report: ConversionReport) -> Iterator[Item]:
    yield from items
    count, first = report.losses()
    if first is not None:
        raise FormatError(
            f"The import would lose or change {count} values; the first: {first.reason} ({first.key or first.detail}).",
            hint="Correct the source, or import without --strict.",
        )


class _ImportSession:
    """Turns records into items: ingests the media, assigns splits, and reports what was wrong."""

    def __init__(
        self,
        blobs: BlobBatch,
        report: ConversionReport,
        link: bool,
        assign_split: Callable[[Record], str] | None,
        pool: IngestPool,
        window: ValueWindow | None,
        *,
        check_only: bool = False,
    ) -> None:
        self.window = window
        self.check_only = check_only
        self.blobs = blobs
        self.report = report
        self.link = link
        self.assign_split = assign_split
        self.pool = pool
        self.skipped = 0
        self.split_counts: Counter[str] = Counter()

    def schema(self, stream: RecordStream) -> Schema:
        schema = stream.schema
        return schema if self.assign_split is None else schema.with_columns(Column(SPLIT, Kind.TEXT))

    def items(self, stream: RecordStream, progress: Progress) -> Iterator[Item]:
        progress.start("Checking" if self.check_only else "Importing", stream.total)
        column = stream.schema.first(Kind.IMAGE, Kind.VIDEO)
        ingestor = MediaIngestor(
            self.blobs, link=self.link, keep_video=column.kind is Kind.VIDEO, check_only=self.check_only
        )
        records = collect_periodically(stream.records)
        for record, (ingested, ingest_warnings) in ingest_prefetched(
            records, ingestor, self.blobs, stream.total, self.pool
        ):
            progress.advance(1, record.key)
            ref = ingested
            image_warnings = ingest_warnings
            if self.window is not None and isinstance(ref, ImageRef) and has_wide_values(ref.mode):
                ref = replace(ref, mode=with_window(ref.mode, self.window))
                image_warnings = tuple(warning for warning in ingest_warnings if warning[0] != LOW_RANGE)
            for reason, detail in image_warnings:
                self.report.add(FindingType.WARNING, reason, key=record.key, detail=detail)
            if isinstance(ref, SaccadeError):
                self.skipped += 1
                reason = f"{column.kind} that cannot be used"
                self.report.add(FindingType.SKIPPED, reason, key=record.key, detail=str(ref))
                continue
            self._compare_size(record, ref)
            values = {column.name: ref, **record.values}
            if self.assign_split is not None:
                values[SPLIT] = self.assign_split(record)
            self.split_counts[values.get(SPLIT) or ""] += 1
            yield Item(record.key, values)
        if self.skipped and not self.split_counts:
            raise FormatError(
                f"None of the {self.skipped} images can be used; the first: {_first_skipped(self.report)}",
                hint="Check that the files are complete and really images.",
            )
        if not self.split_counts:
            raise FormatError(
                f"The source has no {column.kind}s{_causes(self.report)}.",
                hint="Import the folder that has both the labels and their images.",
            )
        self.blobs.finish()  # make the files durable before the version that refers to them

    def _compare_size(self, record: Record, ref: ImageRef | VideoRef | None) -> None:
        if ref is None or record.size_wh is None or record.size_wh == (ref.width, ref.height):
            return
        sizes = f"{record.size_wh[0]} x {record.size_wh[1]} stated, {ref.width} x {ref.height} actual"
        self.report.add(FindingType.WARNING, "image size differs from the labels", key=record.key, detail=sizes)


def _causes(report: ConversionReport) -> str:
    """Return why a source has no images, as the end of a sentence: what was skipped, with the first case of each."""
    first_details: dict[str, str] = {}
    for finding in report:
        if finding.action is FindingType.SKIPPED:
            first_details.setdefault(finding.reason, finding.detail or finding.key)
    counts = report.counts()
    causes = [
        f"{reason} ({counts[FindingType.SKIPPED, reason]}, the first: {detail})"
        for reason, detail in islice(first_details.items(), _MAX_CAUSES)
    ]
    return f": {'; '.join(causes)}" if causes else ""


def _first_skipped(report: ConversionReport) -> str:
    return next(f"{finding.key}: {finding.detail}" for finding in report if finding.action is FindingType.SKIPPED)
