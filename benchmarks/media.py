"""Videos and giant images: our readers beside the bare loops of the libraries that they stand on.

usage: media.py [--frames 600] [--side 20000] [--rounds 3] [--json]

A film of 1280 x 720 (H.264, a key frame in 250) is indexed, read from end to end, and read at random; beside it stand
PyAV's own loop, which knows no numbers of frames, and OpenCV's. A JPEG of ``side`` x ``side`` pixels is checked as at
an import and made into a pyramid, beside libvips' own passes over it; then parts are read from the pyramid. Printed
are the least seconds of the rounds, and for each of ours the ratio to the loop beside it.
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

from saccade.media.image import Limits, verify
from saccade.media.pyramid import Giant, build_pyramid
from saccade.media.video import Video, probe_video

WIDTH, HEIGHT = 1280, 720


def make_film(path: Path, frames: int) -> None:
    """A picture that wanders."""
    ground = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (0, 0), 4)
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(
                np.roll(ground, (number, 3 * number), (0, 1)).astype(np.uint8), format="rgb24"
            )
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def bare_film(path: Path) -> int:
    count = 0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            count += frame.to_ndarray(format="rgb24").shape[0] > 0
    return count


def opencv_film(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.read()[0]:
        count += 1
    return count


def ours_film(path: Path) -> int:
    with Video(path) as video:
        return sum(video.frame(number).shape[0] > 0 for number in range(len(video)))


def bare_random(path: Path, numbers: list[int]) -> None:
    """By the time at which a frame of a film of a fixed rate should be shown, which is right only for such ones."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        for number in numbers:
            tick = round(number / 30 / stream.time_base)
            container.seek(tick, stream=stream)
            next(frame for frame in container.decode(stream) if frame.pts is not None and frame.pts >= tick).to_ndarray(
                format="rgb24"
            )


def ours_random(path: Path, numbers: list[int]) -> None:
    with Video(path) as video:
        for number in numbers:
            video.frame(number)


def make_giant(path: Path, side: int) -> None:
    place = pyvips.Image.xyz(side, side)
    waves = ((place[0] * 0.01).sin() * 100 + (place[1] * 0.013).cos() * 100 + (place[0] + place[1]) % 50).cast("uchar")
    waves.bandjoin([waves.invert(), (place[0] / 120).cast("uchar")]).copy(interpretation="srgb").jpegsave(str(path))


def bare_pyramid(path: Path, target: Path) -> None:
    image = pyvips.Image.jpegload(str(path), access="sequential")
    image.dzsave(str(target), suffix=".png[compression=1]", tile_size=512, container="zip")


def ours_parts(path: Path, side: int) -> None:
    giant, chance = Giant(path), np.random.default_rng(0)
    for x, y in chance.integers(0, side - 1024, (50, 2)).tolist():
        giant.region((x, y, x + 1024, y + 1024))


def bare_parts(path: Path, side: int) -> None:
    image, chance = pyvips.Image.tiffload(str(path)), np.random.default_rng(0)
    for x, y in chance.integers(0, side - 1024, (50, 2)).tolist():
        image.crop(x, y, 1024, 1024).numpy()


def least(work: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    pyvips.cache_set_max(0)
    rows: list[tuple[str, float, str, float]] = []
    with tempfile.TemporaryDirectory() as place:
        film, giant = Path(place) / "film.mp4", Path(place) / "giant.jpg"
        make_film(film, given.frames)
        numbers = np.random.default_rng(1).integers(0, given.frames, 40).tolist()

        def measured(title: str, ours: Callable[[], object], beside: str, bare: Callable[[], object]) -> None:
            rows.append((title, least(ours, given.rounds), beside, least(bare, given.rounds)))

        data = film.read_bytes()
        measured("film: index", lambda: probe_video(data), "OpenCV, all frames", lambda: opencv_film(film))
        measured("film: all frames", lambda: ours_film(film), "PyAV, all frames", lambda: bare_film(film))
        measured("film: 40 frames", lambda: ours_random(film, numbers), "PyAV", lambda: bare_random(film, numbers))
        make_giant(giant, given.side)
        small = Limits(max_pixels=1_000_000)
        measured(
            "giant: check",
            lambda: verify(giant, limits=small),
            "libvips, one pass",
            lambda: pyvips.Image.jpegload(str(giant), access="sequential").avg(),
        )
        made = Path(place) / "pyramid.tif"
        measured(
            "giant: pyramid",
            lambda: build_pyramid(giant, made),
            "libvips dzsave",
            lambda: bare_pyramid(giant, Path(place) / f"{time.monotonic_ns()}.zip"),
        )
        measured(
            "giant: 50 parts", lambda: ours_parts(made, given.side), "libvips", lambda: bare_parts(made, given.side)
        )
    if given.json:
        print(json.dumps([{"what": a, "seconds": b, "beside": c, "its_seconds": d} for a, b, c, d in rows]))
        return
    for title, ours, beside, bare in rows:
        print(f"{title:18} {ours:7.2f} s   {beside:20} {bare:7.2f} s   ratio {ours / bare:5.2f}")


if __name__ == "__main__":
    main()
