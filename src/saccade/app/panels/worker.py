"""The process in which panels run: ``python -m saccade.app.panels.worker WORKSPACE MEMORY``.

Asked in lines of JSON at its standard input, it answers in lines of JSON at what its standard output was to begin with;
whatever panels print goes to standard error. It ends with whoever began it, and when it was not asked for a while.
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
from saccade.app.panels.panel import PANELS, DatasetContext, HomeContext, ItemContext, Panel, Place
from saccade.core.errors import InvalidValueError, SaccadeError
from saccade.core.roles import Role
from saccade.store.io.process import limit_memory
from saccade.store.workspace import Workspace

MOST_BLOCKS, MOST_BYTES = 200, 4 << 20
_IDLE = 600.0
READY: dict[str, Any] = {"ready": True}


def loaded(name: str) -> Panel:
    """The panel of a name; InvalidValueError where its package offers something else."""
    found: object = PANELS.get(name)
    if not isinstance(found, Panel):
        raise InvalidValueError(f"'{PANELS.group}' offers as '{name}' a {type(found).__name__}, not a Panel.")
    if found.name != name:
        raise InvalidValueError(f"The panel '{found.name}' is offered as '{name}'.", hint="Give it one name.")
    return found


def described(name: str) -> dict[str, Any]:
    """What a panel says of itself."""
    panel = loaded(name)
    return {"name": name, "title": panel.title, "place": str(panel.place), "role": str(panel.role), "help": panel.help}


def shown(workspace: Workspace, asked: Mapping[str, Any]) -> str:
    """The blocks of a panel as a list in JSON."""
    panel = loaded(asked["panel"])
    try:
        parameters = panel.parameters.model_validate(asked["parameters"])
    except ValidationError as error:
        raise InvalidValueError(f"The parameters are not as they are to be: {_wrong(error)}.") from None
    project = workspace.in_project(asked["project"])
    found = panel.show(_context(panel.place, project, asked), parameters)
    blocks: list[Block] = [found] if isinstance(found, Block) else list(found)
    if not all(isinstance(one, Block) for one in blocks):
        kinds = ", ".join(sorted({type(one).__name__ for one in blocks if not isinstance(one, Block)}))
        raise TypeError(f"a panel gives blocks, and not {kinds}")
    if len(blocks) > MOST_BLOCKS:
        raise ValueError(f"a panel gives at most {MOST_BLOCKS} blocks, and not {len(blocks)}")
    text = f"[{','.join(one.model_dump_json() for one in blocks)}]"
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"the blocks of a panel take at most {MOST_BYTES:,} bytes, and not {len(text.encode()):,}")
    return text


def _context(place: Place, project: Workspace, asked: Mapping[str, Any]) -> HomeContext:
    role = Role(asked["role"])
    if place is Place.HOME:
        return HomeContext(project, role)
    if asked["dataset"] is None:
        raise InvalidValueError(f"The panel '{asked['panel']}' is one of a dataset.", hint="Name the dataset.")
    version = project.datasets.open(asked["dataset"])
    if place is Place.DATASET:
        return DatasetContext(project, role, version)
    if asked["key"] is None:
        raise InvalidValueError(f"The panel '{asked['panel']}' is one of an item.", hint="Name the key of an item.")
    return ItemContext(project, role, version, version.get(asked["key"]))


def _wrong(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])


def answered(workspace: Workspace, asked: Mapping[str, Any]) -> str:
    """The answer to one question, a line of JSON; an error of whatever kind is one too."""
    try:
        if "describe" in asked:
            return json.dumps({"described": described(asked["describe"])})
        return f'{{"blocks":{shown(workspace, asked)}}}'
    except SaccadeError as error:
        told = {"code": error.code, "message": error.message, "hint": error.hint}
    except BaseException as error:  # a panel may also try to end the process
        # Why a package cannot be loaded is told to managers; what a panel stumbles over may be for nobody's eyes.
        said = f"{type(error).__name__}: {str(error)[:300]}" if "describe" in asked else type(error).__name__
        told = {"code": "", "message": said, "hint": "", "trace": traceback.format_exc()[-20_000:]}
    return json.dumps({"error": told})


def _read(lines: IO[str], asked: queue.Queue[str]) -> None:
    for line in lines:
        asked.put(line)
    os._exit(0)  # whoever asks has gone, whatever a panel is at


def main() -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asked: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(sys.stdin, asked), daemon=True).start()
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115, PTH123 (nothing of ours is read by a panel)
    limit_memory(int(sys.argv[2]) or None)
    with Workspace.open(sys.argv[1]) as workspace:
        print(json.dumps(READY), file=out, flush=True)
        while True:
            try:
                line = asked.get(timeout=_IDLE)
            except queue.Empty:
                return
            print(answered(workspace, json.loads(line)), file=out, flush=True)


if __name__ == "__main__":
    main()
