"""Job types that edit a dataset: bulk edits of items, class edits and merges. Each creates one version.

The request models are also used by the routes that make small edits without a job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from saccade.app.datasets.bulk_edit import bulk_edit
from saccade.app.datasets.classes import edit_classes
from saccade.app.datasets.conflict_resolution import resolver_from_choices
from saccade.app.datasets.versions import merge_branch
from saccade.app.jobs.former_names import current_parameters
from saccade.app.jobs.job_type import JobContext, JobParameters, JobType
from saccade.core.class_edits import AddClass, ClassEdit, MergeClass, RecolorClass, RemoveClass, RenameClass
from saccade.core.merge import Resolver, Side
from saccade.core.refs import MAIN, split_branch_ref
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

MAX_MESSAGE_LENGTH = 2000
_ClassName = Annotated[str, Field(max_length=1000)]
_Branch = Annotated[str, Field(max_length=200)]
_ExpectedVersion = Annotated[
    int | None, Field(ge=1, description="The number of the version that is expected to be the head of the branch.")
]


class ItemsEdit(JobParameters):
    """An edit of items, selected by their keys or by a query; of all items if neither is given."""

    keys: list[str] | None = Field(None, max_length=100_000, fail_fast=True, description="The keys of the items.")
    where: str | None = Field(None, max_length=4000, description="A query that selects the items, instead of keys.")
    action: Literal["delete", "split", "tag", "untag"]
    target: str = Field("", max_length=200, description="The name of the tag or of the split.")
    message: str = Field("", max_length=MAX_MESSAGE_LENGTH)

    def resolve_keys(self, open_version: Callable[[str], DatasetVersion], ref: str) -> Sequence[str]:
        """Return the keys of the selected items. The version is opened only if it must be queried."""
        if self.keys is not None:
            return self.keys
        version = open_version(ref)
        return version.keys() if self.where is None else version.where(self.where)


class _ClassEditRequest(JobParameters):
    """An edit of a class, in one column or in all columns that have the class."""

    edit_type: ClassVar[type[ClassEdit]]
    name: _ClassName
    column: str | None = Field(None, max_length=200)

    def to_edit(self) -> ClassEdit:
        return self.edit_type(**self.model_dump(exclude={"action"}))


class AddClassRequest(_ClassEditRequest):
    edit_type = AddClass
    action: Literal["add"]
    color: str | None = Field(None, max_length=20)


class RenameClassRequest(_ClassEditRequest):
    edit_type = RenameClass
    action: Literal["rename"]
    new_name: _ClassName


class RecolorClassRequest(_ClassEditRequest):
    edit_type = RecolorClass
    action: Literal["recolor"]
    color: str = Field(max_length=20)


class MergeClassRequest(_ClassEditRequest):
    edit_type = MergeClass
    action: Literal["merge"]
    target: _ClassName


class RemoveClassRequest(_ClassEditRequest):
    """Remove a class. With ``with_objects`` its objects and labels are removed too; else it must have none."""

    edit_type = RemoveClass
    action: Literal["remove"]
    with_objects: bool = False


class ClassesEdit(JobParameters):
    """Class edits that are applied in order, all or none."""

    edits: list[
        Annotated[
            AddClassRequest | RenameClassRequest | RecolorClassRequest | MergeClassRequest | RemoveClassRequest,
            Field(discriminator="action"),
            # The discriminator is read before the validator of the base class runs.
            BeforeValidator(lambda edit: current_parameters(edit, ("action",))),
        ]
    ] = Field(min_length=1, max_length=1000, fail_fast=True)
    message: str = Field("", max_length=1000)

    def to_edits(self) -> list[ClassEdit]:
        return [request.to_edit() for request in self.edits]


class ConflictChoice(JobParameters):
    """A conflict, as listed by a dry run, and its resolution: a side, or none."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    key: str = Field(max_length=2000)
    column: str | None = Field(None, max_length=200)
    object: str | None = Field(None, max_length=2000)
    class_: str | None = Field(None, alias="class", max_length=2000)
    resolution: Side | None = None


class MergeOptions(JobParameters):
    """The target branch of a merge, and how conflicts are resolved: by ``choices``, or else by ``resolution``."""

    into: _Branch = MAIN
    resolution: Side | None = None
    choices: list[ConflictChoice] = Field([], max_length=10_000, fail_fast=True)
    message: str = Field("", max_length=MAX_MESSAGE_LENGTH)

    def resolver(self) -> Resolver:
        return resolver_from_choices(self.resolution, [choice.model_dump(by_alias=True) for choice in self.choices])


class _BranchTarget(JobParameters):
    """The branch of a dataset to which the new version is added."""

    dataset: str = Field(max_length=401, description="NAME or NAME@BRANCH.")
    branch: _Branch | None = Field(None, description="The branch, if it is not part of `dataset`; else the main one.")
    expected_version: _ExpectedVersion = None

    def dataset_branch(self) -> tuple[str, str]:
        """Return the name of the dataset and of the branch."""
        return split_branch_ref(self.dataset, self.branch)


class ItemsEditParameters(ItemsEdit, _BranchTarget):
    pass


class ClassesEditParameters(ClassesEdit, _BranchTarget):
    pass


class MergeParameters(MergeOptions):
    dataset: str = Field(max_length=200, description="The branch or version to merge: NAME@BRANCH or NAME@VERSION.")
    expected_version: _ExpectedVersion = None


def run_items_edit(context: JobContext, params: ItemsEditParameters) -> dict[str, Any]:
    """Delete items, assign them to a split, or add or remove a tag."""
    name, branch = params.dataset_branch()

    def create_version(run_id: str, author: str) -> DatasetVersion:
        keys = params.resolve_keys(context.workspace.datasets.open, f"{name}@{branch}")
        return bulk_edit(
            context.workspace,
            name,
            keys,
            params.action,
            params.target,
            message=params.message,
            branch=branch,
            author=author,
            expected_version=params.expected_version,
            run_id=run_id,
            progress=context.progress,
        )

    selection = f"{len(params.keys):,} by key" if params.keys is not None else params.where or "all"
    return _run_edit(
        context,
        name,
        create_version,
        action=params.action,
        target=params.target,
        items=selection,
        branch=branch,
    )


def run_classes_edit(context: JobContext, params: ClassesEditParameters) -> dict[str, Any]:
    """Add, rename, recolor, merge and remove classes."""
    name, branch = params.dataset_branch()

    def create_version(run_id: str, author: str) -> DatasetVersion:
        return edit_classes(
            context.workspace,
            name,
            params.to_edits(),
            message=params.message,
            branch=branch,
            author=author,
            expected_version=params.expected_version,
            run_id=run_id,
            progress=context.progress,
        )

    edits = [request.model_dump(mode="json", exclude_none=True) for request in params.edits]
    return _run_edit(context, name, create_version, edits=edits, branch=branch)


def run_merge(context: JobContext, params: MergeParameters) -> dict[str, Any]:
    """Merge a branch or version into a branch. If there is nothing to merge, the result is the branch's head."""

    def create_version(run_id: str, author: str) -> DatasetVersion:
        merged = merge_branch(
            context.workspace,
            params.dataset,
            into=params.into,
            resolver=params.resolver(),
            message=params.message,
            author=author,
            expected_version=params.expected_version,
            run_id=run_id,
            progress=context.progress,
        )
        assert merged.version is not None  # only a dry run returns None
        return merged.version

    name = params.dataset.partition("@")[0]
    return _run_edit(context, name, create_version, [params.dataset], into=params.into, resolution=params.resolution)


def previous_output(context: JobContext) -> str | None:
    """Return the version that an earlier attempt of this job created before its worker died, if any."""
    runs = context.workspace.runs
    outputs = (runs.output_version(run.id) for run in runs.list_for_job(context.job.id))
    return next((output for output in outputs if output is not None), None)


def author_name(context: JobContext) -> str:
    """Return the name of the user who enqueued the job, or "" if there is none."""
    user = context.job.user
    return "" if user is None else context.workspace.users.get(user).name


def _run_edit(
    context: JobContext,
    name: str,
    create_version: Callable[[str, str], DatasetVersion],
    inputs: Sequence[str] = (),
    **config: Any,
) -> dict[str, Any]:
    """Create a version within a run, unless an earlier attempt of the job has created it, and describe it.

    Args:
        context: The job.
        name: The name of the run.
        create_version: Creates the version from the id of the run and the name of the author.
        inputs: The inputs of the run.
        config: The configuration of the run.
    """
    runs = context.workspace.runs
    output = previous_output(context)
    if output is None:
        run = runs.start(context.job.kind, name, config, inputs)
        with runs.record_failure(run.id):
            output = create_version(run.id, author_name(context)).ref
        runs.finish(run.id, "finished", outputs=[output])
    version = context.workspace.datasets.open(output)
    info = version.info
    # A merge with nothing to merge returns an existing version, whose counts belong to another edit.
    is_new = info.run_id in {run.id for run in runs.list_for_job(context.job.id)}
    counts = {name: getattr(info, name) if is_new else 0 for name in ("added", "removed", "changed")}
    return {"dataset": version.ref, "number": version.number, "items": len(version), **counts}


def _check_dataset(workspace: Workspace, params: Any) -> object:
    return workspace.datasets.open(params.dataset)


def _check_branch(workspace: Workspace, params: _BranchTarget) -> object:
    return workspace.datasets.resolve_branch(params.dataset, params.branch)


_TITLES = {
    "delete": "Delete items of {}",
    "split": "Assign items of {} to a split",
    "tag": "Tag items of {}",
    "untag": "Remove a tag from items of {}",
}

EDIT_JOB_TYPES: Mapping[str, JobType] = {
    "edit-items": JobType(
        ItemsEditParameters, lambda params: _TITLES[params.action].format(params.dataset), run_items_edit, _check_branch
    ),
    "edit-classes": JobType(
        ClassesEditParameters, lambda params: f"Edit the classes of {params.dataset}", run_classes_edit, _check_branch
    ),
    "merge": JobType(
        MergeParameters, lambda params: f"Merge {params.dataset} into {params.into}", run_merge, _check_dataset
    ),
}
