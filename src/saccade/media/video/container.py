"""Video files opened behind limits: only the containers listed here, and nothing but the one file.

FFmpeg also reads playlists and scripts, which name other files and addresses to open. None of those is among these
containers, and a file is handed over as an open one, so that no name in it means anything.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from saccade.core.errors import MediaError, NotFoundError, SaccadeError

if TYPE_CHECKING:
    from av.container import InputContainer

VideoSource: TypeAlias = Path | bytes | BinaryIO
"""A file by its path, its bytes, or an open file that can seek and that the caller closes."""


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """What a video may cost before it is refused: pixels of one frame, and the number of frames."""

    max_pixels: int = 200_000_000
    max_frames: int = 20_000_000


VIDEO_LIMITS = VideoLimits()
READABLE = "MP4, MOV, MKV, WebM, AVI, MPEG (TS and PS), FLV, Ogg, WMV and MXF can be read"
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,mxf"
_BUFFER = 1 << 19
_HEAD = 1024
_MATROSKA, _ASF, _MXF = b"\x1aE\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\x06\x0e\x2b\x34\x02\x05\x01\x01"
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_STILL_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
_TS = 0x47


def is_video(head: bytes) -> bool:
    """Whether a file that begins like this (some 1,024 bytes of it) is a video of one of the containers read here."""
    if head[4:8] in _MP4_BOXES:
        return not (head[4:8] == b"ftyp" and head[8:12] in _STILL_BRANDS)
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    if head.startswith((_MATROSKA, _ASF, _MXF, b"FLV\1", b"OggS", b"\0\0\1\xba")):
        return True
    # The packets of a transport stream begin every 188 bytes, of a camera's every 192 after four of a clock.
    return any(
        len(head) > first + 4 * step and all(head[first + step * at] == _TS for at in range(5))
        for first, step in ((0, 188), (4, 192))
    )


def video_name(source: VideoSource) -> str:
    """The video in words, for messages."""
    name = source.name if isinstance(source, Path) else Path(str(getattr(source, "name", ""))).name
    return f"The video '{name}'" if name else "The video"


@contextmanager
def opened_video(source: VideoSource, limits: VideoLimits) -> Iterator[InputContainer]:
    """The container, with a stream of video whose frames are not too large.

    Whatever FFmpeg raises while the block runs becomes a MediaError.
    """
    import av
    import av.logging
    from av.container import InputContainer

    av.logging.set_level(None)  # what is wrong is raised, or seen in the frames
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    with _stream(source) as stream:
        head = stream.read(_HEAD)
        stream.seek(0)
        if not head:
            raise MediaError(f"{video_name(source)} is empty (0 bytes).", hint="Copy the file again from its source.")
        if not is_video(head):
            raise MediaError(f"{video_name(source)} cannot be read: it is no video file.", hint=f"{READABLE}.")
        allowed = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
        with (
            as_media_error(source),
            av.open(stream, container_options=allowed, buffer_size=_BUFFER, metadata_errors="replace") as container,
        ):
            assert isinstance(container, InputContainer)
            if not container.streams.video:
                raise MediaError(f"{video_name(source)} has no pictures in it.", hint="Is it a sound recording?")
            context = container.streams.video[0].codec_context
            if context is None:  # pictures of a codec that is not known
                raise _not_decodable(source)
            check_size(source, context.width, context.height, limits)
            context.options = {"max_pixels": str(limits.max_pixels)}
            yield container


@contextmanager
def as_media_error(source: VideoSource) -> Iterator[None]:
    """Whatever FFmpeg raises in the block as a MediaError."""
    import av

    # Looked up now: a generator may be closed when the interpreter ends, and modules are empty by then.
    not_decodable, others = av.error.DecoderNotFoundError, (av.FFmpegError, ValueError, OSError, EOFError)
    try:
        yield
    except not_decodable as error:
        raise _not_decodable(source) from error
    except others as error:
        if isinstance(error, SaccadeError):
            raise
        raise MediaError(
            f"{video_name(source)} is damaged or truncated: {_reason_of(error)}.",
            hint="Copy the file again from its source.",
        ) from error


def _not_decodable(source: VideoSource) -> MediaError:
    return MediaError(
        f"{video_name(source)} has pictures of a kind that cannot be decoded.", hint="Convert it to H.264 or AV1."
    )


def check_size(source: VideoSource, width: int, height: int, limits: VideoLimits) -> None:
    """MediaError where a frame is larger than the limits let it be."""
    if width * height > limits.max_pixels:
        raise MediaError(
            f"{video_name(source)} has frames of {width:,} x {height:,} pixels; at most {limits.max_pixels:,} are "
            "allowed.",
            hint="Scale it down first.",
        )


def _reason_of(error: Exception) -> str:
    """What FFmpeg says, without its number."""
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".") or type(error).__name__


@contextmanager
def _stream(source: VideoSource) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield BytesIO(source)
        return
    if not isinstance(source, Path):
        source.seek(0)
        yield source
        return
    try:
        stream = source.open("rb")
    except OSError as error:
        reason = f"{video_name(source)} cannot be opened: {error.strerror}."
        raise NotFoundError(reason, hint="Check the path.") from error
    with stream:
        yield stream
