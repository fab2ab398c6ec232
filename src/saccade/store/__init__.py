"""The workspace: datasets and their versions, objects, models, runs and evaluations."""

from saccade.store.dataset_rows import DatasetInfo
from saccade.store.datasets import Datasets
from saccade.store.diff import DatasetDiff, ItemChange, ObjectsChange, SchemaChange
from saccade.store.doctor import Problem, doctor
from saccade.store.evaluations import Evaluation, Evaluations
from saccade.store.models import AliasChange, Models, ModelVersion
from saccade.store.object_store import ObjectStore
from saccade.store.runs import Run, Runs
from saccade.store.version import DatasetVersion, VersionInfo
from saccade.store.workspace import Workspace

__all__ = [
    "AliasChange",
    "DatasetDiff",
    "DatasetInfo",
    "DatasetVersion",
    "Datasets",
    "Evaluation",
    "Evaluations",
    "ItemChange",
    "ModelVersion",
    "Models",
    "ObjectStore",
    "ObjectsChange",
    "Problem",
    "Run",
    "Runs",
    "SchemaChange",
    "VersionInfo",
    "Workspace",
    "doctor",
]
