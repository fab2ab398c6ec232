"""Open video files safely: only whitelisted containers, and no access to other files or the network.

FFmpeg also reads playlists and scripts that refer to other files and URLs. None of these formats is whitelisted, and
FFmpeg receives an open file instead of a path, so it cannot resolve references.
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
"""The path of a file, its content, or an open seekable file, which the caller closes."""


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """Limits beyond which a video is rejected: pixels of a frame, and number of frames."""

    max_pixels: int = 200_000_000
    max_frames: int = 20_000_000


VIDEO_LIMITS = VideoLimits()
READABLE = "MP4, MOV, MKV, WebM, AVI, MPEG (TS and PS), FLV, Ogg, WMV and MXF can be read"
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,mxf"
_BUFFER_BYTES = 1 << 19
_HEADER_BYTES = 1024
_MATROSKA, _ASF, _MXF = b"\x1aE\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"\x06\x0e\x2b\x34\x02\x05\x01\x01"
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_STILL_IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")
_TS_SYNC_BYTE = 0x47


def is_video(head: bytes) -> bool:
    """Whether the first bytes of a file (about 1,024) identify a video in a supported container."""
    if head[4:8] in _MP4_BOXES:
        return not (head[4:8] == b"ftyp" and head[8:12] in _STILL_IMAGE_BRANDS)
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    if head.startswith((_MATROSKA, _ASF, _MXF, b"FLV\1", b"OggS", b"\0\0\1\xba")):
        return True
    # Packets of an MPEG transport stream are 188 bytes long; cameras put a 4-byte timestamp before each (M2TS).
    return any(
        len(head) > offset + 4 * packet_size
        and all(head[offset + packet_size * packet] == _TS_SYNC_BYTE for packet in range(5))
        for offset, packet_size in ((0, 188), (4, 192))
    )


def video_name(source: VideoSource) -> str:
    """Return the subject of a message about a video."""
    name = source.name if isinstance(source, Path) else Path(str(getattr(source, "name", ""))).name
    return f"The video '{name}'" if name else "The video"


@contextmanager
def open_video(source: VideoSource, limits: VideoLimits) -> Iterator[InputContainer]:
    """Open a container that has a video stream within the limits. Errors of FFmpeg in the block become MediaErrors.

    Raises:
        NotFoundError: the file cannot be opened.
        MediaError: the file is not a supported video, is broken or exceeds the limits.
    """
    import av
    import av.logging
    from av.container import InputContainer

    av.logging.set_level(None)  # errors are raised or detected in the frames; FFmpeg's log is noise
    logging.getLogger("libav").setLevel(logging.CRITICAL)
    with _open_stream(source) as stream:
        head = stream.read(_HEADER_BYTES)
        stream.seek(0)
        if not head:
            raise MediaError(f"{video_name(source)} is empty (0 bytes).", hint="Copy the file again from its source.")
        if not is_video(head):
            raise MediaError(f"{video_name(source)} cannot be read: it is not a video file.", hint=f"{READABLE}.")
        allowed = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "none"}
        with (
            as_media_error(source),
            av.open(
                stream, container_options=allowed, buffer_size=_BUFFER_BYTES, metadata_errors="replace"
            ) as container,
        ):
            assert isinstance(container, InputContainer)
            if not container.streams.video:
                raise MediaError(f"{video_name(source)} has no video stream.", hint="Is it an audio file?")
            context = container.streams.video[0].codec_context
            if context is None:  # unknown codec
                raise _undecodable_error(source)
            check_frame_size(source, context.width, context.height, limits)
            context.options = {"max_pixels": str(limits.max_pixels)}
            yield container


@contextmanager
def as_media_error(source: VideoSource) -> Iterator[None]:
    """Convert errors of FFmpeg in the block to MediaError."""
    import av

    # Bind the classes now: a generator may be closed at interpreter exit, when modules are already cleared.
    decoder_not_found = av.error.DecoderNotFoundError
    other_errors = (av.FFmpegError, ValueError, OSError, EOFError)
    try:
        yield
    except decoder_not_found as error:
        raise _undecodable_error(source) from error
    except other_errors as error:
        if isinstance(error, SaccadeError):
            raise
        raise MediaError(
            f"{video_name(source)} is damaged or truncated: {_error_text(error)}.",
            hint="Copy the file again from its source.",
        ) from error


def _undecodable_error(source: VideoSource) -> MediaError:
    return MediaError(
        f"{video_name(source)} has a video codec that cannot be decoded.", hint="Convert it to H.264 or AV1."
    )


def check_frame_size(source: VideoSource, width: int, height: int, limits: VideoLimits) -> None:
    """Raise MediaError if a frame has more than ``limits.max_pixels`` pixels."""
    if width * height > limits.max_pixels:
        raise MediaError(
            f"{video_name(source)} has frames of {width:,} x {height:,} pixels; at most {limits.max_pixels:,} are "
            "allowed.",
            hint="Scale it down first.",
        )


def _error_text(error: Exception) -> str:
    """Return FFmpeg's message without the error number."""
    return str(getattr(error, "strerror", None) or error).strip().rstrip(".") or type(error).__name__


@contextmanager
def _open_stream(source: VideoSource) -> Iterator[BinaryIO]:
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
