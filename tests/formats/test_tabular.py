"""CSV tables and Open Images: the layouts in use, and hostile ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from saccade.core.errors import FormatError
from saccade.core.objects import Box, Object
from saccade.formats import csv_boxes, openimages

WriteSource = Callable[[Mapping[str, str | bytes | None]], Path]
CSV, OPEN = csv_boxes.FORMAT, openimages.FORMAT

BOX = Box(1, 2, 5, 4)
LAYOUTS = {
    "TensorFlow": "filename,width,height,class,xmin,ymin,xmax,ymax\n1.png,8,6,cat,1,2,5,4\n",
    "Kaggle with sizes": "image_id,label,x,y,w,h\n1,cat,1,2,4,2\n",
    "corners first": "x1,y1,x2,y2,class,path\n1,2,5,4,cat,images/1.png\n",
    "RetinaNet": "images/1.png,1,2,5,4,cat\n",
    "AutoML": "TRAIN,gs://bucket/images/1.png,cat,0.125,0.33333333333333333,,,0.625,0.66666666666666666,,\n",
    "spaces and case": "Image, Class, XMin, YMin, XMax, YMax\n1.png,cat,1,2,5,4\n",
    "semicolons in quotes": 'image,class,left,top,right,bottom\n"1.png","cat",1,2,5,4\n',
}


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
def test_usual_layouts(text: str, write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"labels.csv": text, "images/1.png": None, "images/2.png": None})
    assert CSV.detect(source).matches
    found = kit.read_all(CSV, source)
    assert found.values("objects") == {"1": (Object("1", "cat", BOX),), "2": None}
    assert found.reasons() == {}


def test_attributes_splits_and_negatives(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source(
        {
            "train.csv": "image,class,xmin,ymin,xmax,ymax,occluded,score\n1.png,cat,1,2,5,4,yes,0.5\n2.png,,,,,,,\n",
            "val.csv": "image,class,xmin,ymin,xmax,ymax\n3.png,dog,1,2,5,4\nnone.png,dog,1,2,5,4\n3.png,dog,x,2,5,4\n",
            "1.png": None,
            "2.png": None,
            "3.png": None,
        }
    )
    found = kit.read_all(CSV, source)
    assert found.values("objects") == {
        "1": (Object("1", "cat", BOX, 0.5, None, {"occluded": "yes"}),),
        "2": (),
        "3": (Object("1", "dog", BOX),),
    }
    assert found.values("split") == {"1": "train", "2": "train", "3": "val"}
    assert found.reasons() == {
        ("skipped", "image file missing"): 1,
        ("dropped", "box with numbers that are not finite"): 1,
    }


def test_csv_that_is_none(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source({"notes.csv": "who,what\nme,milk\n", "1.png": None})
    assert CSV.detect(source).reason == "notes.csv has no columns for image, class and corners"
    with pytest.raises(FormatError, match="No CSV file"):
        kit.read_all(CSV, source)
    hostile = write_source(
        {"notes.csv": 'image,class,xmin,ymin,xmax,ymax\n"1.png,cat,1,2,5,4\n\0\n../../etc/x,a,1,1,2,2\n'}
    )
    assert kit.read_all(CSV, hostile).values("objects") == {"1": None}


HEADING = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
)


def test_open_images_as_published(write_source: WriteSource, kit: SimpleNamespace) -> None:
    source = write_source(
        {
            "train-annotations-bbox.csv": HEADING
            + "000a,xclick,/m/01g317,1,0.125,0.625,0.25,0.5,1,0,0,0,0\n000a,xclick,/m/0bt9lr,1,0,1,0,1,-1,0,1,0,0\n",
            "validation-annotations-bbox.csv": HEADING + "000b,xclick,/m/0bt9lr,1,0.5,0.25,0,1,0,0,0,0,0\n",
            "class-descriptions-boxable.csv": "/m/01g317,Person\n/m/0bt9lr,Dog\n/m/x,Never\n",
            "train-annotations-human-imagelabels.csv": "ImageID,Source,LabelName,Confidence\n"
            "000a,v,/m/01g317,1\n000a,v,/m/0bt9lr,0\n000c,v,/m/0bt9lr,1\n",
            "train/000a.png": None,
            "train/000c.png": None,
            "validation/000b.png": None,
            "validation/000d.png": None,
        }
    )
    assert OPEN.detect(source).matches
    assert not CSV.detect(source).matches
    found = kit.read_all(OPEN, source)
    assert found.schema["objects"].class_names == ("Person", "Dog", "Never")
    assert found.values("objects") == {
        "000a": (
            Object("1", "Person", Box(1, 1.5, 5, 3), None, None, {"occluded": True}),
            Object("2", "Dog", Box(0, 0, 8, 6), None, None, {"crowd": True}),
        ),
        "000b": None,
        "000c": (),
        "000d": None,
    }
    assert found.values("labels") == {"000a": ("Person",), "000b": None, "000c": ("Dog",), "000d": None}
    assert found.values("split") == {"000a": "train", "000b": "val", "000c": "train", "000d": "val"}
    assert found.reasons() == {("dropped", "box with negative size"): 1}
