"""Saccade: the computer-vision loop in one program.

Public names are imported from their modules on first use, so that ``import saccade`` is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saccade.app.datasets.classes import ClassSummary, edit_classes, list_classes
    from saccade.app.datasets.converters import from_supervision
    from saccade.app.ingest.exporting import export_dataset
    from saccade.app.ingest.importing import ImportResult, SplitRequest, import_dataset
    from saccade.app.ml.compare import compare_models
    from saccade.app.ml.evaluate import EvaluationResult, evaluate_model
    from saccade.app.ml.predict import PredictResult, predict
    from saccade.app.ml.train import TrainResult, train
    from saccade.app.pipelines.run import PipelineResult, plan_pipeline, run_pipeline
    from saccade.client import RemoteVersion, RemoteWorkspace, connect
    from saccade.core.class_edits import AddClass, MergeClass, RecolorClass, RemoveClass, RenameClass
    from saccade.core.errors import SaccadeError
    from saccade.core.objects import Box, Ellipse, Keypoints, Mask, Object, Points, Polygon, Polyline, RotatedBox
    from saccade.core.reader import Item
    from saccade.core.schema import ClassInfo, Column, ImageRef, Kind, Schema, VideoRef
    from saccade.core.webhooks.signing import verify_webhook
    from saccade.evaluation.detection import evaluate_coco_files
    from saccade.media.loader import read_image
    from saccade.pipeline.definition.graph import Graph, Step
    from saccade.pipeline.definition.yaml_loader import load_graph
    from saccade.store.datasets.version import DatasetVersion
    from saccade.store.maintenance.gc import collect_garbage
    from saccade.store.maintenance.transfer import pull_dataset, push_dataset
    from saccade.store.workspace import Workspace
    from saccade.training.recipe import Recipe, load_recipe, parse_recipe

__version__ = "0.1.0"

_EXPORTS = {
    "saccade.app.datasets.classes": ("ClassSummary", "edit_classes", "list_classes"),
    "saccade.app.datasets.converters": ("from_supervision",),
    "saccade.app.ml.compare": ("compare_models",),
    "saccade.app.ml.evaluate": ("EvaluationResult", "evaluate_model"),
    "saccade.app.ingest.exporting": ("export_dataset",),
    "saccade.app.ingest.importing": ("ImportResult", "SplitRequest", "import_dataset"),
    "saccade.app.pipelines.run": ("PipelineResult", "plan_pipeline", "run_pipeline"),
    "saccade.app.ml.predict": ("PredictResult", "predict"),
    "saccade.app.ml.train": ("TrainResult", "train"),
    "saccade.client": ("RemoteVersion", "RemoteWorkspace", "connect"),
    "saccade.core.class_edits": ("AddClass", "MergeClass", "RecolorClass", "RemoveClass", "RenameClass"),
    "saccade.core.errors": ("SaccadeError",),
    "saccade.core.objects": (
        "Box",
        "Ellipse",
        "Keypoints",
        "Mask",
        "Object",
        "Points",
        "Polygon",
        "Polyline",
        "RotatedBox",
    ),
    "saccade.core.reader": ("Item",),
    "saccade.core.schema": ("ClassInfo", "Column", "ImageRef", "Kind", "Schema", "VideoRef"),
    "saccade.core.webhooks.signing": ("verify_webhook",),
    "saccade.evaluation.detection": ("evaluate_coco_files",),
    "saccade.media.loader": ("read_image",),
    "saccade.pipeline.definition.yaml_loader": ("load_graph",),
    "saccade.pipeline.definition.graph": ("Graph", "Step"),
    "saccade.store.maintenance.gc": ("collect_garbage",),
    "saccade.store.maintenance.transfer": ("pull_dataset", "push_dataset"),
    "saccade.store.datasets.version": ("DatasetVersion",),
    "saccade.store.workspace": ("Workspace",),
    "saccade.training.recipe": ("Recipe", "load_recipe", "parse_recipe"),
}
_MODULES = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "AddClass",
    "Box",
    "ClassInfo",
    "ClassSummary",
    "Column",
    "DatasetVersion",
    "Ellipse",
    "EvaluationResult",
    "Graph",
    "ImageRef",
    "ImportResult",
    "Item",
    "Keypoints",
    "Kind",
    "Mask",
    "MergeClass",
    "Object",
    "PipelineResult",
    "Points",
    "Polygon",
    "Polyline",
    "PredictResult",
    "Recipe",
    "RecolorClass",
    "RemoteVersion",
    "RemoteWorkspace",
    "RemoveClass",
    "RenameClass",
    "RotatedBox",
    "SaccadeError",
    "Schema",
    "SplitRequest",
    "Step",
    "TrainResult",
    "VideoRef",
    "Workspace",
    "__version__",
    "collect_garbage",
    "compare_models",
    "connect",
    "edit_classes",
    "evaluate_coco_files",
    "evaluate_model",
    "export_dataset",
    "from_supervision",
    "import_dataset",
    "list_classes",
    "load_graph",
    "load_recipe",
    "parse_recipe",
    "plan_pipeline",
    "predict",
    "pull_dataset",
    "push_dataset",
    "read_image",
    "run_pipeline",
    "train",
    "verify_webhook",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'saccade' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
