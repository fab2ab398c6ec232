"""The encodings of label files: by their byte-order mark, else as declared or stated, else UTF-8; never by a guess."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TextIO

from saccade.core.errors import FormatError
from saccade.formats._common.source_files import mark_read

# UTF-32 before UTF-16: the mark of UTF-32 in little-endian order begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_XML_DECLARATION = re.compile(rb"^\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([A-Za-z0-9._\-]+)[\"']")
_HINT = "Save it as UTF-8, or state its encoding, such as --option encoding=cp1252."
_CHUNK_BYTES = 1 << 20

_stated_encoding: ContextVar[str] = ContextVar("stated encoding", default="")


@contextmanager
def stated_encoding(encoding: str) -> Iterator[None]:
    """Read label files without a byte-order mark in this encoding within the block; "" means UTF-8.

    Raises:
        FormatError: if Python has no such text encoding.
    """
    if encoding and not _is_text_encoding(encoding):
        hint = "Use a name such as utf-16, cp1252, latin-1 or gb18030."
        raise FormatError(f"There is no text encoding '{encoding}'.", hint=hint)
    token = _stated_encoding.set(encoding)
    try:
        yield
    finally:
        _stated_encoding.reset(token)


def _is_text_encoding(encoding: str) -> bool:
    try:
        # Without bytes to decode, not even the name of the encoding is checked.
        b"    ".decode(encoding, "replace")
    except (LookupError, ValueError):
        return False
    return True


def marked_encoding(head: bytes) -> str:
    """Return the encoding of a byte-order mark at the beginning of a file, or "" if there is none."""
    return next((encoding for mark, encoding in _MARKS if head.startswith(mark)), "")


def encoding_of(head: bytes, declared: str = "") -> str:
    """Return the encoding of a file that begins with these bytes: by its mark, as declared, as stated, or UTF-8."""
    return marked_encoding(head) or declared or _stated_encoding.get() or "utf-8"


def search_encoding(head: bytes) -> str:
    """Return the encoding, with its byte order, in which text can be searched for in a file that begins like this."""
    return {
        codecs.BOM_UTF16_LE: "utf-16-le",
        codecs.BOM_UTF16_BE: "utf-16-be",
        codecs.BOM_UTF32_LE: "utf-32-le",
        codecs.BOM_UTF32_BE: "utf-32-be",
        codecs.BOM_UTF8: "utf-8",
        b"": encoding_of(head),
    }[next((mark for mark, _ in _MARKS if head.startswith(mark)), b"")]


def decode_text(data: bytes, path: Path) -> str:
    """Decode the content of a label file.

    Args:
        data: the content.
        path: the file, for the error message.

    Raises:
        FormatError: if a byte cannot be decoded; the message has its position.
    """
    encoding = encoding_of(data[:4])
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        # The decoder of UTF-8 with a mark counts from after the mark.
        position = len(data) - len(error.object) + error.start
        raise _undecodable(path, encoding, data[position : position + 1], position) from None
    if "\0" in text[:4]:
        raise _unmarked_utf16(path)
    return text


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        FormatError: if a byte cannot be decoded; the message has its position.
    """
    mark_read(path)
    return decode_text(path.read_bytes(), path)


def read_head(path: Path, size: int = 4096) -> str:
    """Read the beginning of a text file to recognise its format; bytes that cannot be decoded are replaced."""
    with path.open("rb") as file:
        head = file.read(size)
    return head.decode(encoding_of(head), "replace")


@contextmanager
def open_text(path: Path, newline: str | None = None, *, is_read: bool = True) -> Iterator[TextIO]:
    """Open a text file to read it in parts.

    Args:
        path: the file.
        newline: as for :func:`open`.
        is_read: whether the labels of the file are read; otherwise only its format is recognised.

    Raises:
        FormatError: within the block, if a byte cannot be decoded; the message has its position.
    """
    if is_read:
        mark_read(path)
    with path.open("rb") as binary:
        head = binary.read(4)
    encoding = encoding_of(head)
    if encoding == "utf-8" and b"\0" in head:
        raise _unmarked_utf16(path)
    with path.open(encoding=encoding, newline=newline) as file:
        try:
            yield file
        except UnicodeDecodeError as error:
            raise _locate_undecodable(path, encoding, error) from None


def _unmarked_utf16(path: Path) -> FormatError:
    return FormatError(
        f"{path} has zero bytes at its beginning, as UTF-16 without a byte-order mark.",
        hint="Save it as UTF-8, or state its encoding, such as --option encoding=utf-16-le.",
    )


def _locate_undecodable(path: Path, encoding: str, cause: UnicodeDecodeError) -> FormatError:
    """Return the error with the position in the file; that of a decoder of parts counts from the last part."""
    decoder = codecs.getincrementaldecoder(encoding.removesuffix("-sig"))()
    with path.open("rb") as file:
        while True:
            pending = len(decoder.getstate()[0])
            offset = file.tell() - pending
            chunk = file.read(_CHUNK_BYTES)
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                byte = error.object[error.start : error.start + 1]
                return _undecodable(path, encoding, byte, offset + error.start)
            if not chunk:
                # The file has changed since.
                return _undecodable(path, encoding, cause.object[cause.start : cause.start + 1], cause.start)


def _undecodable(path: Path, encoding: str, byte: bytes, position: int) -> FormatError:
    name = encoding.removesuffix("-sig").upper()
    return FormatError(f"{path} is not {name}: byte 0x{byte.hex()} at position {position}.", hint=_HINT)


def declared_xml_encoding(head: bytes) -> str:
    """Return the encoding that the declaration of an XML file names, or "" if there is none.

    Raises:
        LookupError: if Python has no such text encoding.
    """
    match = _XML_DECLARATION.match(head)
    encoding = match[1].decode() if match else ""
    if encoding and not _is_text_encoding(encoding):
        raise LookupError(f"unknown encoding: {encoding}")
    # A declaration that can be read as ASCII is not in UTF-16 or UTF-32, whatever it says.
    return "" if encoding.lower().startswith(("utf-16", "utf-32")) else encoding


@contextmanager
def open_xml(path: Path) -> Iterator[TextIO]:
    """Open an XML file as text, which the parser accepts in encodings that it does not know itself.

    Raises:
        FormatError: within the block, if a byte cannot be decoded; the message has its position.
        LookupError: if the file declares an encoding that Python does not have.
    """
    mark_read(path)
    with path.open("rb") as binary:
        head = binary.read(4096)
    encoding = encoding_of(head, declared_xml_encoding(head))
    with path.open(encoding=encoding) as file:
        try:
            yield file
        except UnicodeDecodeError as error:
            raise _locate_undecodable(path, encoding, error) from None
