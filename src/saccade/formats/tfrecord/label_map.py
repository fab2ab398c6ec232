"""Label maps, which are in protobuf's text format."""

from __future__ import annotations

import re
from collections.abc import Iterable

from saccade.formats._common.paths import replace_surrogates

_ITEM = re.compile(r"item\s*\{(.*?)\}", re.DOTALL)
_FIELD = re.compile(r"""(\w+)\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(-?\d+))""")
_ESCAPED_CHARS = {"n": "\n", "r": "\r", "t": "\t"}


def parse_label_map(text: str) -> dict[int, str]:
    """Return the class names of a label map by their ids."""
    names: dict[int, str] = {}
    for item in _ITEM.findall(text):
        fields = {
            name: double_quoted or single_quoted or digits
            for name, double_quoted, single_quoted, digits in _FIELD.findall(item)
        }
        name = fields.get("name") or fields.get("display_name")
        if name and re.fullmatch(r"-?\d+", fields.get("id", "")):
            names[int(fields["id"])] = replace_surrogates(_unescape(name))
    return names


def format_label_map(names: Iterable[str]) -> str:
    """Return the label map of class names, with ids from 1."""
    return "".join(f'item {{\n  id: {number}\n  name: "{_escape(name)}"\n}}\n' for number, name in enumerate(names, 1))


def _unescape(text: str) -> str:
    def unescape_match(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code, 8)) if code[0].isdigit() else _ESCAPED_CHARS.get(code, code)

    return re.sub(r"\\([0-7]{1,3}|.)", unescape_match, text, flags=re.DOTALL)


def _escape(text: str) -> str:
    def escape_char(char: str) -> str:
        if char in '"\\':
            return f"\\{char}"
        return f"\\{ord(char):03o}" if ord(char) < 32 else char

    return "".join(map(escape_char, text))
