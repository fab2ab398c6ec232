"""HTML reports: well-formed, self-contained, escaped names, empty states, unreadable images."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from markupsafe import Markup

from saccade.core.objects import (
    Box,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Object,
    Objects,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)
from saccade.core.reader import Item, MemoryReader
from saccade.core.schema import Column, ImageRef, Kind, Schema
from saccade.evaluation.classification import evaluate_labels
from saccade.evaluation.detection import evaluate_objects
from saccade.evaluation.matching import ConfusionMatrix
from saccade.evaluation.report import build_classification_report, build_detection_report
from saccade.evaluation.report.detection import most_confused
from saccade.html_report.charts import histogram, line_chart, nice_ticks, render_confusion_matrix
from saccade.html_report.figures import FigureSpec, OverlayShape, crop_window, render_figure
from saccade.html_report.page import Card, Section, render_page

HOSTILE = '<script>alert("x")</script>\'"&{{ 7*7 }}'
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Checker(HTMLParser):
    """Fails if tags do not nest; collects tags, attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parse_page(html: str) -> Checker:
    """Parse a page; assert that it is well-formed, and without scripts and external resources."""
    page = Checker()
    page.feed(html)
    page.close()
    assert page.open == []
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "link", "base", "form"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name != "style", tag
            if name in ("href", "src", "xlink:href"):
                assert value is not None
                assert value.startswith(("#", "data:image/jpeg;base64,")), value[:60]
    assert "http:" not in html
    assert "https:" not in html
    assert "url(" not in html
    assert "@import" not in html
    return page


def content_security_policy(page: Checker) -> str:
    policies = [attributes["content"] for tag, attributes in page.tags if tag == "meta" and "http-equiv" in attributes]
    assert len(policies) == 1
    assert policies[0] is not None
    return policies[0]


def reader_of(keys: Mapping[str, bytes | None]) -> MemoryReader:
    """One image per key; None for an image whose file is gone."""
    items, media = [], {}
    for key, data in keys.items():
        digest = hashlib.sha256(key.encode()).hexdigest()
        items.append(Item(key, {"image": ImageRef(digest, 10, f"{key}.jpg", 120, 90, "jpeg")}))
        if data is not None:
            media[digest] = data
    return MemoryReader(Schema((Column("image", Kind.IMAGE),)), items, media)


def picture(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (90, 120, 3)).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", pixels)[1].tobytes())


def box(id: str, x: float, name: str = HOSTILE, score: float | None = None) -> Object:
    return Object(id, name, Box(x, 10, x + 20, 40), score=score)


def detection_page(
    truth: Mapping[str, Objects | None], guesses: Mapping[str, Objects], reader: MemoryReader
) -> Checker:
    metrics = evaluate_objects(truth, guesses, {}, kind="boxes")
    html = build_detection_report(
        reader, "image", truth, guesses, metrics, title=HOSTILE, facts={"Model": HOSTILE, HOSTILE: "7"}
    )
    assert HOSTILE not in html
    return parse_page(html)


def test_hostile_names_are_text_and_nothing_is_loaded() -> None:
    truth: dict[str, Objects | None] = {HOSTILE: (box("t", 0), box("u", 60)), "b": (box("t", 5, "other"),)}
    guesses: dict[str, Objects] = {
        HOSTILE: (box("p", 1, score=0.9), box("q", 80, score=0.8), box("r", 0, "other", score=0.7)),
        "b": (box("p", 5, score=0.6),),
    }
    page = detection_page(truth, guesses, reader_of({HOSTILE: picture(), "b": picture(1)}))
    assert HOSTILE in page.text
    assert "49" not in page.text.split(HOSTILE)[1][:20]
    images = [attributes for tag, attributes in page.tags if tag == "image"]
    assert len(images) >= 4
    data = images[0]["href"]
    assert data is not None
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None


def test_the_policy_allows_the_style_sheet_and_inline_images_only() -> None:
    html = render_page("A", {}, [Card("AP", "0.5", fraction=0.5)], [Section("s", "S", "", [])], subtitle="Report")
    policy = content_security_policy(parse_page(html))
    style = re.search(r"<style>(.*?)</style>", html, re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_no_predictions_at_all() -> None:
    page = detection_page({"a": (box("t", 0),), "b": ()}, {}, reader_of({"a": picture(), "b": picture()}))
    assert "No false predictions at this confidence." in page.text
    assert "missed" in page.text
    assert "no predictions" in page.text


def test_nothing_wrong_and_nothing_there() -> None:
    page = detection_page({"a": (box("t", 0),)}, {"a": (box("p", 0, score=0.5),)}, reader_of({"a": picture()}))
    assert "No missed objects at this confidence." in page.text
    empty = detection_page({"a": (), "b": None}, {}, reader_of({"a": picture(), "b": picture()}))
    assert "No class has an object or a prediction." in empty.text
    assert "No image has an object or a prediction." in empty.text


def test_an_image_that_cannot_be_read_leaves_a_note() -> None:
    truth = {"gone": (box("t", 0),), "bad": (box("t", 0),)}
    page = detection_page(truth, {}, reader_of({"gone": None, "bad": b"not an image"}))
    assert page.text.count("The image cannot be shown") >= 2


def test_masks_and_keypoints_are_reported_with_every_geometry_drawn() -> None:
    mask = Mask(120, 90, (90 * 30 + 10, 40, 90 * 120 - 90 * 30 - 50))
    square = ((10.0, 10.0), (40.0, 10.0), (40.0, 40.0))
    truth = {"a": (Object("t", "x", mask), Object("u", "y", Polygon.simple(square)))}
    guesses = {
        "a": (
            Object("p", "x", RotatedBox(60, 50, 20, 10, 30), score=0.5),
            Object("q", "y", Ellipse(30, 30, 9, 5), score=0.4),
        )
    }
    sizes = {"a": (120, 90)}
    metrics = evaluate_objects(truth, guesses, sizes, kind="masks")
    reader = reader_of({"a": picture()})
    parse_page(build_detection_report(reader, "image", truth, guesses, metrics, title="masks"))
    points = Keypoints(((1, 1), (5, 5)), (2, 0))
    hands = {"a": (Object("t", "hand", points),)}
    metrics = evaluate_objects(hands, {"a": ()}, {}, kind="keypoints")
    page = parse_page(build_detection_report(reader, "image", hands, {}, metrics, title="hands"))
    assert "OKS" in page.text
    others: list[Geometry] = [Points(((3, 3),)), Polyline(((1, 1), (9, 9))), Mask(120, 90, (120 * 90,))]
    shapes = [OverlayShape(Object(f"o{index}", "z", geometry), "truth") for index, geometry in enumerate(others)]
    drawn = render_figure(np.zeros((90, 120, 3), np.uint8), FigureSpec("a", shapes), description="<b>")
    assert drawn.count("<circle") == 1
    assert "<b>" not in drawn


def test_a_window_lies_inside_the_image_and_holds_its_focus() -> None:
    for focus in ((0, 0, 10, 10), (600, 440, 640, 480), (100, 20, 500, 470), (0, 0, 640, 480)):
        left, top, right, bottom = crop_window(focus, (640, 480))
        assert 0 <= left <= focus[0]
        assert 0 <= top <= focus[1]
        assert focus[2] <= right <= 640
        assert focus[3] <= bottom <= 480
    assert crop_window(None, (7, 5)) == (0, 0, 7, 5)
    assert crop_window((1, 1, 2, 2), (7, 5)) == (0, 0, 7, 5)


def test_charts_show_what_they_are_given() -> None:
    chart = histogram([("a", [0.1, 0.11, 0.9], "f0"), ("b", [], "f1")], title="t", x_title="x", y_title="y", bins=10)
    assert "a: 2" in chart
    assert "a: 1" in chart
    assert "b (0)" in chart
    matrix = render_confusion_matrix(["p", "background"], [[3, 1], [2, 0]], title="t", background="background")
    assert "3 (75% of the row)" in matrix
    assert "1 (25% of the row)" in matrix
    assert isinstance(line_chart([], title=HOSTILE, x_title="x", y_title="y"), Markup)
    assert "<script" not in line_chart([], title=HOSTILE, x_title=HOSTILE, y_title="y")
    assert nice_ticks(0) == [0, 1]
    assert nice_ticks(11, 4, integers=True) == [0, 5, 10, 15]


def test_of_many_classes_those_with_most_errors_are_shown() -> None:
    names = (*(f"c{index}" for index in range(6)), "background")
    counts = tuple(tuple(index if row == 3 else 0 for index in range(7)) for row in range(7))
    reduced = most_confused(ConfusionMatrix(names, counts), 2)
    assert reduced.names == ("c3", "c5", "background")
    assert reduced.counts == ((3, 5, 6), (0, 0, 0), (0, 0, 0))


@pytest.mark.parametrize("correct", [True, False])
def test_a_classification_report(correct: bool) -> None:
    classes = (HOSTILE, "other", "never")
    truth = {HOSTILE: HOSTILE, "b": "other", "c": None}
    first = [0.9, 0.1, 0.0]
    probabilities = {HOSTILE: first, "b": [*first[1::-1], 0.0] if correct else first}
    metrics = evaluate_labels(truth, probabilities, classes)
    reader = reader_of({HOSTILE: picture(), "b": picture(), "c": picture()})
    html = build_classification_report(reader, "image", truth, probabilities, metrics, title=HOSTILE)
    assert HOSTILE not in html
    page = parse_page(html)
    assert ("No item was predicted wrongly." in page.text) is correct
    assert "Reliability" in page.text
    assert HOSTILE in page.text


def test_a_report_on_real_images(shared_data: Path) -> None:
    paths = sorted((shared_data / "bccd" / "JPEGImages").glob("*.jpg"))[:2]
    reader = reader_of({path.stem: path.read_bytes() for path in paths})
    truth = {path.stem: (box("t", 300, "RBC"),) for path in paths}
    guesses = {path.stem: (box("p", 500, "RBC", score=0.7),) for path in paths}
    metrics = evaluate_objects(truth, guesses, {}, kind="boxes")
    html = build_detection_report(reader, "image", truth, guesses, metrics, title="cells", score_threshold=0.5)
    page = parse_page(html)
    assert sum(tag == "image" for tag, _ in page.tags) == 6
    assert len(html) < 1_000_000
