"""A frame of a video is the same frame, whichever way one comes to it."""

from __future__ import annotations

import random
from contextlib import suppress
from fractions import Fraction
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.support.video_clips import HEIGHT, WIDTH, make_clip, number_in

from saccade.core.errors import InvalidValueError, MediaError, NotFoundError
from saccade.media.video import Video, VideoLimits, is_video, probe_video
from saccade.media.video.container import open_video
from saccade.media.video.index import decode_frames

KINDS: dict[str, dict[str, Any]] = {
    "plain.mp4": {},
    "b-frames.mkv": {"options": {"bf": "3", "g": "12"}},
    "open-groups.mp4": {"options": {"x264-params": "open-gop=1:keyint=10:bframes=3"}},
    "no-key-frames.mp4": {"options": {"x264-params": "intra-refresh=1:keyint=10"}},
    "hevc-open.mp4": {"codec": "libx265", "options": {"x265-params": "open-gop=1:keyint=10:log-level=none"}},
    "vp8-hidden.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "15"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "15"}},
    "av1.mp4": {"codec": "libsvtav1", "options": {"g": "15"}},
    "stream.ts": {"options": {"g": "10"}},
    "mpeg2.mpg": {"codec": "mpeg2video", "options": {"bf": "2", "g": "9"}},
    "mpeg4-b.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "9"}},
    "no-times.avi": {"options": {"bf": "3", "g": "9"}},
    "pictures.mov": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "flash.flv": {"options": {"g": "10"}},
    "windows.wmv": {"codec": "wmv2", "options": {"g": "10"}},
    "fragments.mp4": {"container": {"movflags": "frag_keyframe+empty_moov"}, "options": {"g": "10"}},
    "late.mp4": {"ticks": range(100, 140)},
    "deep.mp4": {"pixels": "yuv420p10le", "codec": "libx265", "options": {"x265-params": "log-level=none"}},
}


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_is_found_in_any_order(name: str, tmp_path: Path) -> None:
    path = make_clip(tmp_path / name, **KINDS[name])
    with Video(path) as video:
        in_order = [video.frame(number) for number in range(len(video))]
        assert [number_in(pixels) for pixels in in_order] == list(range(40))
        wanted = random.Random(name).choices(range(40), k=60)
        for number in wanted:
            assert np.array_equal(video.frame(number), in_order[number])
    for number in (39, 7, 0):
        with Video(path) as other:  # the first frame that is asked for
            assert np.array_equal(other.frame(number), in_order[number])


def test_the_kinds_take_every_way_to_an_index(tmp_path: Path) -> None:
    def counted(name: str) -> bool:
        with Video(make_clip(tmp_path / name, **KINDS[name])) as video:
            return video.index.is_counted

    assert counted("no-times.avi")
    assert not counted("b-frames.mkv")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    steps=st.lists(st.integers(1, 5000), min_size=1, max_size=50),
    first=st.integers(0, 3000),
    group=st.integers(1, 20),
    between=st.integers(0, 3),
    container=st.sampled_from(["mp4", "mkv", "ts"]),
    wanted=st.data(),
)
def test_frames_and_their_times(
    tmp_path: Path, steps: list[int], first: int, group: int, between: int, container: str, wanted: st.DataObject
) -> None:
    unit = Fraction(1, 1000)
    assume(container != "ts" or len(steps) > 8)  # FFmpeg needs some packets to know one
    ticks = [first, *(first + tick for tick in accumulate(steps))]
    options = {"g": str(group), "bf": str(between)}
    path = make_clip(tmp_path / f"clip.{container}", len(ticks), ticks=ticks, unit=unit, options=options)
    with Video(path) as video:
        assert len(video) == len(ticks)
        for number, tick in enumerate(ticks):
            seconds = float((tick - first) * unit)
            assert video.index.frame_time(number) == pytest.approx(seconds, abs=0.0011)
            assert video.index.frame_at(video.index.frame_time(number)) == number
        for number in wanted.draw(st.lists(st.integers(0, len(ticks) - 1), min_size=1, max_size=8)):
            assert number_in(video.frame(number)) == number


def test_the_header_is_not_believed(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", 30)
    data = bytearray(path.read_bytes())
    for box in (b"mvhd", b"mdhd"):
        at = data.index(box) + 4
        data[at + 16 : at + 20] = (2_000_000_000).to_bytes(4)  # the duration
    at = data.index(b"tkhd") + 4 + 76
    data[at : at + 8] = (60_000 << 16).to_bytes(4) * 2  # width and height
    found = probe_video(bytes(data))
    assert (found.frames, found.size_wh, round(found.duration, 2)) == (30, (WIDTH, HEIGHT), 1.0)


def test_frames_that_are_too_large_are_refused(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", 3)
    with pytest.raises(MediaError, match=r"frames of 64 x 48 pixels; at most 3,000"):
        probe_video(path, limits=VideoLimits(max_pixels=3000))
    with pytest.raises(MediaError, match="more than 2 frames"):
        probe_video(path, limits=VideoLimits(max_frames=2))


def test_frames_of_different_length(tmp_path: Path) -> None:
    ticks = [0, 10, 20, 100, 110, 300]
    with Video(make_clip(tmp_path / "a.mp4", 6, ticks=ticks, unit=Fraction(1, 100))) as video:
        found = video.probe()
        assert (found.frames, found.has_variable_rate) == (6, True)
        index = video.index
        assert [index.frame_at(seconds) for seconds in (-1, 0, 0.05, 0.2, 0.99, 1, 2.5, 3, 99)] == [
            0,
            0,
            0,
            2,
            2,
            3,
            4,
            5,
            5,
        ]
        assert index.sample_frames(fps=1) == [0, 3, 4, 5][: len(index.sample_frames(fps=1))]
        assert index.sample_frames(every=4) == [0, 4]
    assert not probe_video(make_clip(tmp_path / "b.mkv", 50)).has_variable_rate


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_turned_videos_are_as_another_program_shows_them(rotation: int, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", 5, rotation=rotation)
    capture = cv2.VideoCapture(str(path))
    for _ in range(4):
        there, shown = capture.read()
        assert there
    with Video(path) as video:
        pixels = video.frame(3)
        probe = video.probe()
    assert pixels.shape[1::-1] == probe.size_wh
    assert probe.orientation == {0: 1, 90: 8, 180: 3, -90: 6}[rotation]
    assert np.abs(pixels.astype(int) - shown[..., ::-1]).mean() < 2


def test_a_frame_can_be_grey_and_small(tmp_path: Path) -> None:
    with Video(make_clip(tmp_path / "a.mp4", 3)) as video:
        assert video.frame(2, mode="L").shape == (HEIGHT, WIDTH)
        assert video.frame(2, max_size=32).shape == (24, 32, 3)
        with pytest.raises(NotFoundError, match="There is no frame 3: the video has frames 0 to 2"):
            video.frame(3)
        with pytest.raises(NotFoundError):
            video.frame(-1)
        with pytest.raises(InvalidValueError):
            video.frame(0, max_size=0)
        with pytest.raises(InvalidValueError):
            video.frame(0, mode="RGBA")  # type: ignore[arg-type]


def test_an_open_file_is_read_and_left_open(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", 30, options={"g": "5"})
    with path.open("rb") as file:
        with Video(file) as video:
            assert [number_in(video.frame(number)) for number in (29, 3, 4)] == [29, 3, 4]
        assert not file.closed
    assert probe_video(BytesIO(path.read_bytes())) == probe_video(path.read_bytes()) == probe_video(path)


def test_the_first_group_may_be_missing(tmp_path: Path) -> None:
    """A stream that was cut begins with frames that need others before them; they are not counted."""
    whole = make_clip(tmp_path / "a.ts", 60, options={"g": "20", "bf": "2"}).read_bytes()
    cut = whole[len(whole) // 188 // 3 * 188 :]
    with Video(cut) as video:
        numbers = [number_in(video.frame(number)) for number in range(len(video))]
        assert numbers == sorted(set(numbers))
        assert numbers[-1] == 59
        assert 20 <= len(numbers) < 60
        again = random.Random(1).choices(range(len(numbers)), k=30)
        assert [number_in(video.frame(number)) for number in again] == [numbers[number] for number in again]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated_files_are_refused_or_shorter(name: str, share: float, tmp_path: Path) -> None:
    whole = make_clip(tmp_path / name, 40, "mpeg4", options={"g": "5"}).read_bytes()
    try:
        with Video(whole[: int(len(whole) * share)]) as video:
            numbers = [number_in(video.frame(number)) for number in range(len(video))]
    except MediaError:
        return
    assert numbers == list(range(len(numbers)))
    assert len(numbers) <= 40


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
    script = b"ffconcat version 1.0\nfile /etc/hostname\n"
    for content in (playlist, script, b"\x89PNG\r\n\x1a\n" + bytes(100), b"nothing" * 300, b"<svg/>"):
        with pytest.raises(MediaError, match="it is not a video file"):
            probe_video(content)
    with pytest.raises(MediaError, match="empty"):
        probe_video(b"")
    with pytest.raises(NotFoundError, match="cannot be opened"):
        probe_video(tmp_path / "none.mp4")
    # A playlist that calls itself something else.
    for disguise in (b"\0\0\0\x18ftypmp42", b"\x1aE\xdf\xa3", b"RIFF\0\0\0\0AVI "):
        with pytest.raises(MediaError, match=r"damaged or truncated|no video stream"):
            probe_video(disguise + playlist)


def test_a_video_without_pictures_is_refused(tmp_path: Path) -> None:
    import av

    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with pytest.raises(MediaError, match="has no video stream"):
        probe_video(path)


def test_heads() -> None:
    packets = (b"\x47" + bytes(187)) * 6
    assert is_video(packets)
    assert is_video(b"".join(b"\0\0\0\0\x47" + bytes(187) for _ in range(6)))
    assert not is_video(b"G" * 100)
    assert not is_video(b"\0\0\0\x20ftypavif")
    assert not is_video(b"RIFF\0\0\0\0WEBP")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_damaged_videos_are_refused_or_read(data: st.DataObject, tmp_path: Path) -> None:
    name = data.draw(st.sampled_from(["plain.mp4", "b-frames.mkv", "vp9.webm", "stream.ts", "mpeg4-b.avi"]))
    path = tmp_path / name
    content = bytearray((path if path.exists() else make_clip(path, **KINDS[name])).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 2] = data.draw(st.binary(min_size=0, max_size=4))
    with suppress(MediaError), Video(bytes(content)) as video:
        for number in {0, len(video) // 2, len(video) - 1}:
            video.frame(number)


def test_frames_come_in_order_from_the_decoder(tmp_path: Path) -> None:
    with open_video(make_clip(tmp_path / "a.mp4", 10), VideoLimits()) as container:
        times = [frame.pts for frame in decode_frames(container)]
    assert times == sorted(times)
    assert len(times) == 10
