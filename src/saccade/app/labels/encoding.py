"""JSON of label sets, as the HTTP API and the command line print it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from saccade.annotation.records import (
    AppliedEdit,
    ClassChange,
    CommitPreview,
    CommitResult,
    EditResult,
    LabelClass,
    LabelObject,
    LabelSet,
)


def class_to_json(label_class: LabelClass) -> dict[str, Any]:
    return {
        "id": label_class.id,
        "name": label_class.name,
        "color": label_class.color,
        "hotkey": label_class.hotkey,
        "parent": label_class.parent,
        "attributes": [
            {
                "name": spec.name,
                "type": spec.type,
                "choices": list(spec.choices),
                "default": spec.default,
                "required": spec.required,
            }
            for spec in label_class.attributes
        ],
        "keypoints": list(label_class.keypoints),
        "skeleton": [list(pair) for pair in label_class.skeleton],
        "deleted": label_class.deleted,
    }


def set_to_json(label_set: LabelSet) -> dict[str, Any]:
    return {
        "name": label_set.name,
        "dataset": label_set.dataset,
        "branch": label_set.branch,
        "column": label_set.column,
        "start": label_set.start,
        "query": label_set.query,
        "predictions": label_set.predictions,
        "prediction_model": label_set.prediction_model,
        "min_score": label_set.min_score,
        "source": label_set.source,
        "base": label_set.base,
        "classes": [class_to_json(label_class) for label_class in label_set.classes],
        "seq": label_set.seq,
        "committed_seq": label_set.committed_seq,
        "uncommitted_edits": label_set.uncommitted_edits,
        "uncommitted_items": label_set.uncommitted_items,
        "has_uncommitted_classes": label_set.has_uncommitted_classes,
        "items": label_set.items,
        "states": {str(state): count for state, count in label_set.states.items()},
        "unchecked": {str(state): count for state, count in label_set.unchecked.items()},
        "done": label_set.done,
        "created": label_set.created.isoformat(),
        "author": label_set.author,
    }


def object_to_json(obj: LabelObject) -> dict[str, Any]:
    return {
        "id": obj.id,
        "class": obj.class_id,
        "geometry": dict(obj.geometry),
        "attributes": dict(obj.attributes),
        "score": obj.score,
        "track": obj.track,
        "order": obj.order,
        "source": obj.source,
        "deleted": obj.deleted,
        "accepted": obj.accepted,
    }


def result_to_json(result: EditResult) -> dict[str, Any]:
    return {
        "id": result.id,
        "status": result.status,
        "seq": result.seq,
        "code": result.code,
        "reason": result.reason,
        "overwrote": [asdict(entry) for entry in result.overwrote],
        "deleted_by": result.deleted_by,
    }


def applied_to_json(applied: AppliedEdit) -> dict[str, Any]:
    edit = applied.edit
    return {
        "id": edit.id,
        "item": edit.item,
        "object": edit.object,
        "kind": edit.kind,
        "fields": dict(edit.fields),
        "base": edit.base,
        "group": edit.group,
        "undoes": edit.undoes,
        "redoes": edit.redoes,
        "seq": applied.seq,
        "author": applied.author.name,
        "author_id": applied.author.id,
        "time": applied.time.isoformat(),
        "before": dict(applied.before),
        "overwrote": [asdict(entry) for entry in applied.overwrote],
        "deleted_by": applied.deleted_by,
        "is_merge": applied.is_merge,
    }


def commit_to_json(result: CommitResult) -> dict[str, Any]:
    return {
        "version": result.version,
        "is_new": result.is_new,
        "items": result.items,
        "added": result.added,
        "removed": result.removed,
        "changed": result.changed,
        "seq": result.seq,
        "classes": [_class_change_to_json(change) for change in result.classes],
    }


def preview_to_json(preview: CommitPreview) -> dict[str, Any]:
    return {
        "base": preview.base,
        "items": preview.items,
        "changed_items": preview.changed_items,
        "added": preview.added,
        "removed": preview.removed,
        "changed": preview.changed,
        "classes": [_class_change_to_json(change) for change in preview.classes],
    }


def _class_change_to_json(change: ClassChange) -> dict[str, Any]:
    return {"name": change.name, "change": change.change, "previous_name": change.previous_name}
