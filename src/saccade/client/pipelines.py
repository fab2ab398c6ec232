"""Plan and run pipelines on a server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saccade.client.jobs import RemoteJobs
from saccade.core.errors import NotFoundError
from saccade.core.progress import Progress


class RemotePipelines:
    """Plan, run and explain pipelines of operations that the server has.

    ``pipeline`` is a local YAML file, or the text of one. YAML files beside it that it mentions are sent along. Further
    keyword arguments are parameters of the job: ``variables``, ``only``, ``sample``, ``keys``, ``keys_of`` and
    ``retry``.
    """

    def __init__(self, jobs: RemoteJobs) -> None:
        self._jobs = jobs

    def plan(self, pipeline: Path | str, progress: Progress | None = None, **parameters: Any) -> dict[str, Any]:
        """Return what a run would do in each step, and why, without running it."""
        return dict(self._jobs.run("plan", {**_pipeline_parameters(pipeline), **parameters}, progress).result)

    def explain(self, pipeline: Path | str, item: str, **parameters: Any) -> list[dict[str, Any]]:
        """Explain why an item would be computed or skipped in each step, from the last step to the first."""
        causes: list[dict[str, Any]] = self.plan(pipeline, item=item, **parameters)["causes"]
        return causes

    def run(self, pipeline: Path | str, progress: Progress | None = None, **parameters: Any) -> str:
        """Run a pipeline, reusing cached results, and wait for it; Ctrl-C cancels it. Returns the id of the run."""
        return str(self._jobs.run("pipeline", {**_pipeline_parameters(pipeline), **parameters}, progress).result["run"])


def _pipeline_parameters(pipeline: Path | str) -> Mapping[str, Any]:
    if isinstance(pipeline, str) and "\n" in pipeline:
        return {"pipeline": pipeline}
    path = Path(pipeline)
    if not path.is_file():
        raise NotFoundError(f"There is no file {path}.", hint="Pass the path of a YAML file, or the text of one.")
    text = path.read_text("utf-8")
    siblings = [file for file in sorted(path.parent.glob("*.y*ml")) if file.name != path.name]
    contents = {file.name: file.read_text("utf-8") for file in siblings}
    return {"pipeline": text, "files": {name: content for name, content in contents.items() if name in text}}
