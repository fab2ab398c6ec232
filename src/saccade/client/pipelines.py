"""Pipelines that a server plans and runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saccade.client.jobs import RemoteJobs
from saccade.core.errors import NotFoundError
from saccade.core.progress import Progress


class RemotePipelines:
    """Plans, runs and explains pipelines. They are made of operations that the server has, and of files beside them.

    ``pipeline`` is a file of this machine, or its text; files of its folder that end in .yaml are sent along. Other
    parameters are those of the job: ``variables``, ``only``, ``sample``, ``keys``, ``keys_of`` and ``retry``.
    """

    def __init__(self, jobs: RemoteJobs) -> None:
        self._jobs = jobs

    def plan(self, pipeline: Path | str, progress: Progress | None = None, **parameters: Any) -> dict[str, Any]:
        """What a run would do, step by step, and why; runs nothing."""
        return dict(self._jobs.run("plan", {**_sent(pipeline), **parameters}, progress).result)

    def explain(self, pipeline: Path | str, item: str, **parameters: Any) -> list[dict[str, Any]]:
        """Why an item is worked on or not, step by step, from the last to the first."""
        found: list[dict[str, Any]] = self.plan(pipeline, item=item, **parameters)["causes"]
        return found

    def run(self, pipeline: Path | str, progress: Progress | None = None, **parameters: Any) -> str:
        """Run what is not there, and wait for its end; the id of the run. Ctrl-C cancels it."""
        return str(self._jobs.run("pipeline", {**_sent(pipeline), **parameters}, progress).result["run"])


def _sent(pipeline: Path | str) -> Mapping[str, Any]:
    if isinstance(pipeline, str) and "\n" in pipeline:
        return {"pipeline": pipeline}
    path = Path(pipeline)
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.", hint="Give a pipeline in YAML, or the text of one.")
    beside = {one.name: one.read_text("utf-8") for one in sorted(path.parent.glob("*.y*ml")) if one.name != path.name}
    text = path.read_text("utf-8")
    return {"pipeline": text, "files": {name: content for name, content in beside.items() if name in text}}
