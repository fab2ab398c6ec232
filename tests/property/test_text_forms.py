"""Properties of names in Unicode normal forms, and of the encodings of label files."""

from __future__ import annotations

import json
import tempfile
import unicodedata
from io import BytesIO
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport
from saccade.formats import labelme, voc, yolo
from saccade.formats._common.encoding import read_text, stated_encoding
from saccade.formats._common.json import load_json
from saccade.formats._common.paths import SourceTree
from saccade.formats._common.per_image import ImageGroups, ImageIndex
from saccade.formats._common.text import read_csv_rows, read_lines
from saccade.formats.base import Format
from saccade.formats.reading import read_source
from saccade.formats.voc.annotations import parse_annotation

Form = Literal["NFC", "NFD"]
FORMS = st.sampled_from(["NFC", "NFD"])
NAMES = st.text("abéñåữḍ̇가", min_size=1, max_size=8).filter(
    lambda name: name.strip() == name and unicodedata.normalize("NFC", name) != unicodedata.normalize("NFD", name)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)
MARKED = ["utf-8-sig", "utf-16", "utf-32"]


def png() -> bytes:
    out = BytesIO()
    Image.new("L", (8, 6)).save(out, "PNG")
    return out.getvalue()


def write(folder: str, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Path(folder)


@given(NAMES, FORMS, FORMS)
def test_name_matches_a_file_in_any_form(name: str, on_disk: Form, in_labels: Form) -> None:
    file, label = unicodedata.normalize(on_disk, name), unicodedata.normalize(in_labels, name)
    with tempfile.TemporaryDirectory() as folder:
        tree = SourceTree(write(folder, {f"{file}/{file}.png": b""}))
        path = f"{file}/{file}.png"
        assert tree.find(f"{label}/{label}.png") == path
        assert tree.find_folder(label) == file
        assert ImageIndex(tree).find(f"{label}.png") == path
        assert ImageIndex(tree).find_by_suffix(label) == path
        assert ImageGroups([path], lambda image: image.rpartition("/")[2]).get(f"{label}.png") == [path]


@given(NAMES, FORMS)
def test_ambiguous_names_match_exactly(name: str, form: Form) -> None:
    composed, decomposed = (unicodedata.normalize(each, name) for each in ("NFC", "NFD"))
    label = unicodedata.normalize(form, name)
    with tempfile.TemporaryDirectory() as folder:
        files = {f"{each}.png": b"" for each in (composed, decomposed)}
        tree = SourceTree(write(folder, {**files, f"{composed}.txt": b""}))
        index = ImageIndex(tree)
        assert tree.find(f"{label}.png") == index.find(f"{label}.png") == f"{label}.png"
        assert index.find_by_suffix(label) == f"{label}.png"
        assert ImageGroups(tree.iter_images()).get(f"{label}.png") == [f"{label}.png"]
        # The only label file belongs to the image of the same form.
        assert tree.find_companion(f"{composed}.png", f"{composed}.txt") == f"{composed}.txt"
        assert tree.find_companion(f"{decomposed}.png", f"{decomposed}.txt") is None


@pytest.mark.parametrize("format", [yolo.FORMAT, labelme.FORMAT, voc.FORMAT], ids=lambda format: format.name)
@given(NAMES, FORMS, FORMS)
def test_formats_match_names_in_any_form(format: Format, name: str, on_disk: Form, in_labels: Form) -> None:
    file, label = unicodedata.normalize(on_disk, name), unicodedata.normalize(in_labels, name)
    sources: dict[str, dict[str, str | bytes]] = {
        "yolo": {"classes.txt": "a\n", f"images/{file}.png": png(), f"labels/{label}.txt": "0 .5 .5 .5 .5\n"},
        "labelme": {
            f"{file}.png": png(),
            f"{label}.json": json.dumps(
                {"shapes": [{"label": "a", "points": [[1, 1], [4, 1], [4, 4]]}], "imagePath": f"{label}.png"}
            ),
        },
        "voc": {
            f"JPEGImages/{file}.png": png(),
            f"Annotations/{label}.xml": "<annotation><object><name>a</name><bndbox><xmin>2</xmin><ymin>2</ymin>"
            "<xmax>4</xmax><ymax>4</ymax></bndbox></object></annotation>",
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        report = ConversionReport()
        records = list(read_source(format, write(folder, sources[format.name]), report).records)
        assert len(records) == 1
        assert len(records[0].values["objects"] or ()) == 1
        assert not any(finding.action == "dropped" for finding in report)


@given(TEXTS, st.sampled_from(MARKED))
def test_marked_encodings_are_decoded(text: str, encoding: str) -> None:
    content = "x" + text
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, {"a.txt": content.encode(encoding)}) / "a.txt"
        # The mark of the file is stronger than what is stated.
        for stated in ("", "cp1252"):
            with stated_encoding(stated):
                assert read_text(path) == content
                assert list(read_lines(path)) == content.split("\n")
        (Path(folder) / "a.json").write_bytes(f'{{"a": "{"é"}"}}'.encode(encoding))
        assert load_json(Path(folder) / "a.json", ConversionReport()) == {"a": "é"}


@given(st.text("aäöüß€", min_size=1), st.sampled_from(["cp1252", "utf-16-le", "gb18030", "utf-8"]))
def test_stated_encoding_is_used(text: str, encoding: str) -> None:
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        assume(False)
    with tempfile.TemporaryDirectory() as folder, stated_encoding(encoding):
        assert read_text(write(folder, {"a.txt": data}) / "a.txt") == text


@given(st.binary(max_size=40).filter(lambda tail: 0 not in tail), st.integers(0x80, 0xBF), st.integers(0, 3_000_000))
def test_undecodable_bytes_are_named_with_their_position(tail: bytes, byte: int, offset: int) -> None:
    position = offset if offset % 10 == 0 else offset % 1000
    # A continuation byte after ASCII is never UTF-8.
    data = b"a" * position + bytes([byte]) + tail
    with tempfile.TemporaryDirectory() as folder:
        path = write(folder, {"a.txt": data}) / "a.txt"
        message = rf"a\.txt is not UTF-8: byte 0x{byte:02x} at position {position}\."
        with pytest.raises(FormatError, match=message) as error:
            read_text(path)
        assert "--option encoding=" in error.value.hint
        with pytest.raises(FormatError, match=message):
            list(read_lines(path))
        with pytest.raises(FormatError, match=message):
            list(read_csv_rows(path))


@given(
    st.text("abäé猫犬", min_size=1, max_size=20),
    st.sampled_from(["utf-8", "utf-16", "gb2312", "gbk", "shift_jis", "cp1252"]),
)
def test_declared_encoding_of_xml(name: str, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?><annotation><filename>{name}</filename></annotation>'
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        assume(False)
    with tempfile.TemporaryDirectory() as folder:
        assert parse_annotation(write(folder, {"a.xml": data}) / "a.xml").file_name == name


@pytest.mark.parametrize("encoding", ["utf-99", "hex", "rot13", ""])
def test_unknown_encoding_is_refused(encoding: str) -> None:
    if not encoding:
        with stated_encoding(encoding):
            return
    with pytest.raises(FormatError, match="no text encoding"), stated_encoding(encoding):
        pass
