"""The number of passes over the list of files does not depend on the number of files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from saccade.core.objects import Box, Object
from saccade.core.report import ConversionReport
from saccade.core.schema import Kind
from saccade.formats._common.paths import PathList
from saccade.formats.base import FORMATS

WRITTEN = sorted(set(FORMATS.names()) - {"videos"})


@pytest.mark.parametrize("name", WRITTEN)
def test_passes_over_the_files_do_not_depend_on_their_number(
    name: str, tmp_path: Path, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = 0
    original_iter = PathList.__iter__

    def counted(self: PathList) -> Iterator[str]:
        nonlocal passes
        passes += 1
        return original_iter(self)

    format, pass_counts = FORMATS.get(name), []
    for count in (3, 12):
        values = {"label": "cat"} if name == "folders" else {"objects": (Object("1", "cat", Box(1, 1, 5, 4)),)}
        records = [kit.record(f"s/{number:06}", **values) for number in range(1, count + 1)]
        stream = kit.dataset(records, ["cat"], Kind.LABEL if name == "folders" else Kind.OBJECTS)
        kit.write_all(format, stream, tmp_path / str(count))
        with monkeypatch.context() as patch:
            patch.setattr(PathList, "__iter__", counted)
            passes = 0
            assert len(list(format.read(tmp_path / str(count), ConversionReport()).records)) == count
            pass_counts.append(passes)
    assert pass_counts[0] == pass_counts[1]
