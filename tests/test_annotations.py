"""Annotations in each form, and what is wrong with them, named before any run."""

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seewhy.errors import InputError
from seewhy.evaluate._outlines import polygon_mask, run_length_mask
from seewhy.evaluate.annotations import read_truths
from seewhy.images import Photo, open_photo
from seewhy.maps import Box

NAMES = ["tench", "tabby", "tiger cat", "dog"]


@pytest.fixture
def photos(tmp_path):
    """Two photos, of 8 x 6 and 5 x 4 pixels."""
    made = []
    for name, size in (("a.jpg", (8, 6)), ("b.jpg", (5, 4))):
        Image.new("RGB", size, "grey").save(tmp_path / name)
        made.append(open_photo(tmp_path / name))
    return made


def coco(tmp_path, objects, images=None, categories=None, **more):
    """A file of objects (image, category, bbox, more) about images 1: a.jpg and 2: b.jpg."""
    content = {
        "images": images
        if images is not None
        else [
            {"id": 1, "file_name": "a.jpg", "width": 8, "height": 6},
            {"id": 2, "file_name": "b.jpg", "width": 5, "height": 4},
        ],
        "categories": categories or [{"id": 10, "name": "Tiger_Cat"}, {"id": 20, "name": "dog"}],
        "annotations": [
            {"id": i, "image_id": image, "category_id": category, "bbox": box, **other}
            for i, (image, category, box, other) in enumerate(objects)
        ],
        **more,
    }
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(content))
    return path


def voc(path, objects, size=(8, 6), filename=None):
    entries = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox>"
        "</object>"
        for name, (a, b, c, d) in objects
    )
    shape = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    named = f"<filename>{filename}</filename>" if filename else ""
    path.write_text(f"<annotation>{named}{shape}{entries}</annotation>")
    return path


# ---- what is read ----------------------------------------------------------------------------------------


def test_coco_boxes(tmp_path, photos):
    path = coco(
        tmp_path,
        [
            (1, 10, [1, 2, 3, 2], {}),
            (1, 20, [0, 0, 8, 6], {}),
            (1, 10, [5.4, 0.6, 1, 1], {}),
            (2, 20, [1, 1, 2, 2], {}),
        ],
    )
    truths = read_truths(path, photos, NAMES)
    assert truths.classes(0) == [2, 3] and truths.classes(1) == [3]
    assert truths.of(0, 2).boxes == (Box(1, 2, 4, 4), Box(5, 0, 7, 2))  # all pixels that are touched
    assert truths.of(0, 3).boxes == (Box(0, 0, 8, 6),)
    assert truths.of(0, 2).mask is None
    assert truths.of(0, 0) is truths.of(1, 2) is truths.of(0, None) is None
    assert pickle.loads(pickle.dumps(truths)).of(1, 3).boxes == (Box(1, 1, 3, 3),)


def test_coco_masks(tmp_path, photos):
    square = {"segmentation": [[1, 1, 4, 1, 4, 3, 1, 3], [6, 4, 8, 4, 8, 6, 6, 6]]}
    # column by column of 4: the second column whole, the third's first
    runs = {"segmentation": {"size": [4, 5], "counts": [4, 5, 11]}}
    crowd = {"iscrowd": 1, "segmentation": {"size": [6, 8], "counts": [0, 48]}}
    path = coco(
        tmp_path,
        [
            (1, 10, [1, 1, 7, 5], square),
            (1, 10, [0, 0, 8, 6], crowd),
            (2, 20, [1, 0, 2, 4], runs),
            (1, 20, [0, 0, 1, 1], {}),
        ],
    )
    truths = read_truths(path, photos, NAMES)
    expected = np.zeros((6, 8), np.bool_)
    expected[1:3, 1:4] = expected[4:6, 6:8] = True
    assert (truths.of(0, 2).mask == expected).all()
    assert truths.of(0, 2).boxes == (Box(1, 1, 8, 6),)  # the crowd is left out
    assert np.argwhere(truths.of(1, 3).mask).tolist() == [[0, 1], [0, 2], [1, 1], [2, 1], [3, 1]]
    assert truths.of(0, 3).mask is None
    assert pickle.loads(pickle.dumps(truths)).of(0, 2).mask.sum() == 10


def test_a_mask_is_known_where_all_objects_have_one(tmp_path, photos):
    square = {"segmentation": [[1, 1, 4, 1, 4, 3, 1, 3]]}
    truths = read_truths(coco(tmp_path, [(1, 10, [1, 1, 3, 2], square), (1, 10, [5, 5, 1, 1], {})]), photos[:1], NAMES)
    assert truths.of(0, 2).mask is None and len(truths.of(0, 2).boxes) == 2


def test_voc_counts_from_1_and_its_last_pixel_is_within(tmp_path, photos):
    folder = tmp_path / "voc"
    folder.mkdir()
    voc(folder / "x.xml", [("tiger cat", (1, 1, 8, 6)), ("dog", (2, 3, 2, 3))], filename="a.jpg")
    voc(folder / "b.xml", [("DOG", (1, 1, 5, 4))], size=None)  # no filename: its own
    truths = read_truths(folder, photos, NAMES)
    assert truths.of(0, 2).boxes == (Box(0, 0, 8, 6),)
    assert truths.of(0, 3).boxes == (Box(1, 2, 2, 3),)
    assert truths.of(1, 3).boxes == (Box(0, 0, 5, 4),)
    assert read_truths(folder / "x.xml", photos[:1], NAMES).of(0, 3).boxes == (Box(1, 2, 2, 3),)


def test_a_pixel_too_far_is_held_in(tmp_path, photos):
    """Some tools count from 0 where Pascal VOC counts from 1."""
    path = voc(tmp_path / "a.xml", [("dog", (0, 0, 8, 6))])
    assert read_truths(path, photos[:1], NAMES).of(0, 3).boxes == (Box(0, 0, 8, 6),)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_masks_of_any_kind(tmp_path, photos, mode):
    marked = np.zeros((6, 8), np.uint8)
    marked[1:3, 2:5], marked[5, 7] = 1, 1
    if mode in ("P", "I;16"):
        picture = Image.fromarray(marked * 7 if mode == "P" else marked.astype(np.uint16) * 300)
        if mode == "P":
            picture.putpalette([0, 200, 0] + [90] * 765)
            assert picture.mode == "P"
    else:
        picture = Image.fromarray(marked * 255).convert(mode)
    folder = tmp_path / "masks"
    folder.mkdir()
    picture.save(folder / "a.png")
    truths = read_truths(folder, photos[:1], NAMES)
    for index in (None, 0, 3):  # about any class
        assert (truths.of(0, index).mask == (marked > 0)).all()
        assert truths.of(0, index).boxes == (Box(2, 1, 5, 3), Box(7, 5, 8, 6))  # the largest part first
    assert truths.classes(0) == []
    pickle.dumps(truths)


def test_what_is_transparent_is_not_marked(tmp_path, photos):
    pixels = np.full((6, 8, 4), 255, np.uint8)
    pixels[:, 3:, 3] = 0
    (tmp_path / "masks").mkdir()
    Image.fromarray(pixels).save(tmp_path / "masks" / "a.PNG")
    assert read_truths(tmp_path / "masks", photos[:1], None).of(0, None).boxes == (Box(0, 0, 3, 6),)


def test_photos_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (8, 6)).save(tmp_path / folder / "a.jpg")
    images = [
        {"id": i, "file_name": f"{folder}{sep}a.jpg"} for i, (folder, sep) in enumerate([("one", "/"), ("two", "\\")])
    ]
    path = coco(tmp_path, [(0, 10, [0, 0, 1, 1], {}), (1, 10, [5, 5, 1, 1], {})], images)
    both = [open_photo(tmp_path / folder / "a.jpg") for folder in ("two", "one")]
    truths = read_truths(path, both, NAMES)
    assert [truths.of(i, 2).boxes[0].left for i in (0, 1)] == [5, 0]
    with pytest.raises(InputError, match=r"2 annotations for a.jpg, and its folders do not tell"):
        read_truths(path, [Photo(both[0].image, "a.jpg")], NAMES)


# ---- classes ---------------------------------------------------------------------------------------------


def test_classes_are_mapped(tmp_path, photos):
    categories = [{"id": 10, "name": "cat"}, {"id": 20, "name": "person"}]
    path = coco(tmp_path, [(1, 10, [1, 1, 2, 2], {}), (1, 20, [0, 0, 8, 6], {})], categories=categories)
    truths = read_truths(path, photos[:1], NAMES, classes={"CAT": ["Tabby", 2], "person": ()})
    assert truths.classes(0) == [1, 2]
    assert truths.of(0, 1).boxes == truths.of(0, 2).boxes == (Box(1, 1, 3, 3),)
    assert truths.of(0, 3) is None
    assert read_truths(path, photos[:1], NAMES, classes={"cat": "dog"}, skip_unknown=True).classes(0) == [3]
    assert read_truths(path, photos[:1], None, classes={"cat": 7, "person": "class 9"}).classes(0) == [7, 9]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (NAMES, {}, r"(?s)does not know by these names.*'tiger cats': did you mean 'tiger cat'.*classes=\{"),
        (NAMES, {"classes": {"tiger cats": "tigre"}}, r"classes\['tiger cats'\]: unknown class 'tigre'"),
        (NAMES, {"classes": {"tiger cats": [1, 4]}}, r"class index 4 is out of range: .* 0 to 3"),
        (NAMES, {"classes": {"tiger cats": -1}}, r"class index -1 is out of range"),
        (NAMES, {"classes": {"lion": 1}}, r"has no class lion: it has tiger cats"),
        (NAMES, {"skip_unknown": True}, r"no object in a.jpg of a class that the model knows"),
        (None, {}, r"this model has no class names"),
    ],
)
def test_classes_that_the_model_does_not_know(tmp_path, photos, names, options, message):
    path = coco(tmp_path, [(1, 10, [1, 1, 2, 2], {})], categories=[{"id": 10, "name": "tiger cats"}])
    with pytest.raises(InputError, match=message):
        read_truths(path, photos[:1], names, **options)


def test_classes_of_other_photos_need_not_be_known(tmp_path, photos):
    categories = [{"id": 10, "name": "dog"}, {"id": 20, "name": "zebra"}]
    path = coco(tmp_path, [(1, 10, [1, 1, 2, 2], {}), (2, 20, [1, 1, 2, 2], {})], categories=categories)
    assert read_truths(path, photos[:1], NAMES).classes(0) == [3]
    with pytest.raises(InputError, match="unknown class 'zebra'"):
        read_truths(path, photos, NAMES)


# ---- what does not fit the photos ------------------------------------------------------------------------


def test_a_photo_without_annotations(tmp_path, photos):
    images = [{"id": 1, "file_name": "a.jpg"}]
    path = coco(tmp_path, [(1, 20, [1, 1, 2, 2], {})], images)
    with pytest.raises(InputError, match=r"no annotation for b.jpg: it has a.jpg; photos are found by file name"):
        read_truths(path, photos, NAMES)
    with pytest.raises(InputError, match=r"no object in b.jpg: leave these photos out"):
        read_truths(coco(tmp_path, [(1, 20, [1, 1, 2, 2], {})]), photos, NAMES)
    with pytest.raises(InputError, match=r"no annotation for array"):
        read_truths(path, [open_photo(np.zeros((6, 8, 3), np.uint8))], NAMES)


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([6, 1, 4, 2], r"box of 'dog', from \(6, 1\) to \(10, 3\), reaches beyond the photo's 8 × 6 pixels"),
        ([-3, 1, 4, 2], r".*from \(-3, 1\) to \(1, 3\), reaches beyond"),
        ([1, 1, 2, 6.5], r".*reaches beyond"),
        ([1, 1, 0, 2], r".*from \(1, 1\) to \(1, 3\), is empty"),
        ([1, 1, 2, -2], r".*is empty"),
        ([8.2, 1, 0.5, 2], r".*is outside the photo's 8 × 6 pixels"),
    ],
)
def test_boxes_outside_the_photo(tmp_path, photos, box, message):
    with pytest.raises(InputError, match=r"(?s)boxes.json does not fit the photos:.*annotations.0.: the " + message):
        read_truths(coco(tmp_path, [(1, 20, box, {})]), photos[:1], NAMES)


def test_all_boxes_are_named_at_once(tmp_path, photos):
    path = coco(tmp_path, [(1, 20, [9, 9, 9, i + 1], {}) for i in range(7)])
    with pytest.raises(InputError, match="and 2 more") as caught:
        read_truths(path, photos[:1], NAMES)
    assert str(caught.value).count("reaches beyond") == 5


def test_a_photo_that_its_exif_turns(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(tmp_path / "a.jpg", exif=exif)
    turned = open_photo(tmp_path / "a.jpg")
    assert turned.image.size == (6, 8)
    stored = coco(tmp_path, [(1, 20, [1, 1, 2, 2], {})])
    with pytest.raises(InputError, match=r"of 8 × 6 pixels, and it has 6 × 8: the photo is shown upright, as its EXIF"):
        read_truths(stored, [turned], NAMES)
    (tmp_path / "masks").mkdir()
    Image.new("L", (8, 6), 1).save(tmp_path / "masks" / "a.png")
    with pytest.raises(InputError, match=r"a.png has 8 × 6 pixels, and its photo 6 × 8: the photo is shown upright"):
        read_truths(tmp_path / "masks", [turned], NAMES)
    upright = coco(tmp_path, [(1, 20, [1, 1, 2, 7], {})], [{"id": 1, "file_name": "a.jpg", "width": 6, "height": 8}])
    assert read_truths(upright, [turned], NAMES).of(0, 3).boxes == (Box(1, 1, 3, 8),)


def test_a_photo_that_was_resized(tmp_path, photos):
    path = voc(tmp_path / "a.xml", [("dog", (1, 1, 2, 2))], size=(80, 60))
    with pytest.raises(InputError, match=r"of 80 × 60 pixels, and it has 8 × 6: give the photo that was annotated"):
        read_truths(path, photos[:1], NAMES)


# ---- what cannot be read ---------------------------------------------------------------------------------


def test_nothing_to_read(tmp_path, photos):
    with pytest.raises(InputError, match=r"none.json does not exist: expected COCO's"):
        read_truths(tmp_path / "none.json", photos, NAMES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no annotations"):
        read_truths(tmp_path / "empty", photos, NAMES)
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(InputError, match=r"a.csv: expected annotations as COCO's .json"):
        read_truths(tmp_path / "a.csv", photos, NAMES)


BOX = {"image_id": 1, "category_id": 10, "bbox": [1, 1, 2, 2]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ('{"images": [', "is not JSON: .*line 1 column"),
        ("[" * 100_000, "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        ("[1]", "an object of images, annotations and categories, got list"),
        ("{}", "an object of images, annotations and categories, got an empty object"),
        ('{"image": []}', "got 'image'"),
        ({"images": {}}, "expected 'images' to be a list of objects"),
        ({"annotations": [3]}, "expected 'annotations' to be a list of objects"),
        ({"annotations": [{**BOX, "image_id": 5}]}, r"annotations\[0\] names image 5, which the file does not have"),
        ({"annotations": [{**BOX, "category_id": 5}]}, "names category 5"),
        ({"annotations": [{**BOX, "category_id": True}]}, "expected 'category_id' to be a whole number, got True"),
        ({"annotations": [{**BOX, "bbox": [1, 2, 3]}]}, "four numbers, left, top, width, height, got"),
        ({"annotations": [{**BOX, "bbox": [1, 2, 3, float("nan")]}]}, "four numbers"),
        ({"annotations": [{**BOX, "bbox": None}]}, "expected 'bbox' to be a list, got None"),
        ({"annotations": [{**BOX, "segmentation": [[1, 2, 3]]}]}, "expected 'segmentation' to be polygons"),
        ({"annotations": [{**BOX, "segmentation": {"counts": [1, "2"]}}]}, "run lengths to be whole numbers"),
        (
            {"annotations": [{**BOX, "segmentation": {"counts": [1, 2]}}]},
            r"annotations\[0\]: .*add up to 6 x 8 pixels, got 3",
        ),
        ({"annotations": [{**BOX, "segmentation": {"size": [8, 6], "counts": [48]}}]}, "size .6, 8., as the photo"),
        ({"annotations": [{**BOX, "segmentation": {"counts": "!!"}}]}, "got the character '!' in it"),
        ({"annotations": [{**BOX, "segmentation": {"counts": "oo"}}]}, "cut off"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}] * 2}, r"images\[1\] has the id 1, as one before it"),
        ({"images": [{"id": 1, "file_name": 3}]}, "expected 'file_name' to be a text, got 3"),
        ({"images": [{"id": 1, "file_name": "a.jpg", "width": 8}]}, "expected 'height' to be a whole number, got None"),
    ],
)
def test_json_that_is_not_cocos(tmp_path, photos, text, message):
    if isinstance(text, dict):
        path = coco(tmp_path, [], **{"annotations": [BOX], **text})
    else:
        path = tmp_path / "boxes.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        read_truths(path, photos[:1], NAMES)


LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]><annotation>&c;</annotation>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><annotation>&b;</annotation>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not XML"),
        ("<annotation>", "is not XML"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "is not XML"),
        ("<svg/>", "expected Pascal VOC's form, an <annotation>, got <svg>"),
        (LAUGHS, "declares a document type"),
        (OUTSIDE, "declares a document type"),
        (LAUGHS.encode("utf-16"), "declares a document type"),
        (
            "<annotation><object><name>dog</name></object></annotation>",
            "object 1: expected <bndbox/xmin>, and there is",
        ),
        (
            "<annotation><size><width>a</width><height>2</height></size></annotation>",
            "size/width> to be a number, got 'a'",
        ),
    ],
)
def test_xml_that_is_not_vocs(tmp_path, photos, text, message):
    path = tmp_path / "a.xml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        read_truths(path, photos[:1], NAMES)


@pytest.mark.parametrize(("odd", "message"), [("size", "'a'"), ("name", "<name>, and there is none")])
def test_parts_that_xml_lacks(tmp_path, photos, odd, message):
    path = voc(tmp_path / "a.xml", [("" if odd == "name" else "dog", (1, 1, "a", 2))])
    with pytest.raises(InputError, match=message if odd == "size" else "expected <"):
        read_truths(path, photos[:1], NAMES)


def test_masks_that_cannot_be_used(tmp_path, photos):
    folder = tmp_path / "masks"
    folder.mkdir()
    Image.new("L", (8, 6)).save(folder / "a.png")
    with pytest.raises(InputError, match="the mask marks no pixel"):
        read_truths(folder, photos[:1], NAMES)
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[:40])
    with pytest.raises(InputError, match=r"the mask .*a.png cannot be read"):
        read_truths(folder, photos[:1], NAMES)


# ---- outlines --------------------------------------------------------------------------------------------


def test_a_polygon_covers_the_pixels_whose_centre_it_holds():
    triangle = polygon_mask([0, 0, 4, 0, 0, 4.2], (5, 5))
    expected = [[(c + 0.5) / 4 + (r + 0.5) / 4.2 < 1 for c in range(5)] for r in range(5)]
    assert triangle.tolist() == expected
    assert not polygon_mask([9, 9, 12, 9, 9, 12], (5, 5)).any()
    assert polygon_mask([-5, -5, 99, -5, 99, 99, -5, 99], (3, 4)).all()


def as_cocos_string(counts):
    """COCO's way to write run lengths, by its description: differences from the third on, 5 bits at a time."""
    text = ""
    for i, count in enumerate(counts):
        rest = count - (counts[i - 2] if i > 2 else 0)
        while True:
            bits, rest = rest & 31, rest >> 5
            done = (rest == -1) if bits & 16 else (rest == 0)
            text += chr(48 + (bits if done else bits | 32))
            if done:
                break
    return text


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=9))
def test_run_lengths_as_numbers_and_as_a_string(counts):
    size = (1, sum(counts))
    expected = [bool(i % 2) for i, count in enumerate(counts) for _ in range(count)]
    assert run_length_mask(counts, size)[0].tolist() == expected
    assert run_length_mask(as_cocos_string(counts), size)[0].tolist() == expected


def test_how_much_of_the_objects_lies_in_a_part_counts_each_object_once(tmp_path, photos):
    path = coco(tmp_path, [(1, 10, [0, 0, 2, 2], {}), (1, 20, [2, 0, 6, 2], {}), (2, 20, [0, 0, 1, 1], {})])
    truths = read_truths(path, photos, NAMES, classes={"tiger cat": ["tabby", "tiger cat", "tench"]})
    assert truths.seen(0, ((0, 6), (0, 2))) == pytest.approx(4 / 16)
    assert truths.seen(0, ((0, 1), (0, 8))) == pytest.approx(0.5)
    assert truths.seen(1, ((2, 4), (0, 5))) == 0
