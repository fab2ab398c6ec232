"""How often the list of a source's files is gone through does not depend on how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from saccade.core.objects import Box, Object
from saccade.core.report import Report
from saccade.core.schema import Kind
from saccade.formats._common.paths import PathList
from saccade.formats.base import FORMATS

WRITTEN = sorted(set(FORMATS.names()) - {"videos"})


@pytest.mark.parametrize("name", WRITTEN)
def test_the_files_are_gone_through_as_often_for_many_as_for_few(
    name: str, tmp_path: Path, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = 0
    plain = PathList.__iter__

    def counted(self: PathList) -> Iterator[str]:
        nonlocal passes
        passes += 1
        return plain(self)

    part, found = FORMATS.get(name), []
    for count in (3, 12):
        values = {"label": "cat"} if name == "folders" else {"objects": (Object("1", "cat", Box(1, 1, 5, 4)),)}
        records = [kit.record(f"s/{at:06}", **values) for at in range(1, count + 1)]
        made = kit.dataset(records, ["cat"], Kind.LABEL if name == "folders" else Kind.OBJECTS)
        kit.write_all(part, made, tmp_path / str(count))
        with monkeypatch.context() as patch:
            patch.setattr(PathList, "__iter__", counted)
            passes = 0
            assert len(list(part.read(tmp_path / str(count), Report()).records)) == count
            found.append(passes)
    assert found[0] == found[1]
