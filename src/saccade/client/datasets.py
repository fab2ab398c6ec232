"""Datasets of a project on a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

from saccade.client.api import ApiClient
from saccade.client.dataset_writer import RemoteWriter
from saccade.client.decoding import api_path, from_json
from saccade.client.jobs import RemoteJobs
from saccade.client.uploads import RemoteBlobs, delete_upload
from saccade.client.version import RemoteVersion
from saccade.core.errors import ConflictError, NotFoundError, SaccadeError, StaleVersionError
from saccade.core.merge import Conflict, MergeConflictError, Merged, Resolver, Side
from saccade.core.progress import NullProgress, Progress
from saccade.core.reader import Item
from saccade.core.records.datasets import (
    ClassChange,
    DatasetInfo,
    ItemChange,
    ObjectsChange,
    SavedView,
    SchemaChange,
    VersionInfo,
    WriteMode,
)
from saccade.core.refs import MAIN, check_name, format_ref, split_branch_ref
from saccade.core.schema import Schema

# Aliases, because within the class the name ``list`` is a method.
DatasetList = list[DatasetInfo]
VersionList = list[VersionInfo]
ViewList = list[SavedView]
ClassList = list[dict[str, Any]]
_PAGE_ITEMS = 1000
_PAGE_CONFLICTS = 10_000
_MAX_MERGE_ATTEMPTS = 10
_JOB_KINDS = {"items/bulk": "edit-items", "classes": "edit-classes"}
"""Kinds of jobs by the route that makes the same edit without a job."""


class RemoteDatasets:
    """Datasets of a project on a server.

    Methods that write take ``NAME@BRANCH`` for a branch other than the main one, and ``expected_version``, the number
    of the version that the branch must end at; if it does not, they raise StaleVersionError.
    """

    def __init__(self, api: ApiClient, jobs: RemoteJobs, blobs: RemoteBlobs) -> None:
        self._api = api
        self._jobs = jobs
        self._blobs = blobs

    def list(self) -> DatasetList:
        """List all datasets, each at its latest version."""
        return [from_json(DatasetInfo, dataset) for dataset in self._api.get("/datasets")]

    def exists(self, name: str) -> bool:
        """Return whether a dataset exists."""
        try:
            self._api.get(api_path("datasets", name))
        except NotFoundError:
            return False
        return True

    def open(self, ref: str) -> RemoteVersion:
        """Open a version: NAME, NAME@NUMBER, NAME@BRANCH or NAME@ALIAS."""
        return RemoteVersion(self._api, self._api.get(api_path("datasets", ref)))

    def log(self, name: str, branch: str | None = None) -> VersionList:
        """List the versions, newest first; with ``branch``, only that branch and its ancestors."""
        versions = self._api.get(api_path("datasets", name, "versions"), branch=branch)
        return [from_json(VersionInfo, version) for version in versions]

    def diff(self, before: str, after: str) -> RemoteDiff:
        """Compare two versions, of the same dataset or of two."""
        return RemoteDiff(self._api, before, after)

    def refs(self, name: str) -> dict[str, dict[str, int]]:
        """Return the version numbers of the ``branches``, ``tags`` and movable ``aliases`` of a dataset."""
        refs: dict[str, dict[str, int]] = self._api.get(api_path("datasets", name, "refs"))
        return refs

    def branches(self, name: str) -> dict[str, int]:
        """Return the branches with the numbers of their heads."""
        return self.refs(name)["branches"]

    def tags(self, name: str) -> dict[str, int]:
        """Return the tags with their version numbers."""
        return self.refs(name)["tags"]

    def aliases(self, name: str) -> dict[str, int]:
        """Return the aliases, including tags, with their version numbers."""
        refs = self.refs(name)
        return dict(sorted({**refs["aliases"], **refs["tags"]}.items()))

    def write(
        self,
        name: str,
        schema: Schema,
        items: Iterable[Item],
        *,
        mode: WriteMode,
        message: str = "",
        inputs: Sequence[str] = (),
        branch: str | None = None,
        progress: Progress | None = None,
        expected_version: int | None = None,
    ) -> RemoteVersion:
        """Write items as the next version, all or nothing.

        Media files that the project does not have yet are uploaded: those with a ``uri`` of a local file, and those
        registered in ``RemoteWorkspace.blobs``. The write is a job of the server; Ctrl-C cancels it and nothing is
        written.

        Args:
            name: Name of the dataset, or NAME@BRANCH.
            schema: Columns of the items.
            items: The items.
            mode: What to do with existing items, as in the local ``Datasets.write``.
            message: Message of the version.
            inputs: References of the versions that it is made from, for lineage.
            branch: The branch to write to, if ``name`` has none; the main branch by default.
            progress: Reports the upload and the write.
            expected_version: Number of the version that the branch must end at.

        Raises:
            StaleVersionError: The branch ends at another version than ``expected_version``.
            InvalidValueError: The name or a value is invalid.
            NotFoundError: A media file is neither in the project nor on this machine.
        """
        name, branch = split_branch_ref(name, branch)
        check_name("dataset", name)
        upload_progress = progress or NullProgress()
        upload_progress.start(f"Uploading {name}", len(items) if isinstance(items, Sequence) else None)
        writer = RemoteWriter(self._api, self._blobs, schema, upload_progress)
        try:
            writer.write(items)
        except BaseException:
            with suppress(SaccadeError):
                delete_upload(self._api, writer.upload)
            raise
        upload_progress.finish()
        parameters = {
            "upload": writer.upload,
            "dataset": name,
            "mode": mode,
            "message": message,
            "inputs": [*inputs],
            "branch": branch,
            "expected_version": expected_version,
        }
        job = self._jobs.run("write-items", parameters, progress)
        return self.open(job.result["dataset"])

    def bulk_edit(
        self,
        name: str,
        action: Literal["delete", "split", "tag", "untag"],
        target: str = "",
        *,
        keys: Iterable[str] | None = None,
        where: str | None = None,
        message: str = "",
        branch: str | None = None,
        expected_version: int | None = None,
        progress: Progress | None = None,
    ) -> RemoteVersion:
        """Delete or tag items, or assign them to a split, as the next version.

        Args:
            name: Name of the dataset, or NAME@BRANCH.
            action: What to do.
            target: The tag or the split.
            keys: Keys of the items.
            where: Instead of keys, a query for the items.
            message: Message of the version.
            branch: The branch to write to, if ``name`` has none; the main branch by default.
            expected_version: Number of the version that the branch must end at.
            progress: If set, the edit runs as a job of the server, which Ctrl-C cancels.

        Raises:
            StaleVersionError: The branch ends at another version than ``expected_version``.
        """
        body = {
            "action": action,
            "target": target,
            "keys": None if keys is None else [*keys],
            "where": where,
            "message": message,
        }
        return self._write(name, "items/bulk", body, branch, expected_version, progress)

    def classes(self, ref: str) -> ClassList:
        """List the classes of a version with their colors and counts, by column."""
        classes: ClassList = self._api.get(api_path("datasets", ref, "classes"))["classes"]
        return classes

    def edit_classes(
        self,
        name: str,
        edits: Iterable[Mapping[str, Any]],
        message: str = "",
        *,
        branch: str | None = None,
        expected_version: int | None = None,
        progress: Progress | None = None,
    ) -> RemoteVersion:
        """Edit classes, all or nothing, as the next version.

        Args:
            name: Name of the dataset, or NAME@BRANCH.
            edits: Edits such as ``{"action": "rename", "name": "boat", "new_name": "ship"}``.
            message: Message of the version.
            branch: The branch to write to, if ``name`` has none; the main branch by default.
            expected_version: Number of the version that the branch must end at.
            progress: If set, the edit runs as a job of the server, which Ctrl-C cancels.

        Raises:
            StaleVersionError: The branch ends at another version than ``expected_version``.
        """
        body = {"edits": [dict(edit) for edit in edits], "message": message}
        return self._write(name, "classes", body, branch, expected_version, progress)

    def delete_items(
        self,
        name: str,
        keys: Iterable[str],
        message: str = "",
        *,
        branch: str | None = None,
        expected_version: int | None = None,
    ) -> RemoteVersion:
        """Delete items by key, as the next version; arguments as in :meth:`bulk_edit`.

        Raises:
            NotFoundError: There is no item with one of the keys.
        """
        return self.bulk_edit(
            name, "delete", keys=keys, message=message, branch=branch, expected_version=expected_version
        )

    def restore(
        self,
        name: str,
        number: int,
        message: str = "",
        *,
        branch: str | None = None,
        expected_version: int | None = None,
    ) -> RemoteVersion:
        """Restore an old version by its number: create a new version with the same content."""
        return self._write(name, "restore", {"number": number, "message": message}, branch, expected_version)

    def merge(
        self,
        ref: str,
        *,
        into: str = MAIN,
        resolver: Resolver | None = None,
        message: str = "",
        dry_run: bool = False,
        expected_version: int | None = None,
        progress: Progress | None = None,
    ) -> Merged[RemoteVersion]:
        """Merge a branch or version into a branch of the same dataset, all or nothing.

        If there is nothing to merge, no version is created. Without ``expected_version``, a merge that loses a race
        against another write is repeated with the new head.

        Args:
            ref: The branch or version to merge.
            into: The target branch.
            resolver: Chooses the side for each conflict.
            message: Message of the version.
            dry_run: Only return the result, without writing.
            expected_version: Number of the version that the target branch must end at.
            progress: If set, the merge runs as a job of the server, which Ctrl-C cancels.

        Raises:
            MergeConflictError: ``resolver`` left conflicts unresolved.
            StaleVersionError: The target branch ends at another version than ``expected_version``.
            ConflictError: Other writers changed the target branch during each attempt.
        """
        for _ in range(_MAX_MERGE_ATTEMPTS):
            preview, etag = self._preview_merge(ref, into, resolver, expected_version)
            if dry_run:
                return preview
            if unresolved := [conflict for conflict in preview.conflicts if conflict.resolution is None]:
                raise MergeConflictError(unresolved)
            try:
                return self._apply_merge(preview, etag, into, message or f"Merged {ref} ({preview.theirs}).", progress)
            except StaleVersionError:
                if expected_version is not None:
                    raise
        raise ConflictError(
            f"Other writers kept changing '{ref.partition('@')[0]}@{into}'.",
            hint="Nothing was merged. Try again later.",
        )

    def _preview_merge(
        self, ref: str, into: str, resolver: Resolver | None, expected_version: int | None
    ) -> tuple[Merged[RemoteVersion], str]:
        """Return the result of a dry run with resolved conflicts, and the ETag of the target branch."""
        headers = self._if_match(ref.partition("@")[0], expected_version)
        conflicts: list[Conflict] = []
        while True:
            body = {"into": into, "dry_run": True, "start": len(conflicts), "limit": _PAGE_CONFLICTS}
            response = self._api.send("POST", api_path("datasets", ref, "merge"), json=body, headers=headers)
            data = response.json()
            headers = {"If-Match": response.headers["ETag"]}
            # All pages must be of the same version, even if another writer moves the branch meanwhile.
            ref = data["theirs"]
            conflicts += [_decode_conflict(conflict) for conflict in data["conflicts"]]
            if len(conflicts) >= data["total"]:
                break
        if resolver is not None:
            conflicts = [replace(conflict, resolution=resolver(conflict)) for conflict in conflicts]
        return from_json(Merged, {**data, "version": None}, conflicts=tuple(conflicts)), headers["If-Match"]

    def _apply_merge(
        self, preview: Merged[RemoteVersion], etag: str, into: str, message: str, progress: Progress | None
    ) -> Merged[RemoteVersion]:
        # The more frequent side is sent as the default, so that few conflicts are listed.
        sides = [conflict.resolution for conflict in preview.conflicts]
        default: Side = "ours" if sides.count("ours") >= sides.count("theirs") else "theirs"
        choices = [conflict.to_json() for conflict in preview.conflicts if conflict.resolution != default]
        fields = ("key", "column", "object", "class", "resolution")
        body = {
            "into": into,
            "resolution": default,
            "message": message,
            "choices": [{name: choice[name] for name in fields} for choice in choices],
        }
        if progress is not None:
            head = int(preview.ours.rpartition("@")[2])
            parameters = {**body, "dataset": preview.theirs, "expected_version": head}
            result = self._jobs.run("merge", parameters, progress).result
            counts = {name: result[name] for name in ("added", "removed", "changed")}
            return replace(preview, version=self.open(result["dataset"]), **counts)
        path = api_path("datasets", preview.theirs, "merge")
        data = self._api.post(path, {**body, "limit": 0}, headers={"If-Match": etag})
        version = None if data["version"] is None else self.open(data["version"])
        return from_json(Merged, {**data, "version": version}, conflicts=preview.conflicts)

    def branch(
        self, name: str, branch: str, from_ref: str | None = None, *, expected_version: int | None = None
    ) -> None:
        """Create a branch.

        Args:
            name: Name of the dataset.
            branch: Name of the branch.
            from_ref: The version where it starts: a full reference, or only its part after the '@'. Default: the
                head of the main branch.
            expected_version: Number of the version that the main branch must end at.
        """
        dataset = split_branch_ref(name)[0]
        from_ref = from_ref or dataset
        ref = from_ref if "@" in from_ref or from_ref == dataset else f"{dataset}@{from_ref}"
        self._set_ref(name, "branches", branch, self.open(ref).number, expected_version)

    def delete_branch(self, name: str, branch: str, *, expected_version: int | None = None) -> None:
        """Delete a branch. Its versions are kept."""
        self._delete_ref(name, "branches", branch, expected_version)

    def alias(
        self, name: str, alias: str, number: int, *, fixed: bool = False, expected_version: int | None = None
    ) -> int | None:
        """Point an alias to a version.

        Args:
            name: Name of the dataset.
            alias: Name of the alias.
            number: Number of the version.
            fixed: Create a tag, which cannot be moved.
            expected_version: Number of the version that the main branch must end at.

        Returns:
            The number of the version that the alias named before, if any.
        """
        previous = self.aliases(name).get(alias)
        self._set_ref(name, "tags" if fixed else "aliases", alias, number, expected_version)
        return previous

    def tag(self, name: str, tag: str, number: int, *, expected_version: int | None = None) -> None:
        """Create a tag: an alias that cannot be moved."""
        self.alias(name, tag, number, fixed=True, expected_version=expected_version)

    def delete_alias(self, name: str, alias: str, *, expected_version: int | None = None) -> None:
        """Delete an alias or a tag. The version is kept.

        Raises:
            NotFoundError: There is no such alias.
        """
        self._delete_ref(name, "aliases", alias, expected_version)

    def remove(self, name: str, *, force: bool = False, expected_version: int | None = None) -> None:
        """Delete a dataset with all its versions.

        Raises:
            ConflictError: Other versions or models were made from it, and ``force`` is not set.
        """
        headers = self._if_match(name, expected_version)
        self._api.send("DELETE", api_path("datasets", name), params={"force": force or None}, headers=headers)

    def views(self, name: str) -> ViewList:
        """List the saved views of a dataset by name."""
        return [from_json(SavedView, view) for view in self._api.get(api_path("datasets", name, "views"))]

    def save_view(self, name: str, view: str, filters: Mapping[str, Any]) -> None:
        """Save a view, replacing one with the same name."""
        self._api.send("PUT", api_path("datasets", name, "views", view), json={"filters": dict(filters)})

    def delete_view(self, name: str, view: str) -> None:
        """Delete a saved view.

        Raises:
            NotFoundError: There is no such view.
        """
        self._api.send("DELETE", api_path("datasets", name, "views", view))

    def _write(
        self,
        name: str,
        route: str,
        body: Mapping[str, Any],
        branch: str | None,
        expected_version: int | None,
        progress: Progress | None = None,
    ) -> RemoteVersion:
        """Create a version by a request, or by a job if there is a ``progress``.

        Args:
            name: Name of the dataset, or NAME@BRANCH.
            route: Path of the route below the dataset.
            body: Body of the request, or parameters of the job.
            branch: The branch to write to, if ``name`` has none; the main branch by default.
            expected_version: Number of the version that the branch must end at.
            progress: Reports the progress of the job.
        """
        name, branch = split_branch_ref(name, branch)
        if progress is not None:
            parameters = {**body, "dataset": name, "branch": branch, "expected_version": expected_version}
            return self.open(self._jobs.run(_JOB_KINDS[route], parameters, progress).result["dataset"])
        path = f"{api_path('datasets', name if branch == MAIN else f'{name}@{branch}')}/{route}"
        return self.open(self._api.post(path, body, headers=self._if_match(name, expected_version))["ref"])

    def _set_ref(self, name: str, collection: str, ref: str, number: int, expected_version: int | None) -> None:
        body = {"name": ref, "number": number}
        self._api.post(api_path("datasets", name, collection), body, headers=self._if_match(name, expected_version))

    def _delete_ref(self, name: str, collection: str, ref: str, expected_version: int | None) -> None:
        headers = self._if_match(name, expected_version)
        self._api.send("DELETE", api_path("datasets", name, collection, ref), headers=headers)

    def _if_match(self, name: str, expected_version: int | None) -> dict[str, str]:
        """Return the header that makes a write fail unless the branch ends at this version."""
        if expected_version is None:
            return {}
        ref = format_ref(name.partition("@")[0], expected_version)
        return {"If-Match": self._api.send("GET", api_path("datasets", ref)).headers["ETag"]}


class RemoteDiff:
    """Difference between two versions; items are fetched on first access.

    Attributes:
        before, after: Exact references of the versions.
    """

    def __init__(self, api: ApiClient, before: str, after: str) -> None:
        self._api = api
        self._path = api_path("datasets", after, "diff")
        self._against = before
        self._summary: dict[str, Any] = self._fetch_page(0, 1)
        self.before: str = self._summary["before"]
        self.after: str = self._summary["after"]
        # Later pages must be of the same versions, even if a branch or alias moves meanwhile.
        self._path = api_path("datasets", self.after, "diff")
        self._against = self.before

    def _repr_html_(self) -> str:
        from saccade.html_report.notebook import diff_html

        return diff_html(self.before, self.after, self.counts, self.added, self.removed, self.changed, self.schema)

    def _fetch_page(self, start: int, limit: int) -> dict[str, Any]:
        page: dict[str, Any] = self._api.get(self._path, against=self._against, start=start, limit=limit)
        return page

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of items added, removed and changed."""
        counts: dict[str, int] = self._summary["counts"]
        return counts

    @cached_property
    def schema(self) -> SchemaChange:
        """Changes of columns and classes."""
        data = self._summary["schema"]
        names = ("kinds_changed", "classes_added", "classes_removed")
        lists = {name: {column: tuple(value) for column, value in data[name].items()} for name in names}
        renamed = {
            column: tuple(from_json(ClassChange, change) for change in changes)
            for column, changes in data["classes_renamed"].items()
        }
        return from_json(SchemaChange, {**data, **lists}, classes_renamed=renamed)

    @cached_property
    def added(self) -> list[str]:
        """Keys of the added items."""
        return [key for page in self._pages() for key in page["added"]]

    @cached_property
    def removed(self) -> list[str]:
        """Keys of the removed items."""
        return [key for page in self._pages() for key in page["removed"]]

    @cached_property
    def changed(self) -> dict[str, ItemChange]:
        """Changed items by key."""
        return {change["key"]: _decode_item_change(change) for page in self._pages() for change in page["changed"]}

    def _pages(self) -> Iterator[dict[str, Any]]:
        for start in range(0, max(self.counts.values(), default=0), _PAGE_ITEMS):
            yield self._fetch_page(start, _PAGE_ITEMS)

    def to_json(self) -> dict[str, Any]:
        """Return the complete difference as JSON."""
        pages = list(self._pages())
        items = {name: [entry for page in pages for entry in page[name]] for name in ("added", "removed", "changed")}
        return {**{name: self._summary[name] for name in ("before", "after", "counts", "schema")}, **items}


def _decode_item_change(data: Mapping[str, Any]) -> ItemChange:
    objects = {name: from_json(ObjectsChange, change) for name, change in data["objects"].items()}
    return ItemChange(data["key"], tuple(data["columns"]), objects)


def _decode_conflict(data: Mapping[str, Any]) -> Conflict:
    return Conflict(
        data["key"], data["column"], data["object"], data["class"], data["ours"], data["theirs"], data["resolution"]
    )
