"""The built-in operations, on synthetic images and labels."""

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
from saccade.core.progress import NullProgress
from saccade.core.reader import Item, MemoryReader
from saccade.core.schema import ClassInfo, Column, ImageRef, Kind, MediaRef, Schema
from saccade.media.image import decode, encode, probe, read_values
from saccade.operations.base import OPERATIONS, Granularity, Operation, Selection

CLASSES = (ClassInfo("car"), ClassInfo("bus"))
SCHEMA = Schema((Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, CLASSES), Column("place", Kind.TEXT)))


class MemoryContext:
    """An operation context with files in memory."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.workspace = None
        self.folder = Path()
        self.progress = NullProgress()
        self.inputs: Mapping[str, Any] = {}
        self.files: dict[str, bytes] = {}

    def read_media(self, ref: MediaRef) -> bytes:
        return self.files[ref.digest]

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return BytesIO(self.files[ref.digest])

    def put_image(self, data: bytes, name: str) -> ImageRef:
        info = probe(data)
        self.files[digest_bytes(data)] = data
        return ImageRef(digest_bytes(data), len(data), name, info.width, info.height, info.format, info.mode)

    def image(self, width: int = 64, height: int = 48, seed: int = 0) -> ImageRef:
        pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
        return self.put_image(encode(pixels, "png"), "i.png")

    def pixels(self, ref: ImageRef) -> Any:
        return decode(self.files[ref.digest])


def box(
    x1: float, y1: float, x2: float, y2: float, name: str = "car", id: str = "1", score: float | None = None
) -> Object:
    return Object(id, name, Box(x1, y1, x2, y2), score)


def run_item_op(name: str, item: Item, context: MemoryContext, schema: Schema = SCHEMA, **parameters: Any) -> Any:
    """Run a per-item operation on an item, as the engine does."""
    operation = OPERATIONS.get(name)
    values = operation.parameters.model_validate(parameters)
    columns = schema.select(operation.resolve_input_columns(values, schema))
    input_item = Item(item.key, {column: item.values.get(column) for column in columns.names})
    if operation.prepared:
        function = operation.function(values, columns)
        result = function(input_item, context)
    else:
        result = operation.function(input_item, values, context)
    return list(result) if operation.granularity is Granularity.MANY else result


def run_dataset_op(
    name: str, *tables: Sequence[Item], schema: Schema = SCHEMA, seed: int = 0, **parameters: Any
) -> Any:
    """Run a dataset operation on tables."""
    operation: Operation = OPERATIONS.get(name)
    values = operation.parameters.model_validate(parameters)
    readers = [MemoryReader(schema, table) for table in tables]
    return operation.function(
        {"data": readers if operation.inputs[0].multiple else readers[0]}, values, MemoryContext(seed)
    )


def items(count: int, **values: Any) -> list[Item]:
    return [Item(f"k{at:03}", {"place": f"p{at % 7}", "objects": (), **values}) for at in range(count)]


def keys(result: Selection, *tables: Sequence[Item]) -> list[str]:
    if result.keys is not None:
        return list(result.keys)
    numbers = result.table_indices if result.table_indices is not None else np.zeros(len(result.rows), np.int64)
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
        return "".join(obj.id for obj in run_item_op("choose_objects", item, MemoryContext(), **parameters)["objects"])

    assert ids() == "1234"
    assert ids(classes=["bus"]) == "34"
    assert ids(without=["bus"]) == "12"
    assert ids(min_score=0.5) == "12"
    assert ids(min_area=17) == "123"
    assert ids(max_area=100) == "124"
    assert ids(min_side=3) == "134"
    assert ids(most=2) == "12"
    assert run_item_op("choose_objects", Item("k", {"objects": None}), MemoryContext())["objects"] is None
    with pytest.raises(InvalidValueError, match="no class 'tram'"):
        OPERATIONS.get("choose_objects").resolve_output_schema(
            OPERATIONS.get("choose_objects").parameters.model_validate({"classes": ["tram"]}), [SCHEMA]
        )


def test_relabel() -> None:
    item = Item("k", {"objects": (box(0, 0, 1, 1), box(0, 0, 1, 1, "bus", "2"))})
    relabelled = run_item_op("relabel", item, MemoryContext(), classes={"car": "vehicle", "bus": "vehicle"})
    assert [obj.class_name for obj in relabelled["objects"]] == ["vehicle", "vehicle"]
    relabelled = run_item_op("relabel", item, MemoryContext(), classes={"car": None})
    assert [obj.class_name for obj in relabelled["objects"]] == ["bus"]
    operation = OPERATIONS.get("relabel")
    parameters = operation.parameters.model_validate({"classes": {"car": "vehicle", "bus": "vehicle"}})
    assert operation.resolve_output_schema(parameters, [SCHEMA])["objects"].class_names == ("vehicle",)


def test_nms() -> None:
    objects = (
        box(0, 0, 10, 10, id="1", score=0.5),
        box(1, 0, 11, 10, id="2", score=0.9),
        box(0, 0, 10, 10, "bus", "3"),
    )
    kept = run_item_op("nms", Item("k", {"objects": objects}), MemoryContext(), iou=0.5)
    assert [obj.id for obj in kept["objects"]] == ["2", "3"]
    kept = run_item_op("nms", Item("k", {"objects": objects}), MemoryContext(), iou=0.5, by_class=False)
    assert [obj.id for obj in kept["objects"]] == ["2"]
    inner = (box(0, 0, 20, 20, id="1", score=0.9), box(5, 5, 9, 9, id="2", score=0.5))
    assert len(run_item_op("nms", Item("k", {"objects": inner}), MemoryContext())["objects"]) == 2
    assert len(run_item_op("nms", Item("k", {"objects": inner}), MemoryContext(), measure="smaller")["objects"]) == 1


def test_masks_and_shapes_with_holes() -> None:
    context = MemoryContext()
    ring = ((2.0, 2.0), (20.0, 2.0), (20.0, 20.0), (2.0, 20.0))
    hole = ((6.0, 6.0), (6.0, 12.0), (12.0, 12.0), (12.0, 6.0))
    polygon = Object("1", "car", Polygon(((ring, hole),)))
    point = Object("2", "car", Points(((3.0, 3.0),)))
    item = Item("k", {"image": context.image(), "objects": (polygon, point)})
    masks = run_item_op("to_masks", item, context)["objects"]
    assert isinstance(masks[0].geometry, Mask)
    assert masks[0].geometry.area() == 18 * 18 - 6 * 6
    assert masks[1] == point
    back = run_item_op("to_shapes", Item("k", {"objects": masks}), context)["objects"]
    assert back[0].geometry.area() == masks[0].geometry.area()
    assert len(back[0].geometry.parts[0]) == 2, "the hole is there"
    simple = run_item_op("to_shapes", Item("k", {"objects": masks}), context, tolerance=1)["objects"][0].geometry
    assert sum(len(ring) for part in simple.parts for ring in part) <= 8
    assert run_item_op("to_shapes", Item("k", {"objects": masks}), context, shape="box")["objects"][0].geometry == Box(
        2, 2, 20, 20
    )
    overlapping = (box(0, 0, 10, 10, id="1"), box(5, 0, 15, 10, id="2"))
    apart = run_item_op("to_masks", Item("k", {"image": item["image"], "objects": overlapping}), context, apart=True)[
        "objects"
    ]
    assert [obj.geometry.area() for obj in apart] == [50, 100]


# Images


def test_tiles_and_back() -> None:
    context = MemoryContext()
    ref = context.image(100, 70)
    objects = (box(2, 2, 12, 12, id="1"), box(28, 5, 60, 30, id="2"), box(90, 60, 100, 70, "bus", "3"))
    item = Item("a/b", {"image": ref, "objects": objects})
    tiles = run_item_op("tile", item, context, size=40, overlap=10, min_visible=0.3)
    assert [(tile["tile"]["x"], tile["tile"]["y"]) for tile in tiles] == [(x, y) for y in (0, 30) for x in (0, 30, 60)]
    assert len({tile.key for tile in tiles}) == len(tiles)
    for tile in tiles:
        x = tile["tile"]["x"]
        y = tile["tile"]["y"]
        assert np.array_equal(context.pixels(tile["image"]), context.pixels(ref)[y : y + 40, x : x + 40])
        assert tile["tile_of"] == "a/b"
    assert [obj.id for obj in tiles[0]["objects"]] == ["1", "2"]
    assert tiles[0]["objects"][1].geometry == Box(28, 5, 40, 30)
    assert tiles[1]["objects"][0].geometry == Box(0, 5, 30, 30)
    untile = OPERATIONS.get("untile")
    schema = SCHEMA.with_columns(Column("tile_of", Kind.TEXT), Column("tile", Kind.TABLE))
    function = untile.function(untile.parameters.model_validate({"iou": 0.3}), schema)
    stitched = function(Item("a/b"), tiles, context)["objects"]
    assert Counter(obj.class_name for obj in stitched) == {"car": 2, "bus": 1}
    assert Box(90, 60, 100, 70) in [obj.geometry for obj in stitched]
    assert function(Item("a/b"), [], context) == {"objects": None}
    unlabelled = run_item_op("tile", Item("k", {"image": ref, "objects": None}), context, size=40)
    assert all(tile["objects"] is None for tile in unlabelled)
    assert len(run_item_op("tile", item, context, size=40, keep_empty=False)) < len(
        run_item_op("tile", item, context, size=40)
    )
    assert [tile.key for tile in run_item_op("tile", item, context, size=512)] == ["a/b_0_0"]


def test_tiles_keep_deep_values() -> None:
    import cv2

    context = MemoryContext()
    values = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80) * 13
    ref = context.put_image(bytes(cv2.imencode(".png", values)[1].tobytes()), "deep.png")
    tiles = run_item_op("tile", Item("k", {"image": ref, "objects": ()}), context, size=32)
    first = read_values(context.files[tiles[1]["image"].digest])
    assert first.dtype == np.uint16
    assert np.array_equal(first[..., 0], values[:32, 32:64])


def test_crop() -> None:
    context = MemoryContext()
    ref = context.image(100, 80)
    item = Item("k", {"image": ref, "objects": (box(10, 10, 30, 20), box(90, 70, 99, 79, "bus", "2"))})
    (part,) = run_item_op("crop", item, context, box=[0.0, 0.0, 0.5, 0.5])
    assert (part["image"].width, part["image"].height) == (50, 40)
    assert np.array_equal(context.pixels(part["image"]), context.pixels(ref)[:40, :50])
    assert [obj.geometry for obj in part["objects"]] == [Box(10, 10, 30, 20)]
    around = run_item_op("crop", item, context, around="objects", margin=0)
    assert [(crop.key, crop["image"].width, crop["image"].height) for crop in around] == [
        ("k_1", 20, 10),
        ("k_2", 9, 9),
    ]


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
    context = MemoryContext()
    item = Item("k", {"image": context.image(100, 80), "objects": (box(10, 10, 30, 20),)})
    resized = run_item_op("resize", item, context, **parameters)
    assert (resized["image"].width, resized["image"].height) == size
    assert resized["objects"][0].geometry == moved


def test_similar_images_are_found_as_duplicates() -> None:
    context = MemoryContext()
    smooth = [
        np.clip(np.add.outer(np.arange(80) * at, np.arange(100) * 2), 0, 255).astype(np.uint8) for at in (0, 1, 3)
    ]
    table = []
    for number, grey in enumerate([*smooth, smooth[1][2:, 3:]]):
        ref = context.put_image(encode(np.repeat(grey[..., None], 3, 2), "jpeg", 80), "i.jpg")
        table.append(Item(f"k{number}", run_item_op("phash", Item("k", {"image": ref}), context)))
    schema = Schema((Column("phash", Kind.TEXT),))
    unique = run_dataset_op("duplicates", table, schema=schema, distance=8)
    assert keys(unique, table) == ["k0", "k1", "k2"]
    marked = run_dataset_op("duplicates", table, schema=schema, distance=8, keep="all")
    assert marked.columns["duplicate_of"] == [None, None, None, "k1"]
    with pytest.raises(InvalidValueError, match="no hashes"):
        run_dataset_op("duplicates", [Item("k", {"phash": "what"})], schema=schema)


def test_render_draws_every_geometry() -> None:
    context = MemoryContext()
    shapes = (
        box(5, 5, 20, 20),
        Object("2", "bus", Polygon.simple([(30, 10), (50, 10), (40, 30)])),
        Object("3", "car", Keypoints(((5.0, 40.0), (20.0, 44.0)), (2, 2))),
    )
    item = Item("k", {"image": context.image(64, 48), "objects": shapes})
    plain = run_item_op("render", item, context, format="png", labels=False)
    drawn = context.pixels(plain["rendered"])
    assert drawn.shape == (48, 64, 3)
    assert not np.array_equal(drawn, context.pixels(item["image"]))
    both = context.pixels(run_item_op("render", item, context, format="png", original=True)["rendered"])
    assert both.shape[1] > 2 * 64
    stacked = context.pixels(
        run_item_op("render", item, context, format="png", original=True, layout="stacked")["rendered"]
    )
    assert stacked.shape[0] > 2 * 48
    unlabelled = run_item_op("render", Item("k", {"image": item["image"], "objects": None}), context)
    assert unlabelled["rendered"] is not None
    small = run_item_op("render", Item("k", {"image": context.image(500, 300), "objects": ()}), context, max_size=100)
    assert (small["rendered"].width, small["rendered"].height) == (100, 60)


def test_render_writes_tracks_and_texts() -> None:
    context = MemoryContext()
    car = Object("1", "car", Box(10, 30, 90, 90), None, "7")
    grey = context.put_image(encode(np.full((120, 240, 3), 90, np.uint8), "png"), "g.png")
    item = Item("k", {"image": grey, "objects": (car,), "note": "a red car " * 30, "x": 2.5})
    plain = context.pixels(run_item_op("render", item, context, format="png")["rendered"])
    tracked = context.pixels(run_item_op("render", item, context, format="png", tracks=True)["rendered"])
    assert not np.array_equal(plain, tracked)
    moved = replace(car, id="2", geometry=Box(20, 30, 100, 90))
    other = replace(moved, id="3", track="8", geometry=Box(150, 30, 230, 90))
    later = Item("l", {**item.values, "objects": (moved, other)})
    frame = context.pixels(run_item_op("render", later, context, format="png", tracks=True)["rendered"])
    edge = tuple(tracked[60, 10].tolist())
    assert edge == tuple(frame[60, 20].tolist()), "a track has the same colour on every frame"
    assert edge != tuple(frame[60, 150].tolist()), "and another colour than another track"
    schema = SCHEMA.with_columns(Column("note", Kind.TEXT), Column("x", Kind.NUMBER))
    written = context.pixels(
        run_item_op("render", item, context, schema=schema, format="png", texts=["x", "note"])["rendered"]
    )
    assert np.array_equal(written[:120], plain), "the caption is below the picture"
    assert written.shape[0] > 120 + 4 * 10
    with pytest.raises(InvalidValueError, match="of kind objects"):
        run_item_op("render", item, context, texts=["objects"])


# Datasets


def test_sample() -> None:
    table = items(100)
    assert len(keys(run_dataset_op("sample", table, count=10), table)) == 10
    assert len(keys(run_dataset_op("sample", table, share=0.25), table)) == 25
    assert keys(run_dataset_op("sample", table, keys=["k005", "k002"]), table) == ["k002", "k005"]
    assert keys(run_dataset_op("sample", table, count=10), table) == keys(
        run_dataset_op("sample", table, count=10), table
    )
    assert keys(run_dataset_op("sample", table, count=10), table) != keys(
        run_dataset_op("sample", table, count=10, seed=1), table
    )
    before = set(keys(run_dataset_op("sample", table, count=10), table))
    more = [*table, Item("new", {"objects": ()})]
    assert len(before - set(keys(run_dataset_op("sample", more, count=10), more))) <= 1
    with pytest.raises(InvalidValueError, match="no item 'none'"):
        run_dataset_op("sample", table, keys=["none"])
    with pytest.raises(ValueError, match="one of 'count', 'share' and 'keys'"):
        run_dataset_op("sample", table, count=1, share=0.5)


def test_resample() -> None:
    table = items(10)
    assert len(keys(run_dataset_op("resample", table, factor=0.5), table)) == 5
    doubled = keys(run_dataset_op("resample", table, factor=2.5), table)
    assert len(doubled) == 25
    assert len(set(doubled)) == 25
    assert doubled[:2] == ["k000", "k000~2"]


def test_split_keeps_groups_together_and_classes_in_proportion() -> None:
    table = items(200)
    splits = run_dataset_op("split", table, by="place", shares={"train": 0.7, "val": 0.3}).columns["split"]
    splits_of_place: dict[str, set[str]] = {}
    for item, name in zip(table, splits, strict=True):
        splits_of_place.setdefault(item["place"], set()).add(name)
    assert all(len(names) == 1 for names in splits_of_place.values())
    rare = [Item(f"k{at:03}", {"objects": (box(0, 0, 1, 1, "bus" if at % 20 == 0 else "car"),)}) for at in range(200)]
    splits = run_dataset_op("split", rare, like="objects", shares={"train": 0.5, "val": 0.5}).columns["split"]
    buses = Counter(name for item, name in zip(rare, splits, strict=True) if item["objects"][0].class_name == "bus")
    assert buses == {"train": 5, "val": 5}
    assert Counter(splits) == {"train": 100, "val": 100}
    with pytest.raises(InvalidValueError, match="add up to 1"):
        run_dataset_op("split", table, shares={"train": 0.5})


def test_tiles_of_an_image_stay_together_by_default() -> None:
    schema = Schema((Column("tile_of", Kind.TEXT),))
    table = [Item(f"k{at:02}", {"tile_of": f"i{at // 5}"}) for at in range(50)]
    splits = run_dataset_op("split", table, schema=schema).columns["split"]
    assert all(len(set(splits[start : start + 5])) == 1 for start in range(0, 50, 5))


def test_concatenate_and_union() -> None:
    first = items(3)
    second = [Item("k002", {"objects": (box(0, 0, 1, 1),)}), Item("n", {"objects": None})]
    with pytest.raises(ConflictError, match="'k002' is in input 1 and in input 2"):
        run_dataset_op("concatenate", first, second)
    with pytest.raises(ConflictError, match="k002"):
        run_dataset_op("union", first, second)
    assert keys(run_dataset_op("concatenate", first, second[1:]), first, second[1:]) == ["k000", "k001", "k002", "n"]
    renamed = run_dataset_op("union", first, second, duplicates="rename")
    assert keys(renamed, first, second) == ["k000", "k001", "k002", "k002~2", "n"]
    unique = run_dataset_op("union", first, second, duplicates="first")
    assert keys(unique, first, second) == ["k000", "k001", "k002", "n"]
    merged = run_dataset_op("union", first, second, duplicates="merge")
    assert keys(merged, first, second) == ["k000", "k001", "k002", "n"]
    assert [None if value is None else len(value) for value in merged.columns["objects"]] == [0, 0, 1, None]


def test_statistics() -> None:
    table = [
        Item("a", {"objects": (box(0, 0, 1, 1), box(0, 0, 1, 1, "bus", "2"))}),
        Item("b", {"objects": None}),
        Item("c", {"objects": ()}),
    ]
    statistics = run_dataset_op("statistics", table)
    assert statistics["items"] == 3
    assert statistics["objects"] == {"missing": 1, "classes": {"car": 1, "bus": 1}, "objects": 2, "empty": 1}


def test_pixel_statistics_of_the_training_split() -> None:
    context = MemoryContext()
    schema = Schema((Column("image", Kind.IMAGE), Column("split", Kind.TEXT)))
    sizes = [(64, 48, "train"), (10, 7, "train"), (300, 200, "val")]
    refs = [context.image(width, height, seed) for seed, (width, height, _) in enumerate(sizes)]
    table = [Item(f"k{at}", {"image": ref, "split": sizes[at][2]}) for at, ref in enumerate(refs)]
    operation = OPERATIONS.get("pixel_statistics")
    inputs = {"data": MemoryReader(schema, table, context.files)}
    statistics = operation.function(inputs, operation.parameters(), context)
    pixels = np.concatenate([context.pixels(ref).reshape(-1, 3) for ref in refs[:2]]) / 255
    assert (statistics["images"], statistics["pixels"]) == (2, 64 * 48 + 70)
    assert np.allclose(statistics["mean"], pixels.mean(axis=0), atol=1e-12)
    assert np.allclose(statistics["std"], pixels.std(axis=0), atol=1e-12)
    with pytest.raises(NotFoundError, match="'tests'"):
        operation.function(inputs, operation.parameters.model_validate({"split": "tests"}), context)


def test_statistics_of_huge_and_infinite_numbers() -> None:
    """The mean of numbers near the largest float must not overflow, and infinity is not valid JSON."""
    schema = Schema((Column("x", Kind.NUMBER),))
    values = [1.7976931348623157e308, 1.7976931348623157e308, 0.0, float("-inf"), None]
    summary = run_dataset_op(
        "statistics", [Item(f"k{at}", {"x": value}) for at, value in enumerate(values)], schema=schema
    )["x"]
    assert summary["missing"] == 1
    assert summary["infinite"] == 1
    assert summary["max"] == values[0]
    assert 1.19e308 < summary["mean"] < 1.2e308


# Columns


def test_calculate_and_filter() -> None:
    item = Item("k7", {"objects": (box(0, 0, 1, 1),), "place": "north"})
    assert run_item_op("calculate", item, MemoryContext(), column="n", value="len(objects) + 1") == {"n": 2.0}
    assert run_item_op("calculate", item, MemoryContext(), column="t", value="place") == {"t": "north"}
    assert run_item_op("calculate", item, MemoryContext(), column="b", value="key == 'k7'") == {"b": 1.0}
    assert run_item_op("filter", item, MemoryContext(), where="any(objects, class == 'car')") is True
    assert run_item_op("filter", item, MemoryContext(), where="any(objects, class == 'bus')") is False


@pytest.mark.parametrize("name", OPERATIONS.names())
def test_declarations(name: str) -> None:
    """Every operation is named like its entry point, and it and its parameters are documented."""
    operation = OPERATIONS.get(name)
    assert operation.name == name
    assert operation.help
    assert operation.help.split("\n")[0].endswith(".")
    for parameter, info in operation.parameters.model_fields.items():
        assert info.description, f"{name}.{parameter}"
    if operation.is_per_item and operation.granularity is not Granularity.FILTER:
        assert operation.output_columns is not None
    with pytest.raises(NotFoundError, match="has no input 'nowhere'"):
        operation.port("nowhere")
