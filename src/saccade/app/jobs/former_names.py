"""Names in the JSON of jobs that version 0.1.0 enqueued: their parameters and results.

Such a job may still be queued, or be retried or displayed. Everything else uses today's names only.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from saccade.app.pipelines.run import current_graph, current_step
from saccade.core.report import current_report

_PARAMETERS = {
    "act": "action",
    "acts": "edits",
    "follows": "expected_version",
    "into": "target",
    "take": "resolution",
    "to": "new_name",
    "value": "target",
}
_RESULTS = {"drawing": "graph", "installation": "environment", "set_aside": "skipped"}
_ERROR_CODES = {
    "moved": "stale-version",
    "not-allowed": "permission-denied",
    "not-signed-in": "unauthenticated",
    "too-many": "rate-limited",
}


def current_parameters(parameters: Any, fields: Container[str]) -> Any:
    """Rename parameters of a job to today's fields.

    Args:
        parameters: The parameters; returned as they are unless they are a JSON object.
        fields: The fields of the model that validates them. Only fields that it does not have are renamed.
    """
    if not isinstance(parameters, Mapping):
        return parameters
    renamed = {}
    for name, value in parameters.items():
        current = _PARAMETERS.get(name, name)
        is_former = name not in fields and current in fields and current not in parameters
        renamed[current if is_former else name] = value
    return renamed


def current_result(result: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the fields and values of a job's result to today's."""
    renamed = {_RESULTS.get(name, name): value for name, value in result.items()}
    if isinstance(renamed.get("report"), Mapping):
        renamed["report"] = current_report(renamed["report"])
    if isinstance(renamed.get("graph"), Mapping):
        renamed["graph"] = current_graph(renamed["graph"])
    if "pipeline" in renamed and isinstance(renamed.get("steps"), list):
        renamed["steps"] = [current_step(step) for step in renamed["steps"]]
    if renamed.get("code") in _ERROR_CODES:
        renamed["code"] = _ERROR_CODES[renamed["code"]]
    return renamed
