"""All formats keep the contract of readers and writers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.contract.format_contract import (
    check_errors,
    check_failed_write,
    check_lazy,
    check_round_trip,
    check_unknown_size,
)

from saccade.formats.base import FORMATS

WRITABLE = sorted(set(FORMATS.names()) - {"videos"})


@pytest.mark.parametrize("name", WRITABLE)
def test_contract(name: str, tmp_path: Path) -> None:
    format = FORMATS.get(name)
    check_round_trip(format, tmp_path)
    check_failed_write(format, tmp_path)
    check_errors(format, tmp_path)
    check_lazy(format, tmp_path)
    check_unknown_size(format, tmp_path)
