"""Compare reading of videos and gigapixel images with bare loops of the underlying libraries.

usage: media.py [--frames 600] [--side 20000] [--rounds 3] [--json]

A video of 1280 x 720 (H.264, a keyframe every 250 frames) is indexed, read from start to end, and read at random. The
baselines are PyAV's own loop, which has no frame numbers, and OpenCV's. A JPEG of ``side`` x ``side`` pixels is
verified as in an import and converted to a pyramid, compared with single passes of libvips; then regions are read from
the pyramid. Prints the minimum seconds of the rounds and the ratio of each to its baseline.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyvips

from saccade.media.image import ImageLimits, verify
from saccade.media.pyramid import PyramidImage, build_pyramid
from saccade.media.video import Video, probe_video

WIDTH, HEIGHT = 1280, 720


def make_video(path: Path, frames: int) -> None:
    """Create a video of a moving texture."""
    background = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 4)
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(
                np.roll(background, (number, 3 * number), (0, 1)).astype(np.uint8), format="rgb24"
            )
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def bare_video(path: Path) -> int:
    count = 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            count += frame.to_ndarray(format="rgb24").shape[0] > 0
    return count


def opencv_video(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def saccade_video(path: Path) -> int:
    with Video(path) as video:
        return sum(video.frame(number).shape[0] > 0 for number in range(len(video)))


def bare_random(path: Path, numbers: list[int]) -> None:
    """Seek by frame number / rate, which is only correct for a constant frame rate."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        for number in numbers:
            timestamp = round(number / 30 / stream.time_base)
            container.seek(timestamp, stream=stream)
            next(
                frame for frame in container.decode(stream) if frame.pts is not None and frame.pts >= timestamp
            ).to_ndarray(format="rgb24")


def saccade_random(path: Path, numbers: list[int]) -> None:
    with Video(path) as video:
        for number in numbers:
            video.frame(number)


def make_large_image(path: Path, side: int) -> None:
    xy = pyvips.Image.xyz(side, side)
    waves = ((xy[0] * 0.01).sin() * 100 + (xy[1] * 0.013).cos() * 100 + (xy[0] + xy[1]) % 50).cast("uchar")
    waves.bandjoin([waves.invert(), (xy[0] / 120).cast("uchar")]).copy(interpretation="srgb").jpegsave(str(path))


def bare_pyramid(path: Path, target: Path) -> None:
    image = pyvips.Image.jpegload(str(path), access="sequential")
    image.dzsave(str(target), suffix=".png[compression=1]", tile_size=512, container="zip")


def saccade_regions(path: Path, side: int) -> None:
    large_image, random = PyramidImage(path), np.random.default_rng(0)
    for x, y in random.integers(0, side - 1024, (50, 2)).tolist():
        large_image.read_region((x, y, x + 1024, y + 1024))


def bare_regions(path: Path, side: int) -> None:
    image, random = pyvips.Image.tiffload(str(path)), np.random.default_rng(0)
    for x, y in random.integers(0, side - 1024, (50, 2)).tolist():
        image.crop(x, y, 1024, 1024).numpy()


def best_time(work: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pyvips.cache_set_max(0)
    rows: list[tuple[str, float, str, float]] = []
    with tempfile.TemporaryDirectory() as temporary:
        video, large_image = Path(temporary) / "video.mp4", Path(temporary) / "large_image.jpg"
        make_video(video, options.frames)
        numbers = np.random.default_rng(1).integers(0, options.frames, 40).tolist()

        def measured(title: str, ours: Callable[[], object], baseline: str, bare: Callable[[], object]) -> None:
            rows.append((title, best_time(ours, options.rounds), baseline, best_time(bare, options.rounds)))

        data = video.read_bytes()
        measured("video: index", lambda: probe_video(data), "OpenCV, all frames", lambda: opencv_video(video))
        measured("video: all frames", lambda: saccade_video(video), "PyAV, all frames", lambda: bare_video(video))
        measured(
            "video: 40 frames", lambda: saccade_random(video, numbers), "PyAV", lambda: bare_random(video, numbers)
        )
        make_large_image(large_image, options.side)
        small = ImageLimits(max_pixels=1_000_000)
        measured(
            "large image: check",
            lambda: verify(large_image, limits=small),
            "libvips, one pass",
            lambda: pyvips.Image.jpegload(str(large_image), access="sequential").avg(),
        )
        pyramid = Path(temporary) / "pyramid.tif"
        measured(
            "large image: pyramid",
            lambda: build_pyramid(large_image, pyramid),
            "libvips dzsave",
            lambda: bare_pyramid(large_image, Path(temporary) / f"{time.monotonic_ns()}.zip"),
        )
        measured(
            "large image: 50 regions",
            lambda: saccade_regions(pyramid, options.side),
            "libvips",
            lambda: bare_regions(pyramid, options.side),
        )
    if options.json:
        print(json.dumps([{"what": a, "seconds": b, "beside": c, "its_seconds": d} for a, b, c, d in rows]))
        return
    for title, ours, baseline, bare in rows:
        print(f"{title:18} {ours:7.2f} s   {baseline:20} {bare:7.2f} s   ratio {ours / bare:5.2f}")


if __name__ == "__main__":
    main()
