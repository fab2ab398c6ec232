"""What each built-in operation gives, on real pictures and made labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from saccade.core.digest import digest_bytes
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.objects import Box, Keypoints, Mask, Object, Points, Polygon
from saccade.core.progress import Silent
from saccade.core.reader import Item, MemoryReader
from saccade.core.schema import ClassInfo, Column, ImageRef, Kind, MediaRef, Schema
from saccade.media.image import decode, encode, probe, read_values
from saccade.operations.base import OPERATIONS, Chosen, Granularity, Operation

CLASSES = (ClassInfo("car"), ClassInfo("bus"))
SCHEMA = Schema((Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, CLASSES), Column("place", Kind.TEXT)))


class Bench:
    """A context with files in memory."""

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.workspace, self.folder, self.progress = seed, None, Path(), Silent()
        self.inputs: Mapping[str, Any] = {}
        self.files: dict[str, bytes] = {}

    def read_media(self, ref: MediaRef) -> bytes:
        return self.files[ref.digest]

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return BytesIO(self.files[ref.digest])

    def keep_image(self, data: bytes, name: str) -> ImageRef:
        found = probe(data)
        self.files[digest_bytes(data)] = data
        return ImageRef(digest_bytes(data), len(data), name, found.width, found.height, found.format, found.mode)

    def image(self, width: int = 64, height: int = 48, seed: int = 0) -> ImageRef:
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
        return self.keep_image(encode(pixels, "png"), "i.png")

    def pixels(self, ref: ImageRef) -> Any:
        return decode(self.files[ref.digest])


def box(
    x1: float, y1: float, x2: float, y2: float, name: str = "car", id: str = "1", score: float | None = None
) -> Object:
    return Object(id, name, Box(x1, y1, x2, y2), score)


def apply(name: str, item: Item, bench: Bench, schema: Schema = SCHEMA, **parameters: Any) -> Any:
    """What an operation gives for one item, as the engine calls it."""
    one = OPERATIONS.get(name)
    made = one.parameters.model_validate(parameters)
    columns = schema.select(one.read_columns(made, schema))
    seen = Item(item.key, {column: item.values.get(column) for column in columns.names})
    function = one.function(made, columns) if one.bound else lambda item, context: one.function(item, made, context)
    result = function(seen, bench)
    return list(result) if one.granularity is Granularity.MANY else result


def whole(name: str, *tables: Sequence[Item], schema: Schema = SCHEMA, seed: int = 0, **parameters: Any) -> Any:
    """What an operation on the whole gives."""
    one: Operation = OPERATIONS.get(name)
    made = one.parameters.model_validate(parameters)
    readers = [MemoryReader(schema, table) for table in tables]
    return one.function({"data": readers if one.inputs[0].several else readers[0]}, made, Bench(seed))


def items(count: int, **values: Any) -> list[Item]:
    return [Item(f"k{at:03}", {"place": f"p{at % 7}", "objects": (), **values}) for at in range(count)]


def keys(result: Chosen, *tables: Sequence[Item]) -> list[str]:
    if result.keys is not None:
        return list(result.keys)
    numbers = result.tables if result.tables is not None else np.zeros(len(result.rows), np.int64)
    return [tables[table][row].key for table, row in zip(numbers.tolist(), result.rows.tolist(), strict=True)]


# Objects


def test_choose_objects() -> None:
    objects = (
        box(0, 0, 10, 10, id="1", score=0.9),
        box(0, 0, 10, 2, id="2", score=0.8),
        box(0, 0, 30, 30, "bus", "3", 0.2),
        box(5, 5, 9, 9, "bus", "4"),
    )
    item = Item("k", {"objects": objects})

    def ids(**parameters: Any) -> str:
        return "".join(one.id for one in apply("choose_objects", item, Bench(), **parameters)["objects"])

    assert ids() == "1234"
    assert ids(classes=["bus"]) == "34"
    assert ids(without=["bus"]) == "12"
    assert ids(min_score=0.5) == "12"
    assert ids(min_area=17) == "123"
    assert ids(max_area=100) == "124"
    assert ids(min_side=3) == "134"
    assert ids(most=2) == "12"
    assert apply("choose_objects", Item("k", {"objects": None}), Bench())["objects"] is None
    with pytest.raises(InvalidValueError, match="no class 'tram'"):
        OPERATIONS.get("choose_objects").result_schema(
            OPERATIONS.get("choose_objects").parameters.model_validate({"classes": ["tram"]}), [SCHEMA]
        )


def test_relabel() -> None:
    item = Item("k", {"objects": (box(0, 0, 1, 1), box(0, 0, 1, 1, "bus", "2"))})
    made = apply("relabel", item, Bench(), classes={"car": "vehicle", "bus": "vehicle"})
    assert [one.class_name for one in made["objects"]] == ["vehicle", "vehicle"]
    made = apply("relabel", item, Bench(), classes={"car": None})
    assert [one.class_name for one in made["objects"]] == ["bus"]
    one = OPERATIONS.get("relabel")
    parameters = one.parameters.model_validate({"classes": {"car": "vehicle", "bus": "vehicle"}})
    assert one.result_schema(parameters, [SCHEMA])["objects"].class_names == ("vehicle",)


def test_nms() -> None:
    objects = (
        box(0, 0, 10, 10, id="1", score=0.5),
        box(1, 0, 11, 10, id="2", score=0.9),
        box(0, 0, 10, 10, "bus", "3"),
    )
    made = apply("nms", Item("k", {"objects": objects}), Bench(), iou=0.5)
    assert [one.id for one in made["objects"]] == ["2", "3"]
    made = apply("nms", Item("k", {"objects": objects}), Bench(), iou=0.5, by_class=False)
    assert [one.id for one in made["objects"]] == ["2"]
    inner = (box(0, 0, 20, 20, id="1", score=0.9), box(5, 5, 9, 9, id="2", score=0.5))
    assert len(apply("nms", Item("k", {"objects": inner}), Bench())["objects"]) == 2
    assert len(apply("nms", Item("k", {"objects": inner}), Bench(), measure="smaller")["objects"]) == 1


def test_masks_and_shapes_with_holes() -> None:
    bench = Bench()
    ring = ((2.0, 2.0), (20.0, 2.0), (20.0, 20.0), (2.0, 20.0))
    hole = ((6.0, 6.0), (6.0, 12.0), (12.0, 12.0), (12.0, 6.0))
    polygon = Object("1", "car", Polygon(((ring, hole),)))
    point = Object("2", "car", Points(((3.0, 3.0),)))
    item = Item("k", {"image": bench.image(), "objects": (polygon, point)})
    masks = apply("to_masks", item, bench)["objects"]
    assert isinstance(masks[0].geometry, Mask)
    assert masks[0].geometry.area() == 18 * 18 - 6 * 6
    assert masks[1] == point
    back = apply("to_shapes", Item("k", {"objects": masks}), bench)["objects"]
    assert back[0].geometry.area() == masks[0].geometry.area()
    assert len(back[0].geometry.parts[0]) == 2, "the hole is there"
    simple = apply("to_shapes", Item("k", {"objects": masks}), bench, tolerance=1)["objects"][0].geometry
    assert sum(len(ring) for part in simple.parts for ring in part) <= 8
    assert apply("to_shapes", Item("k", {"objects": masks}), bench, shape="box")["objects"][0].geometry == Box(
        2, 2, 20, 20
    )
    over = (box(0, 0, 10, 10, id="1"), box(5, 0, 15, 10, id="2"))
    apart = apply("to_masks", Item("k", {"image": item["image"], "objects": over}), bench, apart=True)["objects"]
    assert [one.geometry.area() for one in apart] == [50, 100]


# Images


def test_tiles_and_back() -> None:
    bench = Bench()
    ref = bench.image(100, 70)
    objects = (box(2, 2, 12, 12, id="1"), box(28, 5, 60, 30, id="2"), box(90, 60, 100, 70, "bus", "3"))
    item = Item("a/b", {"image": ref, "objects": objects})
    tiles = apply("tile", item, bench, size=40, overlap=10, min_visible=0.3)
    assert [(one["tile"]["x"], one["tile"]["y"]) for one in tiles] == [(x, y) for y in (0, 30) for x in (0, 30, 60)]
    assert len({one.key for one in tiles}) == len(tiles)
    for one in tiles:
        x, y = one["tile"]["x"], one["tile"]["y"]
        assert np.array_equal(bench.pixels(one["image"]), bench.pixels(ref)[y : y + 40, x : x + 40])
        assert one["tile_of"] == "a/b"
    assert [one.id for one in tiles[0]["objects"]] == ["1", "2"]
    assert tiles[0]["objects"][1].geometry == Box(28, 5, 40, 30)
    assert tiles[1]["objects"][0].geometry == Box(0, 5, 30, 30)
    join = OPERATIONS.get("untile")
    schema = SCHEMA.with_columns(Column("tile_of", Kind.TEXT), Column("tile", Kind.TABLE))
    function = join.function(join.parameters.model_validate({"iou": 0.3}), schema)
    whole = function(Item("a/b"), tiles, bench)["objects"]
    assert Counter(one.class_name for one in whole) == {"car": 2, "bus": 1}
    assert Box(90, 60, 100, 70) in [one.geometry for one in whole]
    assert function(Item("a/b"), [], bench) == {"objects": None}
    unlabelled = apply("tile", Item("k", {"image": ref, "objects": None}), bench, size=40)
    assert all(one["objects"] is None for one in unlabelled)
    assert len(apply("tile", item, bench, size=40, keep_empty=False)) < len(apply("tile", item, bench, size=40))
    assert [one.key for one in apply("tile", item, bench, size=512)] == ["a/b_0_0"]


def test_tiles_keep_deep_values() -> None:
    import cv2

    bench = Bench()
    values = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80) * 13
    ref = bench.keep_image(bytes(cv2.imencode(".png", values)[1].tobytes()), "deep.png")
    tiles = apply("tile", Item("k", {"image": ref, "objects": ()}), bench, size=32)
    first = read_values(bench.files[tiles[1]["image"].digest])
    assert first.dtype == np.uint16
    assert np.array_equal(first[..., 0], values[:32, 32:64])


def test_crop() -> None:
    bench = Bench()
    ref = bench.image(100, 80)
    item = Item("k", {"image": ref, "objects": (box(10, 10, 30, 20), box(90, 70, 99, 79, "bus", "2"))})
    (part,) = apply("crop", item, bench, box=[0.0, 0.0, 0.5, 0.5])
    assert (part["image"].width, part["image"].height) == (50, 40)
    assert np.array_equal(bench.pixels(part["image"]), bench.pixels(ref)[:40, :50])
    assert [one.geometry for one in part["objects"]] == [Box(10, 10, 30, 20)]
    around = apply("crop", item, bench, around="objects", margin=0)
    assert [(one.key, one["image"].width, one["image"].height) for one in around] == [("k_1", 20, 10), ("k_2", 9, 9)]


@pytest.mark.parametrize(
    ("parameters", "size", "moved"),
    [
        ({"width": 50}, (50, 40), Box(5, 5, 15, 10)),
        ({"width": 50, "height": 80, "fit": "stretch"}, (50, 80), Box(5, 10, 15, 20)),
        ({"width": 50, "height": 50, "fit": "pad"}, (50, 50), Box(5, 10, 15, 15)),
        ({"width": 200, "enlarge": False}, (100, 80), Box(10, 10, 30, 20)),
    ],
)
def test_resize(parameters: dict[str, Any], size: tuple[int, int], moved: Box) -> None:
    bench = Bench()
    item = Item("k", {"image": bench.image(100, 80), "objects": (box(10, 10, 30, 20),)})
    made = apply("resize", item, bench, **parameters)
    assert (made["image"].width, made["image"].height) == size
    assert made["objects"][0].geometry == moved


def test_alike_images_have_like_hashes_and_are_found() -> None:
    bench = Bench()
    smooth = [
        np.clip(np.add.outer(np.arange(80) * at, np.arange(100) * 2), 0, 255).astype(np.uint8) for at in (0, 1, 3)
    ]
    made = []
    for at, grey in enumerate([*smooth, smooth[1][2:, 3:]]):
        ref = bench.keep_image(encode(np.repeat(grey[..., None], 3, 2), "jpeg", 80), "i.jpg")
        made.append(Item(f"k{at}", apply("phash", Item("k", {"image": ref}), bench)))
    schema = Schema((Column("phash", Kind.TEXT),))
    found = whole("duplicates", made, schema=schema, distance=8)
    assert keys(found, made) == ["k0", "k1", "k2"]
    every = whole("duplicates", made, schema=schema, distance=8, keep="all")
    assert every.columns["duplicate_of"] == [None, None, None, "k1"]
    with pytest.raises(InvalidValueError, match="no hashes"):
        whole("duplicates", [Item("k", {"phash": "what"})], schema=schema)


def test_render_draws_every_geometry() -> None:
    bench = Bench()
    shapes = (
        box(5, 5, 20, 20),
        Object("2", "bus", Polygon.simple([(30, 10), (50, 10), (40, 30)])),
        Object("3", "car", Keypoints(((5.0, 40.0), (20.0, 44.0)), (2, 2))),
    )
    item = Item("k", {"image": bench.image(64, 48), "objects": shapes})
    plain = apply("render", item, bench, format="png", labels=False)
    drawn = bench.pixels(plain["rendered"])
    assert drawn.shape == (48, 64, 3)
    assert not np.array_equal(drawn, bench.pixels(item["image"]))
    both = bench.pixels(apply("render", item, bench, format="png", original=True)["rendered"])
    assert both.shape[1] > 2 * 64
    stacked = bench.pixels(apply("render", item, bench, format="png", original=True, layout="stacked")["rendered"])
    assert stacked.shape[0] > 2 * 48
    unlabelled = apply("render", Item("k", {"image": item["image"], "objects": None}), bench)
    assert unlabelled["rendered"] is not None
    small = apply("render", Item("k", {"image": bench.image(500, 300), "objects": ()}), bench, max_size=100)
    assert (small["rendered"].width, small["rendered"].height) == (100, 60)


def test_render_writes_tracks_and_texts() -> None:
    bench = Bench()
    one = Object("1", "car", Box(10, 30, 90, 90), None, "7")
    grey = bench.keep_image(encode(np.full((120, 240, 3), 90, np.uint8), "png"), "g.png")
    item = Item("k", {"image": grey, "objects": (one,), "note": "a red car " * 30, "x": 2.5})
    plain = bench.pixels(apply("render", item, bench, format="png")["rendered"])
    tracked = bench.pixels(apply("render", item, bench, format="png", tracks=True)["rendered"])
    assert not np.array_equal(plain, tracked)
    moved = replace(one, id="2", geometry=Box(20, 30, 100, 90))
    other = replace(moved, id="3", track="8", geometry=Box(150, 30, 230, 90))
    later = Item("l", {**item.values, "objects": (moved, other)})
    frame = bench.pixels(apply("render", later, bench, format="png", tracks=True)["rendered"])
    edge = tuple(tracked[60, 10].tolist())
    assert edge == tuple(frame[60, 20].tolist()), "a track has the same colour on every frame"
    assert edge != tuple(frame[60, 150].tolist()), "and another than that of another track"
    schema = SCHEMA.with_columns(Column("note", Kind.TEXT), Column("x", Kind.NUMBER))
    written = bench.pixels(apply("render", item, bench, schema=schema, format="png", texts=["x", "note"])["rendered"])
    assert np.array_equal(written[:120], plain), "texts stand beneath the picture"
    assert written.shape[0] > 120 + 4 * 10
    with pytest.raises(InvalidValueError, match="of kind objects"):
        apply("render", item, bench, texts=["objects"])


# Sets


def test_sample() -> None:
    table = items(100)
    assert len(keys(whole("sample", table, count=10), table)) == 10
    assert len(keys(whole("sample", table, share=0.25), table)) == 25
    assert keys(whole("sample", table, keys=["k005", "k002"]), table) == ["k002", "k005"]
    assert keys(whole("sample", table, count=10), table) == keys(whole("sample", table, count=10), table)
    assert keys(whole("sample", table, count=10), table) != keys(whole("sample", table, count=10, seed=1), table)
    before = set(keys(whole("sample", table, count=10), table))
    more = [*table, Item("new", {"objects": ()})]
    assert len(before - set(keys(whole("sample", more, count=10), more))) <= 1
    with pytest.raises(InvalidValueError, match="no item 'none'"):
        whole("sample", table, keys=["none"])
    with pytest.raises(ValueError, match="one of 'count', 'share' and 'keys'"):
        whole("sample", table, count=1, share=0.5)


def test_resample() -> None:
    table = items(10)
    assert len(keys(whole("resample", table, factor=0.5), table)) == 5
    doubled = keys(whole("resample", table, factor=2.5), table)
    assert len(doubled) == 25
    assert len(set(doubled)) == 25
    assert doubled[:2] == ["k000", "k000~2"]


def test_split_keeps_groups_together_and_classes_in_proportion() -> None:
    table = items(200)
    made = whole("split", table, by="place", shares={"train": 0.7, "val": 0.3}).columns["split"]
    places: dict[str, set[str]] = {}
    for item, name in zip(table, made, strict=True):
        places.setdefault(item["place"], set()).add(name)
    assert all(len(names) == 1 for names in places.values())
    rare = [Item(f"k{at:03}", {"objects": (box(0, 0, 1, 1, "bus" if at % 20 == 0 else "car"),)}) for at in range(200)]
    made = whole("split", rare, like="objects", shares={"train": 0.5, "val": 0.5}).columns["split"]
    buses = Counter(name for item, name in zip(rare, made, strict=True) if item["objects"][0].class_name == "bus")
    assert buses == {"train": 5, "val": 5}
    assert Counter(made) == {"train": 100, "val": 100}
    with pytest.raises(InvalidValueError, match="add up to 1"):
        whole("split", table, shares={"train": 0.5})


def test_tiles_of_an_image_stay_together_without_being_told() -> None:
    schema = Schema((Column("tile_of", Kind.TEXT),))
    table = [Item(f"k{at:02}", {"tile_of": f"i{at // 5}"}) for at in range(50)]
    made = whole("split", table, schema=schema).columns["split"]
    assert all(len(set(made[at : at + 5])) == 1 for at in range(0, 50, 5))


def test_concatenate_and_union() -> None:
    one, two = items(3), [Item("k002", {"objects": (box(0, 0, 1, 1),)}), Item("n", {"objects": None})]
    with pytest.raises(ConflictError, match="'k002' is in input 1 and in input 2"):
        whole("concatenate", one, two)
    with pytest.raises(ConflictError, match="k002"):
        whole("union", one, two)
    assert keys(whole("concatenate", one, two[1:]), one, two[1:]) == ["k000", "k001", "k002", "n"]
    assert keys(whole("union", one, two, duplicates="rename"), one, two) == ["k000", "k001", "k002", "k002~2", "n"]
    assert keys(whole("union", one, two, duplicates="first"), one, two) == ["k000", "k001", "k002", "n"]
    merged = whole("union", one, two, duplicates="merge")
    assert keys(merged, one, two) == ["k000", "k001", "k002", "n"]
    assert [None if value is None else len(value) for value in merged.columns["objects"]] == [0, 0, 1, None]


def test_statistics() -> None:
    table = [
        Item("a", {"objects": (box(0, 0, 1, 1), box(0, 0, 1, 1, "bus", "2"))}),
        Item("b", {"objects": None}),
        Item("c", {"objects": ()}),
    ]
    found = whole("statistics", table)
    assert found["items"] == 3
    assert found["objects"] == {"missing": 1, "classes": {"car": 1, "bus": 1}, "objects": 2, "empty": 1}


def test_mean_and_deviation_are_of_all_pixels_of_the_training_split() -> None:
    bench = Bench()
    schema = Schema((Column("image", Kind.IMAGE), Column("split", Kind.TEXT)))
    sizes = [(64, 48, "train"), (10, 7, "train"), (300, 200, "val")]
    refs = [bench.image(width, height, seed) for seed, (width, height, _) in enumerate(sizes)]
    table = [Item(f"k{at}", {"image": ref, "split": sizes[at][2]}) for at, ref in enumerate(refs)]
    one = OPERATIONS.get("pixel_statistics")
    inputs = {"data": MemoryReader(schema, table, bench.files)}
    found = one.function(inputs, one.parameters(), bench)
    every = np.concatenate([bench.pixels(ref).reshape(-1, 3) for ref in refs[:2]]) / 255
    assert (found["images"], found["pixels"]) == (2, 64 * 48 + 70)
    assert np.allclose(found["mean"], every.mean(axis=0), atol=1e-12)
    assert np.allclose(found["std"], every.std(axis=0), atol=1e-12)
    with pytest.raises(NotFoundError, match="'tests'"):
        one.function(inputs, one.parameters.model_validate({"split": "tests"}), bench)


def test_statistics_of_numbers_beyond_all_bounds() -> None:
    """Found by the property test: the mean of numbers near the largest overflowed, and infinity is no JSON."""
    schema = Schema((Column("x", Kind.NUMBER),))
    values = [1.7976931348623157e308, 1.7976931348623157e308, 0.0, float("-inf"), None]
    found = whole("statistics", [Item(f"k{at}", {"x": value}) for at, value in enumerate(values)], schema=schema)["x"]
    assert found["missing"] == 1
    assert found["infinite"] == 1
    assert found["max"] == values[0]
    assert 1.19e308 < found["mean"] < 1.2e308


# Columns


def test_calculate_and_filter() -> None:
    item = Item("k7", {"objects": (box(0, 0, 1, 1),), "place": "north"})
    assert apply("calculate", item, Bench(), column="n", value="len(objects) + 1") == {"n": 2.0}
    assert apply("calculate", item, Bench(), column="t", value="place") == {"t": "north"}
    assert apply("calculate", item, Bench(), column="b", value="key == 'k7'") == {"b": 1.0}
    assert apply("filter", item, Bench(), where="any(objects, class == 'car')") is True
    assert apply("filter", item, Bench(), where="any(objects, class == 'bus')") is False


@pytest.mark.parametrize("name", OPERATIONS.names())
def test_what_every_operation_declares(name: str) -> None:
    """Its name is that of its entry, every parameter says what it is, and it works by a known granularity."""
    one = OPERATIONS.get(name)
    assert one.name == name
    assert one.help
    assert one.help.split("\n")[0].endswith(".")
    for parameter, info in one.parameters.model_fields.items():
        assert info.description, f"{name}.{parameter}"
    if one.is_by_item and one.granularity is not Granularity.FILTER:
        assert one.writes is not None
    with pytest.raises(NotFoundError, match="has no input 'nowhere'"):
        one.port("nowhere")
