"""Pictures from arrays: colours, overlays, captions, sheets, files."""

import io
import os
import stat
import subprocess
import sys
import tempfile
import unicodedata
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seewhy.errors import InputError, SaveError, UnknownNameError
from seewhy.files import write_atomically
from seewhy.render import figure, overlay
from seewhy.render.colormap import colours
from seewhy.render.text import font, wrap

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (24, 40, 3), np.uint8)
HEAT = RNG.random((24, 40)).astype(np.float32)
ALL = np.ones((24, 40), bool)
MIDDLE = np.zeros((24, 40), bool)
MIDDLE[:, 8:32] = True


# ---- colours ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["viridis", "jet", "gray_r", "tab10"])
def test_colours_are_matplotlibs(name):
    steps = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)
    found = colours(steps, name)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, matplotlib.colormaps[name](steps.astype(np.float64), bytes=True)[..., :3])


def test_an_unknown_colormap_gets_the_nearest_names():
    with pytest.raises(UnknownNameError, match="unknown colormap 'virids': did you mean 'viridis'"):
        colours(HEAT, "virids")


@pytest.mark.parametrize("wrong", [np.nan, -0.5, 1.5, np.inf])
def test_colours_refuse_what_is_no_heatmap(wrong):
    heatmap = HEAT.copy()
    heatmap[3, 4] = wrong
    with pytest.raises(InputError, match=r"values in \[0, 1\]"):
        colours(heatmap, "viridis")


def test_rounding_noise_beyond_the_ends_does_not_wrap_around():
    ends = colours(np.array([[-1e-5, 1 + 1e-5]], np.float32), "gray")
    assert ends.tolist() == [[[0, 0, 0], [255, 255, 255]]]


# ---- overlays --------------------------------------------------------------------------------------------


def test_blend_is_its_formula():
    found = overlay.blend(PHOTO, HEAT, MIDDLE, colormap="magma", opacity=0.7)
    table = matplotlib.colormaps["magma"](np.linspace(0, 1, 256), bytes=True)
    for y in range(24):
        for x in range(40):
            h = float(HEAT[y, x]) if MIDDLE[y, x] else 0.0
            for c in range(3):
                colour = float(table[round(float(HEAT[y, x]) * 255), c])
                expected = PHOTO[y, x, c] + 0.7 * h * (colour - float(PHOTO[y, x, c]))
                assert abs(found[y, x, c] - expected) <= 0.5 + 1e-3


@pytest.mark.parametrize("style", [overlay.blend, overlay.classic])
def test_nothing_outside_the_covered_part_is_changed_and_no_input_either(style):
    photo, heatmap, covered = PHOTO.copy(), HEAT.copy(), MIDDLE.copy()
    found = style(photo, heatmap, covered)
    np.testing.assert_array_equal(found[~MIDDLE], PHOTO[~MIDDLE])
    assert (found[MIDDLE] != PHOTO[MIDDLE]).any(-1).mean() > 0.9
    assert found.dtype == np.uint8
    for now, before in [(photo, PHOTO), (heatmap, HEAT), (covered, MIDDLE)]:
        np.testing.assert_array_equal(now, before)


def test_blend_leaves_the_photo_where_there_is_no_evidence():
    heatmap = HEAT * (HEAT > 0.5)
    found = overlay.blend(PHOTO, heatmap, ALL)
    np.testing.assert_array_equal(found[heatmap == 0], PHOTO[heatmap == 0])
    np.testing.assert_array_equal(overlay.blend(PHOTO, HEAT, ALL, opacity=0.0), PHOTO)


def test_stronger_evidence_never_looks_weaker():
    """On photos of every brightness, the default moves away from the photo as the evidence grows."""
    from skimage.color import rgb2lab

    heat = np.linspace(0, 1, 41, dtype=np.float32)[None].repeat(9, 0)
    greys = np.linspace(0, 255, 9).round().astype(np.uint8)
    photo = np.broadcast_to(greys[:, None, None], (9, 41, 3)).copy()
    found = overlay.blend(photo, heat, np.ones_like(heat, bool))
    change = np.linalg.norm(rgb2lab(found) - rgb2lab(photo), axis=-1)  # (grey, strength), about 2 can be seen
    fallen = np.maximum.accumulate(change, axis=1) - change
    assert fallen.max() < 3
    assert change[:, -1].min() > 30  # full evidence is seen on each of them
    assert change[:, 10].min() < change[:, 20].min() < change[:, 40].min()


def test_diverging_is_its_formula():
    signed = HEAT * 2 - 1
    found = overlay.diverging(PHOTO, signed, MIDDLE, opacity=0.7)
    table = matplotlib.colormaps["bwr"](np.linspace(0, 1, 256), bytes=True)[:, :3].astype(float)
    weight = 0.7 * np.where(MIDDLE, abs(signed), 0)[..., None]
    expected = PHOTO * (1 - weight) + table[np.rint((signed + 1) / 2 * 255).astype(int)] * weight
    assert abs(found - expected).max() <= 0.5 + 1e-3
    np.testing.assert_array_equal(found[~MIDDLE], PHOTO[~MIDDLE])
    np.testing.assert_array_equal(overlay.diverging(PHOTO, signed * 0, ALL), PHOTO)


@pytest.mark.parametrize("sign", [1, -1])
def test_stronger_evidence_for_and_against_never_looks_weaker(sign):
    from skimage.color import rgb2lab

    heat = sign * np.linspace(0, 1, 41, dtype=np.float32)[None].repeat(9, 0)
    greys = np.linspace(0, 255, 9).round().astype(np.uint8)
    photo = np.broadcast_to(greys[:, None, None], (9, 41, 3)).copy()
    found = overlay.diverging(photo, heat, np.ones_like(heat, bool))
    change = np.linalg.norm(rgb2lab(found) - rgb2lab(photo), axis=-1)
    assert (np.maximum.accumulate(change, axis=1) - change).max() < 3
    assert change[:, -1].min() > 30


def test_the_photo_can_be_read_under_full_evidence():
    found = overlay.blend(PHOTO, np.ones_like(HEAT), ALL).astype(int)
    np.testing.assert_allclose(np.ptp(found, (0, 1)), 0.4 * np.ptp(PHOTO.astype(int), (0, 1)), atol=1)


def keras_example(photo, heatmap, alpha=0.4):
    """The well-known example, written out; array_to_img as in keras.utils."""

    def array_to_img(x):
        x = x.astype(np.float32)
        x = x - np.min(x)
        x_max = np.max(x)
        if x_max != 0:
            x /= x_max
        return (x * 255).astype(np.uint8)

    jet = matplotlib.colormaps["jet"](np.arange(256))[:, :3]
    coloured = array_to_img(jet[np.rint(255 * heatmap).astype(np.uint8)]).astype(np.float32)
    return array_to_img(coloured * alpha + photo)


def test_classic_is_the_keras_example():
    heatmap = HEAT.copy()
    heatmap[0, 0], heatmap[0, 1] = 0, 1
    heatmap[1] = np.linspace(0, 1, 40)  # the whole of jet is there, so that the example does not stretch its colours
    found = overlay.classic(PHOTO, heatmap, ALL).astype(int)
    assert abs(found - keras_example(PHOTO, heatmap)).max() <= 1


@pytest.mark.parametrize("covered", [ALL, MIDDLE, ~ALL])
def test_classic_stands_one_flat_colour_and_an_empty_cover(covered):
    flat = np.full_like(PHOTO, 9)
    found = overlay.classic(flat, np.zeros_like(HEAT), covered, colormap="gray")
    assert (found[covered] == 0).all()
    assert (found[~covered] == 9).all()


@pytest.mark.parametrize("style", [overlay.blend, overlay.classic])
@pytest.mark.parametrize("opacity", [-0.1, 1.01, float("nan")])
def test_opacity_is_a_share(style, opacity):
    with pytest.raises(InputError, match="opacity is a number from 0"):
        style(PHOTO, HEAT, ALL, opacity=opacity)


@pytest.mark.parametrize("style", [overlay.blend, overlay.classic])
@pytest.mark.parametrize(
    ("photo", "heatmap", "covered"),
    [(PHOTO, HEAT.T, ALL), (PHOTO, HEAT, ALL.T), (PHOTO[..., 0], HEAT, ALL), (PHOTO[..., :1], HEAT, ALL)],
)
def test_sizes_must_agree(style, photo, heatmap, covered):
    with pytest.raises(InputError, match="of one size"):
        style(photo, heatmap, covered)


# ---- words -----------------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=60)


@settings(max_examples=60, deadline=None)
@given(words, st.integers(20, 200))
def test_wrap_loses_nothing_and_fits(text, width):
    face = font(10)
    lines = wrap(text, face, width)
    assert "".join("".join(lines).split()) == "".join(text.split())
    for line in lines:  # one letter with its accents may be wider than a very narrow line
        assert face.getlength(line) <= width or sum(not unicodedata.combining(c) for c in line) <= 1


def test_wrap_breaks_long_words_at_separators_and_keeps_line_ends():
    assert wrap("a\n\nb", font(10), 100) == ["a", "", "b"]
    assert wrap("photos/holiday/cat_0001.jpg", font(12), 110) == ["photos/holiday/", "cat_0001.jpg"]
    assert wrap("", font(10), 100) == []


def test_only_what_cannot_fit_ends_in_an_ellipsis():
    face = font(10)
    assert wrap("one two three", face, 30, most=3) == ["one", "two", "three"]
    cut = wrap("one two three four", face, 30, most=3)
    assert cut[:2] == ["one", "two"]
    assert cut[2].endswith("…")
    assert face.getlength(cut[2]) <= 30


def inked(before, after):
    return np.asarray(before.convert("RGB")).astype(int) != np.asarray(after).astype(int)


@pytest.mark.parametrize("size", [(451, 300), (224, 224), (60, 60), (60, 200), (300, 30)])
@pytest.mark.parametrize("shade", ["white", "black", "gray"])
def test_caption_is_light_on_dark_at_the_bottom(size, shade):
    image = Image.new("RGB", size, shade)
    found = overlay.caption(image, "nothing here speaks for 'tiger cat'")
    assert found.size == size
    assert image.getcolors() == Image.new("RGB", size, shade).getcolors()  # the picture given is not drawn on
    pixels = np.asarray(found.convert("L"))
    assert pixels.max() > 220  # letters
    rows = np.asarray(found)[..., 0].min(1) < 75  # the band, or a black photo
    assert rows[-4:].all()
    if shade == "white" and min(size) > 50:
        assert (pixels[: size[1] // 3] == 255).all()  # most of the photo is left


def test_caption_uses_smaller_letters_before_it_cuts():
    drawn = []
    text = "nothing here speaks for 'tiger cat'"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlay, "write", lambda sheet, lines, face, *rest: drawn.append((lines, face.size)))
        for size in [(60, 60), (60, 40), (30, 30)]:
            overlay.caption(Image.new("RGB", size), text)
        for words in [text, text * 9]:
            overlay.caption(Image.new("RGB", (320, 320)), words)
    assert [" ".join(lines) for lines, _ in drawn[:2]] == [text, text]
    assert drawn[2][0][-1].endswith("…")
    (_, large), (lines, small) = drawn[3:]
    assert large == 20
    assert small < 16
    assert len(lines) * small * 1.1 < 0.4 * 320


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_caption_on_hopeless_pictures_is_no_crash(size):
    assert overlay.caption(Image.new("L", size), "tiger cat").size == size


def test_an_empty_caption_leaves_the_picture():
    image = Image.fromarray(PHOTO)
    assert not inked(image, overlay.caption(image, " ")).any()


# ---- sheets ----------------------------------------------------------------------------------------------


def solid(width, height, colour="red"):
    return Image.new("RGB", (width, height), colour)


def boxes_of(sheet, colour):
    """Bounding boxes (left, top, width, height) of the solid rectangles of one colour."""
    from scipy import ndimage

    labels, _ = ndimage.label((np.asarray(sheet) == colour).all(-1))
    slices = ndimage.find_objects(labels)
    return [(x.start, y.start, x.stop - x.start, y.stop - y.start) for y, x in slices]


@pytest.mark.parametrize(
    ("count", "columns", "grid"),
    [
        (1, None, 1),
        (2, None, 2),
        (3, None, 3),
        (4, None, 2),
        (5, None, 3),
        (9, None, 3),
        (10, None, 4),
        (3, 1, 1),
        (2, 7, 2),
    ],
)
def test_panels_stand_in_a_grid_inside_the_sheet(count, columns, grid):
    sheet = figure.panels([solid(30, 30)] * count, ["label"] * count, columns=columns, cell=96)
    found = boxes_of(sheet, (255, 0, 0))
    assert len(found) == count
    assert {box[2:] for box in found} == {(96, 96)}
    assert len({left for left, *_ in found}) == grid
    assert sheet.width == grid * 96 + (grid + 1) * 4
    assert min(left for left, *_ in found) == 4
    assert np.asarray(sheet)[[0, -1]].min() == 255  # a white margin all around
    assert np.asarray(sheet)[:, [0, -1]].min() == 255


def test_panels_keep_the_aspect_and_stand_on_their_captions():
    sheet = figure.panels([solid(300, 100), solid(100, 300), solid(900, 1)], ["a", "b", "c"], cell=96)
    wide, tall, thin = sorted(boxes_of(sheet, (255, 0, 0)))
    assert wide[2:] == (96, 32)
    assert tall[2:] == (32, 96)
    assert thin[2:] == (96, 1)
    assert wide[1] + wide[3] == tall[1] + tall[3] == thin[1] + thin[3]


def test_each_caption_stands_below_its_own_picture_and_rows_do_not_touch():
    long = "a very long label, with many synonyms " * 3
    without = figure.panels([solid(9, 9)] * 4, [""] * 4, cell=96)
    sheet = figure.panels([solid(9, 9)] * 4, [long, "", "", "x"], cell=96)
    assert sheet.height > without.height + 3 * 8
    boxes = sorted(boxes_of(sheet, (255, 0, 0)), key=lambda b: (b[1], b[0]))
    dark = np.asarray(sheet).max(-1) < 100
    rows, columns = np.nonzero(dark[:, :100])
    assert rows.min() > boxes[0][1] + 96
    assert rows.max() < boxes[2][1]
    assert columns.min() >= 3
    rows, columns = np.nonzero(dark[:, 104:])
    assert rows.min() > boxes[3][1] + 96
    assert abs((columns.min() + columns.max()) / 2 - 48) <= 2  # centred


def test_panels_take_any_mode_and_change_nothing():
    clear = Image.new("RGBA", (10, 10), (0, 0, 255, 0))
    grey = Image.new("L", (10, 10), 128)
    sheet = np.asarray(figure.panels([clear, grey], ["", ""], cell=32))
    assert sheet[10, 10].tolist() == [255, 255, 255]  # what is transparent is white
    assert (sheet == 128).all(-1).sum() == 32 * 32
    assert (clear.mode, grey.mode) == ("RGBA", "L")


def test_scripts_beyond_latin_are_drawn():
    blank = figure.panels([solid(9, 9)], [""], cell=200).height
    drawn = {}
    for text in ["κατηγορία", "категория", "قطة", "façade"]:
        sheet = figure.panels([solid(9, 9)], [text], cell=200)
        assert sheet.height > blank
        drawn[text] = np.asarray(sheet)[208:].tobytes()
    assert len(set(drawn.values())) == 4


@pytest.mark.parametrize(
    ("images", "captions", "options", "match"),
    [
        (2, 1, {}, "2 images and 1 captions"),
        (1, 2, {}, "1 images and 2 captions"),
        (0, 0, {}, "at least one image"),
        (1, 1, {"columns": 0}, "columns at least 1"),
        (1, 1, {"cell": 3}, "at least 32 pixels"),
    ],
)
def test_panels_refuse_what_does_not_fit(images, captions, options, match):
    with pytest.raises(InputError, match=match):
        figure.panels([solid(9, 9)] * images, ["x"] * captions, **options)


# ---- files -----------------------------------------------------------------------------------------------

FORMATS = {
    ".jpg": "JPEG", ".jpeg": "JPEG", ".JPG": "JPEG", ".png": "PNG", ".webp": "WEBP",
    ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP", ".gif": "GIF",
}  # fmt: skip
SMOOTH = Image.fromarray(np.asarray(Image.fromarray(PHOTO[:3, :4]).resize((40, 24), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize("suffix", FORMATS)
def test_save_writes_the_format_of_the_suffix(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    assert figure.save(SMOOTH, path) == path
    assert os.listdir(tmp_path) == [path.name]
    with Image.open(path) as image:
        assert image.format == FORMATS[suffix]
        error = abs(np.asarray(image.convert("RGB")).astype(int) - np.asarray(SMOOTH))
    assert error.mean() < 6
    if FORMATS[suffix] in ("PNG", "TIFF", "BMP"):
        assert error.max() == 0


def test_jpeg_keeps_its_colours_sharp(tmp_path):
    from PIL import JpegImagePlugin

    figure.save(SMOOTH, tmp_path / "x.jpg")
    with Image.open(tmp_path / "x.jpg") as image:
        assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4
        SMOOTH.save(as_92 := io.BytesIO(), "JPEG", quality=92)
        with Image.open(as_92) as other:
            assert image.quantization == other.quantization


def test_transparent_parts_are_saved_on_white(tmp_path):
    figure.save(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), tmp_path / "x.jpg")
    with Image.open(tmp_path / "x.jpg") as image:
        assert image.getpixel((4, 4)) == (255, 255, 255)


def test_png_bytes():
    with Image.open(io.BytesIO(figure.png(SMOOTH))) as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(SMOOTH))


@pytest.mark.parametrize("name", ["x.xyz", "x", "x.", ".jpg", "x.jpg.part"])
def test_an_unknown_suffix_names_the_known_ones(tmp_path, name):
    with pytest.raises(SaveError, match=r"known: \.jpg, \.jpeg, \.png"):
        figure.save(SMOOTH, tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_named_and_not_made(tmp_path):
    with pytest.raises(SaveError, match=r"there is no folder .*nowhere"):
        figure.save(SMOOTH, tmp_path / "nowhere" / "x.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="there is no folder"):
        figure.save(SMOOTH, tmp_path / "file" / "x.jpg")


def test_a_folder_is_not_overwritten(tmp_path):
    (tmp_path / "x.jpg").mkdir()
    with pytest.raises(SaveError, match="is a folder"):
        figure.save(SMOOTH, tmp_path / "x.jpg")
    assert os.listdir(tmp_path) == ["x.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="folders have no such modes there")
@pytest.mark.parametrize(("folder_mode", "file"), [(0o555, "x.png"), (0o777, "kept.png")])
def test_a_read_only_folder_and_a_read_only_file(folder_mode, file):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kept.png").write_bytes(b"kept")
        (folder / "kept.png").chmod(0o444)
        folder.chmod(folder_mode)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # root may write anywhere
        try:
            with pytest.raises(SaveError, match=rf"{file} cannot be written: Permission denied"):
                figure.save(SMOOTH, folder / file)
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)
        assert os.listdir(folder) == ["kept.png"]
        assert (folder / "kept.png").read_bytes() == b"kept"


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(SaveError, match="not a regular file"):
        figure.save(SMOOTH, tmp_path / "x.png")


def test_the_photo_is_not_overwritten_by_any_of_its_names(tmp_path, monkeypatch):
    photo = tmp_path / "cat.jpg"
    photo.write_bytes(b"the photo")
    (tmp_path / "link.jpg").symlink_to(photo)
    os.link(photo, tmp_path / "same.jpg")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in [photo, "cat.jpg", "sub/../cat.jpg", "link.jpg", "same.jpg"]:
        for protected in [photo, Path("cat.jpg"), tmp_path / "link.jpg"]:
            with pytest.raises(SaveError, match="would be overwritten"):
                figure.save(SMOOTH, path, protect=[Path("other.jpg"), protected])
    assert photo.read_bytes() == b"the photo"
    figure.save(SMOOTH, tmp_path / "cat_cam.jpg", protect=[photo])
    assert len(os.listdir(tmp_path)) == 5


def test_a_photo_that_is_gone_is_still_protected(tmp_path):
    with pytest.raises(SaveError, match="would be overwritten"):
        figure.save(SMOOTH, tmp_path / "gone.jpg", protect=[tmp_path / "gone.jpg"])


@pytest.mark.parametrize(
    ("size", "suffix", "name"),
    [((70000, 1), ".jpg", "JPEG"), ((20000, 1), ".webp", "WEBP"), ((70000, 1), ".gif", "GIF")],
)
def test_what_a_format_cannot_hold_leaves_nothing_behind(tmp_path, size, suffix, name):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(b"what stood there")
    with pytest.raises(SaveError, match=f"{name} cannot hold this picture"):
        figure.save(Image.new("RGB", size), path)
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_bytes() == b"what stood there"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x"), OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_what_stood_there(tmp_path, error):
    path = tmp_path / "x.npz"
    path.write_bytes(b"before")

    def write(file):
        file.write(b"half of ")
        file.flush()
        assert len(os.listdir(tmp_path)) == 2  # beside it, in the same folder
        raise error

    expected = (SaveError, "x.npz cannot be written: No space") if isinstance(error, OSError) else (type(error), None)
    with pytest.raises(expected[0], match=expected[1]):
        write_atomically(path, write)
    assert os.listdir(tmp_path) == ["x.npz"]
    assert path.read_bytes() == b"before"


def test_a_full_disk_while_encoding(tmp_path, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(SaveError, match=r"x.png cannot be written: No space left on device"):
        figure.save(SMOOTH, tmp_path / "x.png")
    assert os.listdir(tmp_path) == []


def test_writing_replaces_the_old_file_through_a_link_with_the_users_mode(tmp_path):
    (tmp_path / "there").mkdir()
    target = tmp_path / "there" / "x.txt"
    target.write_bytes(b"old")
    link = tmp_path / "x.txt"
    link.symlink_to(target)
    assert write_atomically(link, lambda file: file.write(b"new")) == link
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask


def test_a_name_as_long_as_the_disk_allows(tmp_path):
    figure.save(SMOOTH, tmp_path / ("x" * 251 + ".png"))
    with pytest.raises(SaveError, match="cannot be written: File name too long"):
        figure.save(SMOOTH, tmp_path / ("x" * 300 + ".png"))
    assert len(os.listdir(tmp_path)) == 1


def test_render_imports_no_pyplot_and_matplotlib_only_when_drawing():
    code = (
        "import sys, numpy as np\n"
        "from seewhy.render import figure, overlay\n"
        "assert 'matplotlib' not in sys.modules\n"
        "from PIL import Image\n"
        "overlay.blend(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32), np.ones((4, 4), bool))\n"
        "figure.panels([Image.new('RGB', (9, 9))], ['x'])\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
        "assert not {'torch', 'tensorflow', 'jax'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
