"""Changes of a dataset that may take minutes, each one new version: of its items, of its classes, and merges.

What is asked for has the same shape here and where a route does it at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from saccade.app.datasets.bulk_edit import change_items
from saccade.app.datasets.classes import change_classes
from saccade.app.datasets.conflict_resolution import choose_among
from saccade.app.jobs.job_type import Doing, JobKind, Parameters
from saccade.core.class_edits import AddClass, ClassAct, MergeClass, RecolorClass, RemoveClass, RenameClass
from saccade.core.merge import Choose, Side
from saccade.store.catalog.names import MAIN
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

MESSAGE = 2000
"""The longest message of a version."""
_ClassName = Annotated[str, Field(max_length=1000)]
_Branch = Annotated[str, Field(max_length=200)]
_Follows = Annotated[int | None, Field(ge=1, description="The number of the version that it is to follow.")]


class ItemsChange(Parameters):
    """Items by their keys, or all for which a query holds; and what is done to them."""

    keys: list[str] | None = Field(None, max_length=100_000, description="Their keys; without, all.")
    where: str | None = Field(None, max_length=4000, description="Instead of keys: those for which a query holds.")
    act: Literal["delete", "split", "tag", "untag"]
    value: str = Field("", max_length=200, description="The name of the tag or of the split.")
    message: str = Field("", max_length=MESSAGE)

    def meant(self, opened: Callable[[str], DatasetVersion], ref: str) -> Sequence[str]:
        """The keys of what is meant; the version is opened only where it has to be asked."""
        if self.keys is not None:
            return self.keys
        version = opened(ref)
        return version.keys() if self.where is None else version.where(self.where)


class _OfClass(Parameters):
    """What is done to a class; in one column, or in all that have it."""

    does: ClassVar[type[ClassAct]]
    name: _ClassName
    column: str | None = Field(None, max_length=200)

    def on(self) -> ClassAct:
        return self.does(**self.model_dump(exclude={"act"}))


class ClassAdded(_OfClass):
    does = AddClass
    act: Literal["add"]
    color: str | None = Field(None, max_length=20)


class ClassRenamed(_OfClass):
    does = RenameClass
    act: Literal["rename"]
    to: _ClassName


class ClassRecolored(_OfClass):
    does = RecolorClass
    act: Literal["recolor"]
    color: str = Field(max_length=20)


class ClassMerged(_OfClass):
    does = MergeClass
    act: Literal["merge"]
    into: _ClassName


class ClassRemoved(_OfClass):
    """``with_objects``: also what is of it; else it is refused where there is something."""

    does = RemoveClass
    act: Literal["remove"]
    with_objects: bool = False


class ClassesChange(Parameters):
    """Acts on classes, done one after another and all together."""

    acts: list[
        Annotated[ClassAdded | ClassRenamed | ClassRecolored | ClassMerged | ClassRemoved, Field(discriminator="act")]
    ] = Field(min_length=1, max_length=1000)
    message: str = Field("", max_length=1000)

    def done(self) -> list[ClassAct]:
        return [one.on() for one in self.acts]


class Choice(Parameters):
    """A conflict, as it is listed, and the side to take; without one it stays open."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    key: str = Field(max_length=2000)
    column: str | None = Field(None, max_length=200)
    object: str | None = Field(None, max_length=2000)
    class_: str | None = Field(None, alias="class", max_length=2000)
    take: Side | None = None


class MergeChange(Parameters):
    """Into which branch it is merged, and which side is taken in conflicts: as chosen one by one, else ``take``."""

    into: _Branch = MAIN
    take: Side | None = None
    choices: list[Choice] = Field([], max_length=10_000)
    message: str = Field("", max_length=MESSAGE)

    def choose(self) -> Choose:
        return choose_among(self.take, [one.model_dump(by_alias=True) for one in self.choices])


class _OnBranch(Parameters):
    """The branch of a dataset that gets the new version."""

    dataset: str = Field(max_length=100)
    branch: _Branch = MAIN
    follows: _Follows = None


class ItemsParameters(ItemsChange, _OnBranch):
    pass


class ClassesParameters(ClassesChange, _OnBranch):
    pass


class MergeParameters(MergeChange):
    dataset: str = Field(max_length=200, description="The branch or version that is merged: NAME@BRANCH, NAME@VERSION.")
    follows: _Follows = None


def change(doing: Doing, given: ItemsParameters) -> dict[str, Any]:
    """Remove items, put them into a split, or add or take away a tag."""

    def make(run: str, author: str) -> DatasetVersion:
        keys = given.meant(doing.workspace.datasets.open, f"{given.dataset}@{given.branch}")
        return change_items(
            doing.workspace,
            given.dataset,
            keys,
            given.act,
            given.value,
            message=given.message,
            branch=given.branch,
            author=author,
            follows=given.follows,
            run_id=run,
            progress=doing.progress,
        )

    told = f"{len(given.keys):,} by their keys" if given.keys is not None else given.where or "all"
    return _made(doing, given.dataset, make, act=given.act, value=given.value, items=told, branch=given.branch)


def classes(doing: Doing, given: ClassesParameters) -> dict[str, Any]:
    """Add, rename, recolor, merge and remove classes."""

    def make(run: str, author: str) -> DatasetVersion:
        return change_classes(
            doing.workspace,
            given.dataset,
            given.done(),
            message=given.message,
            branch=given.branch,
            author=author,
            follows=given.follows,
            run_id=run,
            progress=doing.progress,
        )

    acts = [one.model_dump(mode="json", exclude_none=True) for one in given.acts]
    return _made(doing, given.dataset, make, acts=acts, branch=given.branch)


def merge(doing: Doing, given: MergeParameters) -> dict[str, Any]:
    """Merge a branch or version into a branch; where there is nothing to merge, its head is what was made."""

    def make(run: str, author: str) -> DatasetVersion:
        done = doing.workspace.datasets.merge(
            given.dataset,
            into=given.into,
            choose=given.choose(),
            message=given.message,
            author=author,
            follows=given.follows,
            run_id=run,
            progress=doing.progress,
        )
        assert done.version is not None  # None is the answer of a dry run alone
        return done.version

    return _made(doing, given.dataset.partition("@")[0], make, [given.dataset], into=given.into, take=given.take)


def made_before(doing: Doing) -> str | None:
    """The version that this job had made when its worker died."""
    runs = doing.workspace.runs
    return next((made for run in runs.of_job(doing.job.id) if (made := runs.version_made(run.id)) is not None), None)


def author_of(doing: Doing) -> str:
    """The name of whoever left the job."""
    person = doing.job.person
    return "" if person is None else doing.workspace.people.get(person).name


def _made(
    doing: Doing, name: str, make: Callable[[str, str], DatasetVersion], inputs: Sequence[str] = (), **config: Any
) -> dict[str, Any]:
    """The version that ``make`` makes for a run and an author; done again after its worker died, what it had made."""
    runs, made = doing.workspace.runs, made_before(doing)
    if made is None:
        run = runs.start(doing.job.kind, name, config, inputs)
        with runs.noting_failure(run.id):
            made = make(run.id, author_of(doing)).ref
        runs.finish(run.id, "finished", outputs=[made])
    version = doing.workspace.datasets.open(made)
    info, is_new = version.info, version.info.run_id in {run.id for run in runs.of_job(doing.job.id)}
    counts = {name: getattr(info, name) if is_new else 0 for name in ("added", "removed", "changed")}
    return {"dataset": version.ref, "number": version.number, "items": len(version), **counts}


def _is_there(workspace: Workspace, given: Any) -> object:
    return workspace.datasets.open(given.dataset)


def _branch_is_there(workspace: Workspace, given: _OnBranch) -> object:
    return workspace.datasets.open(f"{given.dataset}@{given.branch}")


_DID = {
    "delete": "Remove items of {}",
    "split": "Put items of {} into a split",
    "tag": "Tag items of {}",
    "untag": "Take a tag from items of {}",
}

CHANGES: Mapping[str, JobKind] = {
    "change": JobKind(ItemsParameters, lambda given: _DID[given.act].format(given.dataset), change, _branch_is_there),
    "classes": JobKind(
        ClassesParameters, lambda given: f"Change the classes of {given.dataset}", classes, _branch_is_there
    ),
    "merge": JobKind(MergeParameters, lambda given: f"Merge {given.dataset} into {given.into}", merge, _is_there),
}
