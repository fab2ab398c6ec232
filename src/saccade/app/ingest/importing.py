"""Import: from a folder in some outside format to the first version of a dataset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saccade.app.datasets.splits import SPLIT
from saccade.app.ingest.fetch import fetch, fetch_list, fetch_web, is_url, is_url_list, local_source
from saccade.app.ingest.media import Intake
from saccade.app.ingest.prefetch import Helpers, taken_ahead
from saccade.app.net.download import is_web
from saccade.app.net.safe_http import shown
from saccade.core.errors import ConflictError, FormatError, InvalidValueError, NotFoundError, SaccadeError
from saccade.core.progress import Progress, Silent
from saccade.core.reader import Item
from saccade.core.report import Action, Report
from saccade.core.schema import Column, ImageRef, Kind, Schema, VideoRef
from saccade.core.splits import GroupSplits
from saccade.formats.archives import is_archive, unpack
from saccade.formats.base import FORMATS, Reading, Record
from saccade.formats.detect import detect_format
from saccade.runtime.gc_control import collected_now_and_then, collector_paused
from saccade.store.blobs.blob_batch import ObjectBatch
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class SplitRequest:
    """How to split an import: shares by name, and a regular expression that finds an item's group in its key.

    Where the expression has a group, that is the item's group. Where it is empty, the frames of a video or sequence are
    one group, and any other item is its own.
    """

    shares: Mapping[str, float]
    group_pattern: str = ""
    seed: int = 0

    def assign(self, records: Iterable[Record]) -> Callable[[Record], str]:
        """What tells the split of each of some records; where they come from, they may come again."""
        try:
            pattern = re.compile(self.group_pattern)
        except re.error as error:
            raise InvalidValueError(f"'{self.group_pattern}' is not a regular expression: {error}.") from None
        splits = GroupSplits((_group(pattern, one) for one in records), self.shares, self.seed)
        return lambda record: splits.of(_group(pattern, record))


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import made, and everything it noticed on the way."""

    version: DatasetVersion
    format: str
    reason: str
    report: Report
    set_aside: int
    splits: Mapping[str, int] = field(default_factory=dict)


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
    replace: bool = False,
    called: str = "",
) -> ImportResult:
    """Import ``source`` as a new dataset; nothing is there afterwards unless all of it is.

    Args:
        replace: where there is a dataset of that name, make what is read its next version.
        called: what to call the source where its place says nothing; the version names others without their folder,
            which is of this machine.
        link: keep the images where they are, by reference, instead of copying them.
        strict: refuse with FormatError instead of importing with losses.
        private_network: fetch from addresses of the web that are not public too, such as those of the local network.

    ``source`` is a folder, a file, a ZIP or tar archive, which is unpacked first; a URL of one of them, of the web
    or one that fsspec knows (``s3://bucket/data``), which is fetched first; or a text file with an address of the
    web in each line, and after it the key of its item where the name of the file is not to be it. An image that
    cannot be read is set aside and reported; the rest goes on.
    """
    if not replace and workspace.datasets.exists(name):
        raise ConflictError(f"There is already a dataset '{name}'.", hint="Choose another name with --dataset.")
    progress, given, report = progress or Silent(), dict(options or {}), Report()
    with (
        at_hand(workspace, source, link, report, progress, private_network) as place,
        Helpers.for_source(place) as helpers,
        collector_paused(),
    ):
        chosen, reason = chosen_format(place, format)
        splits = None
        if split is not None:
            splits = split.assign(FORMATS.get(chosen).read(place, Report(), **given).records)
        reading = FORMATS.get(chosen).read(place, report, **given)
        named = called or (shown(str(source)) if is_web(str(source)) else str(source))
        config = {"source": named, "format": chosen, "link": link, "options": given}
        if split is not None:
            config["split"] = {"shares": dict(split.shares), "group": split.group_pattern, "seed": split.seed}
        run = workspace.runs.start("import", name, config, [])
        try:
            with workspace.runs.noting_failure(run.id), workspace.objects.batch(packed=True) as objects:
                importer = _Importer(objects, report, link, splits, helpers)
                items = importer.items(reading, progress)
                if strict:
                    items = _refuse_losses(items, report)
                said = called or (named if is_url(source) else local_source(source).resolve().name)
                message = f"import {said} ({chosen})"
                version = workspace.datasets.write(
                    name,
                    importer.schema(reading),
                    items,
                    mode="replace" if replace else "create",
                    message=message,
                    run_id=run.id,
                )
        finally:
            progress.finish()
    with (run.folder / "report.json").open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(report.text())
    workspace.runs.finish(run.id, "finished", metrics={"items": len(version)}, outputs=[version.ref])
    return ImportResult(version, chosen, reason, report, importer.set_aside, dict(importer.seen_splits))


@contextmanager
def at_hand(
    workspace: Workspace, source: Path | str, link: bool, report: Report, progress: Progress, private: bool
) -> Iterator[Path]:
    """The source on this machine and unpacked, in a temporary folder where it was not."""
    is_list = not is_url(source) and is_url_list(local_source(source))
    if not is_url(source) and not is_list:
        with _unpacked(workspace, local_source(source), link, report) as place:
            yield place
        return
    if link:
        name = shown(str(source)) if is_web(str(source)) else source
        raise InvalidValueError(f"The images at a URL cannot be linked: {name}.", hint="Import it without --link.")
    with workspace.scratch.working() as folder:
        if is_list:
            yield fetch_list(local_source(source), folder, report, progress, private=private)
            return
        if is_web(str(source)):
            fetched = fetch_web(str(source), folder, progress, private=private)
        else:
            fetched = fetch(str(source), folder, report, progress)
        with _unpacked(workspace, fetched, link, report) as place:
            yield place


@contextmanager
def _unpacked(workspace: Workspace, source: Path, link: bool, report: Report) -> Iterator[Path]:
    """The source, or for an archive a temporary folder with what it holds."""
    if not is_archive(source):
        yield source
        return
    if link:
        raise InvalidValueError(
            f"The images of an archive cannot be linked: {source}.", hint="Unpack it, or import it without --link."
        )
    with workspace.scratch.working() as folder:
        yield unpack(source, folder, report)


def chosen_format(source: Path, format: str) -> tuple[str, str]:
    """The name of the format to read a source as, and why."""
    if format != "auto":
        FORMATS.get(format)
        if not source.exists():
            raise NotFoundError(f"There is no file or folder {source}.", hint="Check the path.")
        return format, "as asked"
    chosen, answers = detect_format(source)
    return chosen, next(answer.reason for name, answer in answers if name == chosen)


def _group(pattern: re.Pattern[str], record: Record) -> str:
    if not pattern.pattern:
        return record.group or record.key
    match = pattern.search(record.key)
    if match is None:
        raise InvalidValueError(f"The group expression '{pattern.pattern}' does not match the item '{record.key}'.")
    return match.group(1) if pattern.groups else match.group(0)


def _refuse_losses(items: Iterator[Item], report: Report) -> Iterator[Item]:
    yield from items
    count, first = report.losses()
    if first is not None:
        raise FormatError(
            f"The import would lose or change {count} things; the first: {first.reason} ({first.key or first.detail}).",
            hint="Correct the source, or import without --strict.",
        )


class _Importer:
    """Turns records into items: checks each image, stores or links it, and says what was wrong."""

    def __init__(
        self,
        objects: ObjectBatch,
        report: Report,
        link: bool,
        splits: Callable[[Record], str] | None,
        helpers: Helpers,
    ) -> None:
        self.objects, self.report, self.link, self.splits, self.helpers = objects, report, link, splits, helpers
        self.set_aside = 0
        self.seen_splits: Counter[str] = Counter()

    def schema(self, reading: Reading) -> Schema:
        schema = reading.schema
        return schema if self.splits is None else schema.with_columns(Column(SPLIT, Kind.TEXT))

    def items(self, reading: Reading, progress: Progress) -> Iterator[Item]:
        progress.start("Importing", reading.total)
        media = reading.schema.first(Kind.IMAGE, Kind.VIDEO)
        intake = Intake(self.objects, link=self.link, whole=media.kind is Kind.VIDEO)
        records = collected_now_and_then(reading.records)
        for record, (ref, notes) in taken_ahead(records, intake, self.objects, reading.total, self.helpers):
            progress.advance(1, record.key)
            for reason, detail in notes:
                self.report.add(Action.NOTICED, reason, key=record.key, detail=detail)
            if isinstance(ref, SaccadeError):
                self.set_aside += 1
                reason = f"{media.kind} that cannot be used"
                self.report.add(Action.SET_ASIDE, reason, key=record.key, detail=str(ref))
                continue
            self._compare_size(record, ref)
            values = {media.name: ref, **record.values}
            if self.splits is not None:
                values[SPLIT] = self.splits(record)
            self.seen_splits[values.get(SPLIT) or ""] += 1
            yield Item(record.key, values)
        if self.set_aside and not self.seen_splits:
            raise FormatError(
                f"None of the {self.set_aside} images can be used; the first: {_first_set_aside(self.report)}",
                hint="Check that the files are whole and really images.",
            )
        self.objects.finish()  # before the version that refers to them comes to be

    def _compare_size(self, record: Record, ref: ImageRef | VideoRef | None) -> None:
        if ref is None or record.size_wh is None or record.size_wh == (ref.width, ref.height):
            return
        stated = f"{record.size_wh[0]} x {record.size_wh[1]} stated, {ref.width} x {ref.height} true"
        self.report.add(Action.NOTICED, "image size differs from what the labels state", key=record.key, detail=stated)


def _first_set_aside(report: Report) -> str:
    return next(f"{finding.key}: {finding.detail}" for finding in report if finding.action is Action.SET_ASIDE)
