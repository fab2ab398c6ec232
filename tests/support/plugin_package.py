"""A package that adds panels, as pip leaves it in a folder of packages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

HARM = '"><img src=x onerror="window.harmed=1"><svg onload=window.harmed=1>{{7*7}}${7*7}'
PANELS = '''
"""Panels of all sorts, good and bad."""
import os
import sys
import time
from enum import Enum
from typing import Literal

import numpy as np
from pydantic import Field

from saccade.app.panels import (
    Button, Figure, Figures, Link, PanelParameters, Images, Plot, Series, Table, Text, dataset_panel, build_form,
    dashboard_panel, item_panel,
)
from saccade.core.errors import NotFoundError, SaccadeError
from saccade.core.roles import Role

HARM = {harm!r}


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


class Everything(PanelParameters):
    word: str = Field(HARM, max_length=500, description=HARM)
    count: int = Field(3, ge=1, le=100)
    share: float = 0.5
    is_loud: bool = False
    size: Size = Size.SMALL
    way: Literal["up", "down"] = "up"
    tags: list[str] = []
    maybe: float | None = None
    fail: bool = False


@dataset_panel("everything", "Everything " + HARM[:60], parameters=Everything)
def everything(context, parameters):
    """Every block there is. """ + HARM
    if parameters.fail:
        raise ValueError("the secret of the server")
    print("a word to standard output, which is no answer")
    keys = context.version.keys()
    yield build_form(parameters, submit_label="Again")
    yield Text(text=f"count {{parameters.count}} share {{parameters.share}} tags {{parameters.tags}} {{HARM}}")
    yield Text(text="two\\nlines", tone="warning")
    yield Figures(figures=[Figure(name=HARM, value=HARM, note=HARM), Figure(name="n", value=np.int64(1234567))])
    yield Table(
        title=HARM, columns=[HARM, "n", "where"],
        rows=[
            [HARM, np.float32(0.25), Link(text=HARM, query='key == "' + keys[0] + '"')],
            [None, True, Link(text="one", key=keys[1])],
            ["x", float("nan"), Link(text="all", dataset=context.version.name)],
        ],
    )
    yield Plot(
        title=HARM, categories=[HARM, "b", "c"], stacked=True,
        series=[
            Series(name=HARM, values=np.array([1, 2, np.nan]), color="#aa3377"), Series(name="other", values=[3, 1, 2]),
        ],
    )
    lines = [Series(name="s", values=np.arange(5) ** 2)]
    yield Plot(title="a line", type="lines", categories=np.arange(5), series=lines)
    yield Images(title=HARM, keys=keys[:3], notes=[HARM, "b", "c"])
    yield Link(text="filtered " + HARM, query="len(objects) > 0")
    yield Button(text="Seven " + HARM, parameters={{"count": 7, "word": "pressed"}})
    yield Button(text="Fail", parameters={{"fail": True}})


@item_panel("about", "About it")
def about(context, parameters):
    """What an item has."""
    count = len(context.item["objects"] or ())
    return Text(text=f"{{context.item.key}} of {{context.version.ref}} has {{count}} objects")


@dashboard_panel("overview", "Overview")
def overview(context, parameters):
    names = [one.name for one in context.datasets()]
    said = f"{{context.project}}: {{', '.join(names)}}"
    return [Figures(figures=[Figure(name="Datasets", value=len(names))]), Text(text=said)]


@dashboard_panel("for_managers", "For managers", role=Role.MANAGER)
def for_managers(context, parameters):
    return Text(text=f"seen by a {{context.role}}")


class Other(PanelParameters):
    ref: str = "harbour"


@dashboard_panel("opens", "Opens", parameters=Other)
def opens(context, parameters):
    return Text(text=context.open(parameters.ref).ref)


@dashboard_panel("slow", "Slow")
def slow(context, parameters):
    while True:
        time.sleep(0.01)


@dashboard_panel("busy", "Busy")
def busy(context, parameters):
    while True:
        pass


@dashboard_panel("raises", "Raises")
def raises(context, parameters):
    raise RuntimeError("the secret of the server")


@dashboard_panel("tells", "Tells")
def tells(context, parameters):
    raise SaccadeError("There is too little to see.", hint="Import more.")


@dashboard_panel("ends", "Ends")
def ends(context, parameters):
    sys.exit(3)


@dashboard_panel("dies", "Dies")
def dies(context, parameters):
    os._exit(7)


@dashboard_panel("html", "Gives a text")
def html(context, parameters):
    return "<b>no block</b>"


@dashboard_panel("huge", "Huge")
def huge(context, parameters):
    return [Text(text="x" * 20_000) for _ in range(200)] + [Table(columns=["a"], rows=[["y" * 2000]] * 1000)] * 3


@dashboard_panel("surrogate", "Surrogate")
def surrogate(context, parameters):
    return Text(text="\\ud800")


@dashboard_panel("endless", "Endless")
def endless(context, parameters):
    while True:
        yield Text(text="more")


@dashboard_panel("closes", "Closes its output")
def closes(context, parameters):
    os.close(1)
    sys.stdin.read()
    return Text(text="still here")


no_panel = "a text"
'''
BROKEN = "import a_module_that_is_not_there\n"
SLEEPY = "import time\ntime.sleep(600)\n"
ENDING = "import os\nos._exit(9)\n"
NAMES = (
    "everything",
    "about",
    "overview",
    "for_managers",
    "opens",
    "slow",
    "busy",
    "raises",
    "tells",
    "ends",
    "dies",
    "html",
    "huge",
    "surrogate",
    "endless",
    "closes",
    "no_panel",
)


BROKEN_ONES = {
    "broken": "broken_panels:panel",
    "sleepy": "sleepy_panels:panel",
    "ending": "ending_panels:panel",
    "missing": "street_panels:nothing",
    "other_name": "street_panels:overview",
}


def write_package(folder: Path, names: Sequence[str] = (*NAMES, *BROKEN_ONES)) -> Path:
    """A folder of packages with one that adds panels of some names."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "street_panels.py").write_text(PANELS.format(harm=HARM), "utf-8")
    (folder / "broken_panels.py").write_text(BROKEN)
    (folder / "sleepy_panels.py").write_text(SLEEPY)
    (folder / "ending_panels.py").write_text(ENDING)
    facts = folder / "street_panels-1.2.dist-info"
    facts.mkdir(exist_ok=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: street-panels\nVersion: 1.2\n")
    lines = [f"{name} = {BROKEN_ONES.get(name, f'street_panels:{name}')}" for name in names]
    (facts / "entry_points.txt").write_text("[saccade.panels]\n" + "\n".join(lines) + "\n")
    return folder
