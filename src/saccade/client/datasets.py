"""The datasets of a project on a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

from saccade.client.api import Http
from saccade.client.dataset_writer import Sender
from saccade.client.decoding import made, path_of
from saccade.client.jobs import RemoteJobs
from saccade.client.uploads import RemoteObjects, forget_upload
from saccade.client.version import RemoteVersion
from saccade.core.errors import ConflictError, MovedError, NotFoundError, SaccadeError
from saccade.core.merge import Choose, Conflict, MergeConflictError, Merged, Side
from saccade.core.progress import Progress, Silent
from saccade.core.reader import Item
from saccade.core.schema import Schema
from saccade.store.catalog.names import MAIN, check_name
from saccade.store.datasets.datasets import Mode
from saccade.store.datasets.diff import ItemChange, ObjectsChange, SchemaChange
from saccade.store.datasets.refs import View
from saccade.store.datasets.rows import DatasetInfo
from saccade.store.datasets.version import VersionInfo

DatasetList = list[DatasetInfo]
Log = list[VersionInfo]
ViewList = list[View]
Facts = list[dict[str, Any]]
_PAGE, _CONFLICTS, _TRIES = 1000, 10_000, 10


class RemoteDatasets:
    """The datasets of a project on a server."""

    def __init__(self, http: Http, jobs: RemoteJobs, objects: RemoteObjects) -> None:
        self._http, self._jobs, self._objects = http, jobs, objects

    # Reading

    def list(self) -> DatasetList:
        """All datasets, each at its latest version."""
        return [made(DatasetInfo, one) for one in self._http.get("/datasets")]

    def exists(self, name: str) -> bool:
        """Whether there is a dataset of that name."""
        try:
            self._http.get(path_of("datasets", name))
        except NotFoundError:
            return False
        return True

    def open(self, ref: str) -> RemoteVersion:
        """A version, as NAME, NAME@NUMBER, NAME@BRANCH or NAME@ALIAS."""
        return RemoteVersion(self._http, self._http.get(path_of("datasets", ref)))

    def log(self, name: str, branch: str | None = None) -> Log:
        """All versions, the newest first; of a branch, the chain of versions that led to its head."""
        found = self._http.get(path_of("datasets", name, "log"), branch=branch)
        return [made(VersionInfo, one) for one in found]

    def diff(self, before: str, after: str) -> RemoteDiff:
        """What changed from one version to another, of the same dataset or of two."""
        return RemoteDiff(self._http, before, after)

    def names(self, name: str) -> dict[str, dict[str, int]]:
        """The ``branches``, ``tags`` and ``aliases`` that move, with the numbers of the versions that they name."""
        found: dict[str, dict[str, int]] = self._http.get(path_of("datasets", name, "names"))
        return found

    def branches(self, name: str) -> dict[str, int]:
        """The branches of a dataset and their heads."""
        return self.names(name)["branches"]

    def tags(self, name: str) -> dict[str, int]:
        """The aliases that never move."""
        return self.names(name)["tags"]

    def aliases(self, name: str) -> dict[str, int]:
        """The aliases of a dataset, tags among them, and the versions that they name."""
        found = self.names(name)
        return dict(sorted({**found["aliases"], **found["tags"]}.items()))

    # Writing

    def write(
        self,
        name: str,
        schema: Schema,
        items: Iterable[Item],
        *,
        mode: Mode,
        message: str = "",
        inputs: Sequence[str] = (),
        branch: str = MAIN,
        progress: Progress | None = None,
        follows: int | None = None,
    ) -> RemoteVersion:
        """Write items as the next version, all or nothing; arguments as on this machine.

        Images and other files are sent where the project has none of their content yet: those with a ``uri`` of a file
        of this machine, and those that were put (``site.objects``). It is a job of the server: Ctrl-C cancels it, and
        nothing is changed.
        """
        check_name("dataset", name)
        shown = progress or Silent()
        shown.start(f"Sending {name}", len(items) if isinstance(items, Sequence) else None)
        sender = Sender(self._http, self._objects, schema, shown)
        try:
            sender.send(items)
        except BaseException:
            with suppress(SaccadeError):
                forget_upload(self._http, sender.upload)
            raise
        shown.finish()
        parameters = {
            "upload": sender.upload,
            "dataset": name,
            "mode": mode,
            "message": message,
            "inputs": list(inputs),
            "branch": branch,
            "follows": follows,
        }
        done = self._jobs.run("write", parameters, progress)
        return self.open(done.result["dataset"])

    def change(
        self,
        name: str,
        act: Literal["delete", "split", "tag", "untag"],
        value: str = "",
        *,
        keys: Iterable[str] | None = None,
        where: str | None = None,
        message: str = "",
        branch: str = MAIN,
        follows: int | None = None,
        progress: Progress | None = None,
    ) -> RemoteVersion:
        """Tag, untag, split or delete items, by keys or a query, as the next version.

        Args:
            follows: the number of the version that it is to follow; MovedError where the branch has moved on.
            progress: told how far it has come: it is a job of the server then, which Ctrl-C cancels.
        """
        body = {
            "act": act,
            "value": value,
            "keys": None if keys is None else [*keys],
            "where": where,
            "message": message,
        }
        return self._follow(name, "change", body, branch, follows, progress)

    def classes(self, ref: str) -> Facts:
        """The classes of a version with their colours and counts, column by column."""
        found: Facts = self._http.get(path_of("datasets", ref, "classes"))["classes"]
        return found

    def change_classes(
        self,
        name: str,
        acts: Iterable[Mapping[str, Any]],
        message: str = "",
        *,
        branch: str = MAIN,
        follows: int | None = None,
        progress: Progress | None = None,
    ) -> RemoteVersion:
        """Do acts on classes, as ``{"act": "rename", "name": "boat", "to": "ship"}``, all in the next version.

        ``follows`` and ``progress`` as in change.
        """
        body = {"acts": list(map(dict, acts)), "message": message}
        return self._follow(name, "classes", body, branch, follows, progress)

    def delete_items(
        self, name: str, keys: Iterable[str], message: str = "", *, branch: str = MAIN, follows: int | None = None
    ) -> RemoteVersion:
        """A version without these items; NotFoundError for a key that is not there. ``follows`` as in change."""
        return self.change(name, "delete", keys=keys, message=message, branch=branch, follows=follows)

    def restore(
        self, name: str, number: int, message: str = "", *, branch: str = MAIN, follows: int | None = None
    ) -> RemoteVersion:
        """A new version equal to an old one. ``follows`` as in change."""
        return self._follow(name, "restore", {"number": number, "message": message}, branch, follows)

    def merge(
        self,
        ref: str,
        *,
        into: str = MAIN,
        choose: Choose | None = None,
        message: str = "",
        dry_run: bool = False,
        follows: int | None = None,
        progress: Progress | None = None,
    ) -> Merged[RemoteVersion]:
        """Merge a branch or version into a branch of the same dataset, all or nothing.

        MergeConflictError lists the conflicts in which ``choose`` gives no side. Where there is nothing to merge, no
        version is made. ``follows`` and ``progress`` as in change; ``follows`` is of the branch that is merged into.
        """
        for _ in range(_TRIES):
            found, tag = self._dry(ref, into, choose, follows)
            if dry_run:
                return found
            if still := [one for one in found.conflicts if one.taken is None]:
                raise MergeConflictError(still)
            try:
                return self._merge(found, tag, into, message or f"Merged {ref} ({found.theirs}).", progress)
            except MovedError:
                if follows is not None:
                    raise
        raise ConflictError(f"Others keep writing to '{ref.partition('@')[0]}@{into}'.", hint="Nothing was merged.")

    def _dry(
        self, ref: str, into: str, choose: Choose | None, follows: int | None
    ) -> tuple[Merged[RemoteVersion], str]:
        """What a merge would do, with the sides that are chosen; and the tag of the head that it would follow."""
        headers = self._match(ref.partition("@")[0], follows)
        conflicts: list[Conflict] = []
        while True:
            body = {"into": into, "dry_run": True, "start": len(conflicts), "limit": _CONFLICTS}
            answer = self._http.send("POST", path_of("datasets", ref, "merge"), json=body, headers=headers)
            told, headers = answer.json(), {"If-Match": answer.headers["ETag"]}
            ref = told["theirs"]  # the same at every page, whoever writes to that branch meanwhile
            conflicts += [_conflict(one) for one in told["conflicts"]]
            if len(conflicts) >= told["total"]:
                break
        sides = conflicts if choose is None else [_taken(one, choose) for one in conflicts]
        return made(Merged, {**told, "version": None}, conflicts=tuple(sides)), headers["If-Match"]

    def _merge(
        self, found: Merged[RemoteVersion], tag: str, into: str, message: str, progress: Progress | None
    ) -> Merged[RemoteVersion]:
        sides = [one.taken for one in found.conflicts]
        most: Side = "ours" if sides.count("ours") >= sides.count("theirs") else "theirs"
        choices = [one.to_json() for one in found.conflicts if one.taken != most]
        body = {
            "into": into,
            "take": most,
            "message": message,
            "choices": [{name: one[name] for name in ("key", "column", "object", "class", "take")} for one in choices],
        }
        if progress is not None:
            follows = int(found.ours.rpartition("@")[2])
            done = self._jobs.run("merge", {**body, "dataset": found.theirs, "follows": follows}, progress).result
            counts = {name: done[name] for name in ("added", "removed", "changed")}
            return replace(found, version=self.open(done["dataset"]), **counts)
        path = path_of("datasets", found.theirs, "merge")
        told = self._http.post(path, {**body, "limit": 0}, headers={"If-Match": tag})
        version = None if told["version"] is None else self.open(told["version"])
        return made(Merged, {**told, "version": version}, conflicts=found.conflicts)

    def branch(self, name: str, branch: str, from_ref: str, *, follows: int | None = None) -> None:
        """A new branch that begins at a version; ``from_ref`` is a reference or what follows its '@'."""
        ref = from_ref if "@" in from_ref or from_ref == name else f"{name}@{from_ref}"
        self._name(name, "branches", branch, self.open(ref).number, follows)

    def remove_branch(self, name: str, branch: str, *, follows: int | None = None) -> None:
        """Take a branch away; its versions stay."""
        self._unname(name, "branches", branch, follows)

    def alias(
        self, name: str, alias: str, number: int, *, fixed: bool = False, follows: int | None = None
    ) -> int | None:
        """Let an alias name a version, with ``fixed`` for good; returns the number that it named before."""
        before = self.aliases(name).get(alias)
        self._name(name, "tags" if fixed else "aliases", alias, number, follows)
        return before

    def tag(self, name: str, tag: str, number: int, *, follows: int | None = None) -> None:
        """Give a version a name for good."""
        self.alias(name, tag, number, fixed=True, follows=follows)

    def unalias(self, name: str, alias: str, *, follows: int | None = None) -> None:
        """Take an alias or a tag away; NotFoundError where there is none."""
        self._unname(name, "aliases", alias, follows)

    def remove(self, name: str, *, force: bool = False, follows: int | None = None) -> None:
        """Remove a dataset with all its versions; ConflictError where something was made from it, unless forced."""
        self._http.send(
            "DELETE", path_of("datasets", name), params={"force": force or None}, headers=self._match(name, follows)
        )

    # Views

    def views(self, name: str) -> ViewList:
        """The views that were kept of a dataset, by name."""
        return [made(View, one) for one in self._http.get(path_of("datasets", name, "views"))]

    def keep_view(self, name: str, view: str, filters: Mapping[str, Any]) -> None:
        """Keep a view under a name, in the place of one that has it."""
        self._http.send("PUT", path_of("datasets", name, "views", view), json={"filters": dict(filters)})

    def forget_view(self, name: str, view: str) -> None:
        """Let a view go; NotFoundError where there is none."""
        self._http.send("DELETE", path_of("datasets", name, "views", view))

    # The one way of each

    def _follow(
        self,
        name: str,
        what: str,
        body: Mapping[str, Any],
        branch: str,
        follows: int | None,
        progress: Progress | None = None,
    ) -> RemoteVersion:
        if progress is not None:
            parameters = {**body, "dataset": name, "branch": branch, "follows": follows}
            return self.open(self._jobs.run(what, parameters, progress).result["dataset"])
        path = path_of("datasets", name if branch == MAIN else f"{name}@{branch}", what)
        return self.open(self._http.post(path, body, headers=self._match(name, follows))["ref"])

    def _name(self, name: str, what: str, given: str, number: int, follows: int | None) -> None:
        body = {"name": given, "number": number}
        self._http.post(path_of("datasets", name, what), body, headers=self._match(name, follows))

    def _unname(self, name: str, what: str, given: str, follows: int | None) -> None:
        self._http.send("DELETE", path_of("datasets", name, what, given), headers=self._match(name, follows))

    def _match(self, name: str, number: int | None) -> dict[str, str]:
        """The header that lets a change follow this version alone."""
        if number is None:
            return {}
        return {"If-Match": self._http.send("GET", path_of("datasets", f"{name}@{number}")).headers["ETag"]}


class RemoteDiff:
    """From version ``before`` to version ``after`` (both exact references).

    Items are fetched when they are asked for.
    """

    def __init__(self, http: Http, before: str, after: str) -> None:
        self._http = http
        self._path, self._against = path_of("datasets", after, "diff"), before
        self._facts: dict[str, Any] = self._page(0, 1)
        self.before: str = self._facts["before"]
        self.after: str = self._facts["after"]
        self._path, self._against = path_of("datasets", self.after, "diff"), self.before

    def _page(self, start: int, limit: int) -> dict[str, Any]:
        found: dict[str, Any] = self._http.get(self._path, against=self._against, start=start, limit=limit)
        return found

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of items added, removed and changed."""
        found: dict[str, int] = self._facts["counts"]
        return found

    @cached_property
    def schema(self) -> SchemaChange:
        told = self._facts["schema"]
        lists = {
            name: {key: tuple(value) for key, value in told[name].items()} for name in told if "columns" not in name
        }
        return made(SchemaChange, {**told, **lists})

    @cached_property
    def added(self) -> list[str]:
        return [key for page in self._pages() for key in page["added"]]

    @cached_property
    def removed(self) -> list[str]:
        return [key for page in self._pages() for key in page["removed"]]

    @cached_property
    def changed(self) -> dict[str, ItemChange]:
        """The items that differ, by key."""
        return {one["key"]: _item_change(one) for page in self._pages() for one in page["changed"]}

    def _pages(self) -> Iterator[dict[str, Any]]:
        for start in range(0, max(self.counts.values(), default=0), _PAGE):
            yield self._page(start, _PAGE)

    def to_json(self) -> dict[str, Any]:
        pages = list(self._pages())
        listed = {kind: [one for page in pages for one in page[kind]] for kind in ("added", "removed", "changed")}
        return {**{name: self._facts[name] for name in ("before", "after", "counts", "schema")}, **listed}


def _item_change(told: Mapping[str, Any]) -> ItemChange:
    objects = {name: made(ObjectsChange, part) for name, part in told["objects"].items()}
    return ItemChange(told["key"], tuple(told["columns"]), objects)


def _conflict(told: Mapping[str, Any]) -> Conflict:
    return Conflict(
        told["key"], told["column"], told["object"], told["class"], told["ours"], told["theirs"], told["take"]
    )


def _taken(conflict: Conflict, choose: Choose) -> Conflict:
    return replace(conflict, taken=choose(conflict))
