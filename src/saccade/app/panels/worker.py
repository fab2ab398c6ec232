"""The process that renders panels: ``python -m saccade.app.panels.worker WORKSPACE MEMORY``.

It answers requests in JSON, and ends with its parent process or after 10 minutes without a request.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from typing import IO, Any

from pydantic import ValidationError

from saccade.app.panels.blocks import Block
from saccade.app.panels.panel import PANELS, DashboardContext, DatasetContext, ItemContext, Panel, PanelSlot
from saccade.core.errors import InvalidValueError, SaccadeError
from saccade.core.roles import Role
from saccade.runtime.child_process import open_message_streams, read_message, write_message
from saccade.runtime.process import limit_memory
from saccade.store.workspace import Workspace

MAX_BLOCKS = 200
MAX_BYTES = 4 << 20
_IDLE_TIMEOUT_S = 600.0
_MAX_TRACE_LENGTH = 20_000
READY: dict[str, Any] = {"ready": True}


def load_panel(name: str) -> Panel:
    """Load a panel from its package.

    Raises:
        InvalidValueError: The entry point is not a panel of this name.
    """
    panel: object = PANELS.get(name)
    if not isinstance(panel, Panel):
        raise InvalidValueError(
            f"The entry point '{name}' of '{PANELS.group}' is a {type(panel).__name__}, not a Panel."
        )
    if panel.name != name:
        raise InvalidValueError(
            f"The panel '{panel.name}' is registered as '{name}'.", hint="Use the same name for both."
        )
    return panel


def describe(name: str) -> dict[str, Any]:
    """Return the declaration of a panel as JSON."""
    panel = load_panel(name)
    return {"name": name, "title": panel.title, "slot": str(panel.slot), "role": str(panel.role), "help": panel.help}


def render(workspace: Workspace, request: Mapping[str, Any]) -> str:
    """Render a panel and return its blocks as a JSON list.

    Args:
        workspace: The workspace.
        request: The request of :meth:`saccade.app.panels.host.PanelHost.render`.

    Raises:
        NotFoundError: The panel, dataset or item does not exist.
        InvalidValueError: The parameters are invalid, or the dataset or item is missing.
        TypeError: The panel returned something other than blocks.
        ValueError: The panel returned too much.
    """
    panel = load_panel(request["panel"])
    try:
        parameters = panel.parameters.model_validate(request["parameters"])
    except ValidationError as error:
        raise InvalidValueError(f"Invalid parameters: {_format_errors(error)}.") from None
    project = workspace.scoped_to_project(request["project"])
    output = panel.render(_context(panel.slot, project, request), parameters)
    blocks: list[Block] = [output] if isinstance(output, Block) else list(output)
    if not all(isinstance(block, Block) for block in blocks):
        kinds = ", ".join(sorted({type(block).__name__ for block in blocks if not isinstance(block, Block)}))
        raise TypeError(f"a panel must return blocks, not {kinds}")
    if len(blocks) > MAX_BLOCKS:
        raise ValueError(f"a panel may return {MAX_BLOCKS} blocks, not {len(blocks)}")
    text = f"[{','.join(block.model_dump_json() for block in blocks)}]"
    if len(text.encode()) > MAX_BYTES:
        raise ValueError(f"the blocks of a panel may take {MAX_BYTES:,} bytes, not {len(text.encode()):,}")
    return text


def _context(slot: PanelSlot, project: Workspace, request: Mapping[str, Any]) -> DashboardContext:
    role = Role(request["role"])
    if slot is PanelSlot.DASHBOARD:
        return DashboardContext(project, role)
    if request["dataset"] is None:
        raise InvalidValueError(f"The panel '{request['panel']}' needs a dataset.", hint="Name the dataset.")
    version = project.datasets.open(request["dataset"])
    if slot is PanelSlot.DATASET:
        return DatasetContext(project, role, version)
    if request["key"] is None:
        raise InvalidValueError(f"The panel '{request['panel']}' needs an item.", hint="Name the key of an item.")
    return ItemContext(project, role, version, version.get(request["key"]))


def _format_errors(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()[:5])


def handle(workspace: Workspace, request: Mapping[str, Any]) -> str:
    """Answer a request in JSON. Every error becomes an answer too."""
    try:
        if "describe" in request:
            return json.dumps({"described": describe(request["describe"])})
        return f'{{"blocks":{render(workspace, request)}}}'
    except SaccadeError as error:
        detail = {"code": error.code, "message": error.message, "hint": error.hint}
    except BaseException as error:  # a panel may also call sys.exit()
        # Managers see why a package cannot be loaded. The text of a panel's own exception may hold private data.
        kind = type(error).__name__
        message = f"{kind}: {str(error)[:300]}" if "describe" in request else kind
        detail = {"code": "", "message": message, "hint": "", "trace": traceback.format_exc()[-_MAX_TRACE_LENGTH:]}
    return json.dumps({"error": detail})


def _read_requests(stream: IO[bytes], requests: queue.Queue[bytes]) -> None:
    while (message := read_message(stream)) is not None:
        requests.put(message)
    os._exit(0)  # the parent process has ended: exit at once, even while a panel runs


def main() -> None:
    stream, answers = open_message_streams()
    requests: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_read_requests, args=(stream, requests), daemon=True).start()
    limit_memory(int(sys.argv[2]) or None)
    with Workspace.open(sys.argv[1]) as workspace:
        write_message(answers, json.dumps(READY).encode())
        while True:
            try:
                message = requests.get(timeout=_IDLE_TIMEOUT_S)
            except queue.Empty:
                return
            write_message(answers, handle(workspace, json.loads(message)).encode())


if __name__ == "__main__":
    main()
