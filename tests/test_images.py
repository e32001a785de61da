"""Opening photos as a person sees them, and preparing them without losing their pixels' places."""

import io
import os
import struct
import sys
import tempfile
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from seewhy.errors import InputError, PhotoError
from seewhy.images import Photo, is_photo, open_header, open_photo, open_photos
from seewhy.preprocess import Geometry, Preprocess

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (24, 31, 3), np.uint8)
SMOOTH = np.asarray(Image.fromarray(NOISE[:3, :4]).resize((48, 32), Image.Resampling.BICUBIC))


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(source):
    photo = open_photo(source)
    assert photo.image.mode == "RGB"
    return np.asarray(photo.image)


def grey(values):
    return np.repeat(np.asarray(values)[..., None], 3, -1)


# ---- formats and modes -----------------------------------------------------------------------------------

FORMATS = {
    "x.png": ("PNG", {}),
    "x.bmp": ("BMP", {}),
    "x.tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
    "lossless.webp": ("WEBP", {"lossless": True}),
    "x.jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    "x.webp": ("WEBP", {"quality": 95}),
    "x.gif": ("GIF", {}),
}
LOSSY = {"x.jpg": 3, "x.webp": 6, "x.gif": 12}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_from_a_path_and_from_bytes(tmp_path, name):
    kind, options = FORMATS[name]
    data = encoded(Image.fromarray(SMOOTH), kind, **options)
    (tmp_path / name).write_bytes(data)
    for source in [tmp_path / name, str(tmp_path / name), data, bytearray(data)]:
        error = abs(pixels(source).astype(int) - SMOOTH)
        assert error.mean() <= LOSSY.get(name, 0)
    assert open_photo(tmp_path / name) == Photo(open_photo(data).image, name, tmp_path / name)
    assert open_photo(data).path is None


def test_the_content_counts_not_the_suffix(tmp_path):
    (tmp_path / "x.jpg").write_bytes(encoded(Image.fromarray(NOISE), "PNG"))
    np.testing.assert_array_equal(pixels(tmp_path / "x.jpg"), NOISE)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame(kind):
    red, blue = Image.new("RGB", (9, 7), (255, 0, 0)), Image.new("RGB", (9, 7), (0, 0, 255))
    options = {"lossless": True} if kind == "WEBP" else {}
    found = pixels(encoded(red, kind, save_all=True, append_images=[blue, red], **options))
    assert (found == (255, 0, 0)).all()


def stored(upright, orientation):
    """The pixels that a camera stores: where EXIF says the stored rows and columns begin, pixel by pixel."""
    row0, column0 = {
        1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
        5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }[orientation]  # fmt: skip
    height, width = upright.shape[:2]
    turned = orientation >= 5
    result = np.zeros_like(upright.transpose(1, 0, 2) if turned else upright)
    for r in range(result.shape[0]):
        for c in range(result.shape[1]):
            at = dict.fromkeys(("top", "bottom"), c if turned else r) | dict.fromkeys(
                ("left", "right"), r if turned else c
            )
            y = at["top"] if "top" in (row0, column0) else height - 1 - at["bottom"]
            x = at["left"] if "left" in (row0, column0) else width - 1 - at["right"]
            result[r, c] = upright[y, x]
    return result


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "lzw.tif", "lossless.webp"])
def test_exif_orientation(name, orientation):
    kind, options = FORMATS[name]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(stored(SMOOTH, orientation)), kind, exif=exif, **options)
    found = pixels(data)
    assert found.shape == SMOOTH.shape
    assert abs(found.astype(int) - SMOOTH).mean() <= LOSSY.get(name, 0)
    with Image.open(io.BytesIO(data)) as image:  # a PIL image that the user opened
        np.testing.assert_array_equal(pixels(image), found)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", FORMATS)
def test_a_header_has_the_size_of_the_upright_photo(tmp_path, name, orientation):
    kind, options = FORMATS[name]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / name
    path.write_bytes(encoded(Image.fromarray(stored(SMOOTH, orientation)), kind, exif=exif, **options))
    photo, header = open_photo(path), open_header(path)
    assert header.size == photo.size == photo.image.size[::-1]
    assert (header.name, header.path) == (photo.name, photo.path)


def test_a_header_needs_no_pixels(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("JPEG", "WEBP"):
        whole = encoded(Image.fromarray(NOISE.repeat(20, 0).repeat(20, 1)), kind, exif=exif)
        path = tmp_path / kind
        path.write_bytes(whole)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Image.Image, "convert", lambda *_: pytest.fail("the photo was decoded"))
            patched.setattr(Image.Image, "transpose", lambda *_: pytest.fail("the photo was turned"))
            assert open_header(path).size == (31 * 20, 24 * 20)
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole := encoded(Image.fromarray(NOISE.repeat(20, 0).repeat(20, 1)), "JPEG", exif=exif)[:9000])
    assert len(whole) == 9000 and open_header(path).size == (31 * 20, 24 * 20)
    with pytest.raises(PhotoError, match="truncated"):
        open_photo(path)


def test_a_header_of_what_is_no_file(tmp_path):
    assert open_header(NOISE).size == open_header(Image.fromarray(NOISE)).size == (24, 31)
    (tmp_path / "text.jpg").write_text("no photo")
    for source, words in ((tmp_path / "none.jpg", "does not exist"), (tmp_path, "is a folder"),
                          (tmp_path / "text.jpg", "is not an image"), ("http://x.org/a.jpg", "is a URL")):  # fmt: skip
        with pytest.raises(PhotoError, match=words):
            open_header(source)


def test_a_16_bit_photo_is_turned_too():
    exif = Image.Exif()
    exif[0x0112] = 6
    values = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    found = pixels(encoded(Image.fromarray(values), "PNG", exif=exif))
    np.testing.assert_array_equal(found[..., 0], np.rint(np.rot90(values, -1) / 257))


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0broken", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1"]
)
def test_broken_exif_beside_good_pixels(exif):
    plain = encoded(Image.fromarray(SMOOTH), "JPEG")
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(SMOOTH), "JPEG", exif=exif)), pixels(plain))


def test_exif_that_pillow_cannot_rewrite():
    """Good pixels, a good orientation, and beside it a value that ImageOps.exif_transpose stumbles over."""
    entries = [
        (0x0112, 3, 1, struct.pack(">HH", 6, 0)),
        (0x9003, 4, 1, struct.pack(">HH", 1, 2)),
        (0x8769, 2, 1, b"x\0\0\0"),
    ]
    body = b"".join(struct.pack(">HHI", tag, kind, count) + value for tag, kind, count, value in sorted(entries))
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + body + b"\0\0\0\0"
    assert pixels(encoded(Image.fromarray(SMOOTH), "JPEG", exif=exif)).shape == (48, 32, 3)


def test_palette_grey_and_one_bit():
    indexed = Image.fromarray(NOISE).quantize(16)
    np.testing.assert_array_equal(pixels(encoded(indexed, "PNG")), np.asarray(indexed.convert("RGB")))
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(NOISE[..., 0]), "PNG")), grey(NOISE[..., 0]))
    bits = NOISE[..., 0] > 128
    for data in [encoded(Image.fromarray(bits), "PNG"), encoded(Image.fromarray(bits), "TIFF", compression="group4")]:
        np.testing.assert_array_equal(pixels(data), grey(bits * 255))


def test_transparent_parts_lie_on_white():
    alpha = RNG.integers(0, 256, (24, 31), np.uint8)
    alpha[:5], alpha[5:9] = 0, 255
    share = alpha[..., None] / 255.0

    expected = NOISE * share + 255 * (1 - share)
    rgba = Image.fromarray(np.dstack([NOISE, alpha]))
    for data in [encoded(rgba, "PNG"), encoded(rgba, "WEBP", lossless=True, exact=True), encoded(rgba, "TIFF")]:
        np.testing.assert_allclose(pixels(data), expected, atol=1)
    np.testing.assert_array_equal(pixels(rgba)[alpha == 255], NOISE[alpha == 255])

    la = Image.merge("LA", [Image.fromarray(NOISE[..., 0]), Image.fromarray(alpha)])
    np.testing.assert_allclose(pixels(encoded(la, "PNG")), grey(expected[..., 0]), atol=1)


def test_transparent_colours_lie_on_white():
    indexed = Image.fromarray(NOISE).quantize(8)
    index, opaque = np.asarray(indexed), np.asarray(indexed.convert("RGB")).astype(float)
    one = np.where((index == 3)[..., None], 255, opaque)
    np.testing.assert_array_equal(pixels(encoded(indexed, "PNG", transparency=3)), one)
    np.testing.assert_array_equal(pixels(encoded(indexed, "GIF", transparency=3)), one)
    shares = (np.arange(8) * 36).astype(np.uint8)
    share = (shares[index] / 255)[..., None]
    found = pixels(encoded(indexed, "PNG", transparency=shares.tobytes()))
    np.testing.assert_allclose(found, opaque * share + 255 * (1 - share), atol=1)

    colour = tuple(int(v) for v in NOISE[4, 5])
    keyed = pixels(encoded(Image.fromarray(NOISE), "PNG", transparency=colour))
    np.testing.assert_array_equal(keyed, np.where((colour == NOISE).all(-1, keepdims=True), 255, NOISE))
    keyed = pixels(encoded(Image.fromarray(NOISE[..., 0]), "PNG", transparency=int(NOISE[4, 5, 0])))
    assert (keyed[4, 5] == 255).all()


@pytest.mark.parametrize(
    ("ink", "colour"),
    [((0, 0, 0, 0), (255, 255, 255)), ((255, 0, 0, 0), (0, 255, 255)), ((0, 255, 0, 0), (255, 0, 255)),
     ((0, 0, 0, 255), (0, 0, 0)), ((0, 0, 255, 127), (128, 128, 0))],
)  # fmt: skip
def test_cmyk_jpeg_is_not_a_negative(ink, colour):
    found = pixels(encoded(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95))
    assert abs(found.astype(int) - colour).max() <= 3


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "LAB", "RGBX", "PA", "RGBa", "La"])
def test_the_rest_of_pillows_modes(mode):
    through = {"PA": "P", "RGBa": "RGBA", "La": "LA"}.get(mode)
    image = Image.fromarray(SMOOTH)
    if mode == "LAB":
        from PIL import ImageCms

        rgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(image, rgb, lab, outputMode="LAB")
    else:
        image = (image.convert(through) if through else image).convert(mode)
    expected = grey(np.asarray(Image.fromarray(SMOOTH).convert("L"))) if mode == "La" else SMOOTH
    assert abs(pixels(image).astype(int) - expected).mean() < (40 if mode == "PA" else 4)


# ---- 16 and 32 bits --------------------------------------------------------------------------------------

DEEP = np.linspace(0, 65535, 24 * 31).round().astype(np.uint16).reshape(24, 31)
AS_8_BITS = grey(np.rint(DEEP * (255 / 65535)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}])
def test_16_bit_grey_is_scaled_not_clipped(kind, options):
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(DEEP), kind, **options)), AS_8_BITS)


def test_16_bit_grey_of_either_byte_order():
    for mode, kind in [("I;16B", ">u2"), ("I;16", "<u2")]:
        image = Image.frombytes(mode, (31, 24), DEEP.astype(kind).tobytes())
        np.testing.assert_array_equal(pixels(image), AS_8_BITS)
        np.testing.assert_array_equal(pixels(encoded(image, "TIFF")), AS_8_BITS)


def test_16_bit_rgb_png():
    values = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]], -1)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 31, 24, 16, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    np.testing.assert_allclose(pixels(data), values / 257, atol=1)


def test_32_bit_modes():
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(DEEP.astype(np.int32)), "TIFF")), AS_8_BITS)
    shares = np.linspace(0, 1, 24 * 31, dtype=np.float32).reshape(24, 31)
    np.testing.assert_array_equal(pixels(encoded(Image.fromarray(shares), "TIFF")), grey(np.rint(shares * 255)))


@pytest.mark.parametrize("value", [-1, 70000])
def test_32_bit_values_of_no_known_range_are_refused(tmp_path, value):
    values = DEEP.astype(np.int32)
    values[3, 4] = value
    Image.fromarray(values).save(tmp_path / "x.tif")
    with pytest.raises(PhotoError, match=r"x.tif: expected photo values in \[0, 65535\]") as caught:
        open_photo(tmp_path / "x.tif")
    assert "damaged" not in str(caught.value)
    for wrong, match in [(NOISE[..., 0], r"\[0, 1\]"), (np.full((4, 4), np.nan), "NaN")]:
        with pytest.raises(PhotoError, match=match):
            open_photo(encoded(Image.fromarray(wrong.astype(np.float32)), "TIFF"))


# ---- what cannot be opened -------------------------------------------------------------------------------


def test_missing_empty_folder_and_url(tmp_path):
    (tmp_path / "empty.jpg").touch()
    for source, match in [
        (tmp_path / "none.jpg", "none.jpg does not exist"),
        (tmp_path / "no" / "none.jpg", "none.jpg does not exist"),
        (tmp_path / "empty.jpg" / "x.jpg", "cannot be read: Not a directory"),
        (tmp_path / "empty.jpg", "empty.jpg is empty"),
        (b"", "bytes is empty"),
        (tmp_path, r"is a folder: name the photos in it, such as .*\*.jpg"),
        ("https://example.org/cat.jpg", "is a URL: seewhy fetches nothing"),
        ("HTTP://example.org/cat.jpg", "is a URL"),
        ("data:image/png;base64,AAAA", "is a URL"),
        (Path("https://example.org/cat.jpg"), "is a URL"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("nul\0byte.jpg", "cannot be read: embedded null byte|does not exist"),
        (3, "expected a photo as a path, bytes, a PIL image or a NumPy array .*got int"),
        (None, "got NoneType"),
        ([1, 2], "got list"),
    ]:
        with pytest.raises(PhotoError, match=match):
            open_photo(source)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such modes there")
def test_a_photo_that_may_not_be_read():
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = Path(name) / "x.png"
        path.write_bytes(encoded(Image.fromarray(NOISE), "PNG"))
        path.chmod(0)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # root may read anything
        try:
            with pytest.raises(PhotoError, match=r"x.png cannot be read: Permission denied"):
                open_photo(path)
        finally:
            if root:
                os.seteuid(0)


@pytest.mark.parametrize(
    "data",
    [
        b"hello, this is no photo\n" * 9,
        b"\0",
        RNG.bytes(5000),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n",
    ],
)
def test_what_is_no_image(tmp_path, data):
    (tmp_path / "x.jpg").write_bytes(data)
    for source in [data, tmp_path / "x.jpg"]:
        with pytest.raises(PhotoError, match="is not an image that Pillow can read"):
            open_photo(source)


WHOLE = {name: encoded(Image.fromarray(NOISE), kind, **options) for name, (kind, options) in FORMATS.items()}
WHOLE["x.jp2"] = encoded(Image.fromarray(NOISE), "JPEG2000")
WHOLE["x.ico"] = encoded(Image.fromarray(NOISE), "ICO")
WHOLE["x.ppm"] = encoded(Image.fromarray(NOISE), "PPM")
WHOLE["16.png"] = encoded(Image.fromarray(DEEP), "PNG")
WHOLE["exif.jpg"] = encoded(
    Image.fromarray(NOISE), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
)


@pytest.mark.parametrize("name", [n for n in WHOLE if n != "x.jp2"])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_photo_that_is_cut_off_is_not_shown_in_part(tmp_path, name, share):
    part = WHOLE[name][: int(len(WHOLE[name]) * share)]
    (tmp_path / name).write_bytes(part)
    for source in [part, tmp_path / name]:
        with pytest.raises(PhotoError, match=r"is truncated or damaged|, or it is cut off"):
            open_photo(source)


@pytest.mark.parametrize("name", WHOLE)
def test_damage_of_any_kind_is_a_photo_error(name):
    """Cut anywhere, bytes changed anywhere: a photo or a PhotoError, nothing else."""
    whole = WHOLE[name]
    rng = np.random.default_rng(1)
    damaged = [whole[:cut] for cut in range(0, len(whole), max(1, len(whole) // 60))]
    for _ in range(120):
        changed = bytearray(whole)
        for at in rng.integers(0, len(whole) if rng.random() < 0.5 else min(len(whole), 120), rng.integers(1, 5)):
            changed[at] = rng.choice([0, 255, rng.integers(256)])
        damaged.append(bytes(changed))
    refused = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)  # so that a changed size costs no time
        for data in damaged:
            try:
                assert open_photo(data).image.mode == "RGB"
            except PhotoError:
                refused += 1
    assert refused > 20


def png_header(width, height):
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + body
        + struct.pack(">I", zlib.crc32(body))
        + struct.pack(">I", 9)
        + b"IDAT"
    )


def test_a_decompression_bomb_is_refused_at_once(tmp_path):
    (tmp_path / "bomb.png").write_bytes(png_header(50_000, 50_000) + bytes(5000))
    start = time.perf_counter()
    for source in [tmp_path / "bomb.png", (tmp_path / "bomb.png").read_bytes()]:
        with pytest.raises(PhotoError, match=r"is too large: .*2500000000 pixels"):
            open_photo(source)
    assert time.perf_counter() - start < 1


def test_large_photos_below_the_limit_open_without_a_warning(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert open_photo(encoded(Image.new("RGB", (40, 40)), "PNG")).image.size == (40, 40)  # 1600: Pillow would warn
        assert open_photo(encoded(Image.new("RGB", (40, 40)), "GIF")).image.size == (40, 40)
    assert caught == []
    with pytest.raises(PhotoError, match="too large"):
        open_photo(encoded(Image.new("RGB", (45, 45)), "PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # the user's own decision
    assert open_photo(encoded(Image.new("RGB", (45, 45)), "PNG")).image.size == (45, 45)


def test_opening_in_many_threads_leaves_the_warning_filters_alone():
    before = list(warnings.filters)
    failures = []
    together = threading.Barrier(8)

    def work():
        together.wait()
        for name, data in [*WHOLE.items()] * 5:
            try:
                open_photo(data)
            except Exception as error:
                failures.append((name, error))

    threads = [threading.Thread(target=work) for _ in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failures == []
    assert warnings.filters == before


# ---- arrays and PIL images -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (NOISE, NOISE),
        (NOISE[..., 0], grey(NOISE[..., 0])),
        (NOISE[..., :1], grey(NOISE[..., 0])),
        (NOISE[::-1, ::2], NOISE[::-1, ::2]),
        (np.asfortranarray(NOISE), NOISE),
        (NOISE > 99, (NOISE > 99) * 255),
        (NOISE[..., 0] > 99, grey((NOISE[..., 0] > 99) * 255)),
        (DEEP, AS_8_BITS),
        (DEEP.astype(">u2"), AS_8_BITS),
        (np.dstack([DEEP] * 3), AS_8_BITS),
        ((NOISE / 255).astype(np.float32), NOISE),
        (NOISE / 255, NOISE),
        ((NOISE / 255).astype(">f8"), NOISE),
        ((NOISE // 255).astype(np.float16), NOISE // 255 * 255),
        (NOISE.astype(np.int64), NOISE),
        (NOISE.astype(np.int32), NOISE),
        (NOISE.astype(np.uint32), NOISE),
        ((NOISE // 2).astype(np.int8), NOISE // 2),
        (np.zeros((1, 1), np.uint8), np.zeros((1, 1, 3))),
    ],
)
def test_arrays(array, expected):
    before = array.copy()
    assert is_photo(array)
    np.testing.assert_array_equal(pixels(array), expected)
    np.testing.assert_array_equal(array, before)


def test_an_array_with_alpha_lies_on_white():
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, ..., 3] = 255
    assert pixels(rgba)[:, 0].tolist() == [[0, 0, 0], [255, 255, 255]]
    np.testing.assert_array_equal(pixels(rgba / 255.0), pixels(rgba))


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((3, 24, 31)), r"got \(3, 24, 31\) \(channels last: try array.transpose\(1, 2, 0\)\)"),
        (np.zeros((24, 31, 2)), r"got \(24, 31, 2\)$"),
        (np.zeros((24, 31, 5)), "expected a photo array"),
        (np.zeros(24), "expected a photo array"),
        (np.zeros(()), "expected a photo array"),
        (np.zeros((2, 24, 31, 3)), "expected a photo array"),
        (np.zeros((0, 31, 3)), "expected a photo array"),
        (np.full((4, 4), 1.5), r"in \[0, 1\] for dtype float64, got \[1.5, 1.5\]: pass uint8, or floats in \[0, 1\]"),
        (np.full((4, 4), -0.5), r"in \[0, 1\]"),
        (np.full((4, 4, 3), 255.0), r"in \[0, 1\]"),
        (np.full((4, 4, 3), 300), r"in \[0, 255\] for dtype int64"),
        (np.full((4, 4, 3), -1, np.int32), r"in \[0, 255\]"),
        (np.full((4, 4), np.nan), "NaN or infinite"),
        (np.full((4, 4), np.inf), "NaN or infinite"),
        (np.zeros((4, 4), complex), "array of numbers, got dtype complex128"),
        (np.full((4, 4), "x"), "array of numbers"),
        (np.full((4, 4), None), "array of numbers, got dtype object"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_photos(array, match):
    with pytest.raises(PhotoError, match=match):
        open_photo(array)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "CMYK"])
def test_a_pil_image_is_not_modified_and_shares_nothing(mode):
    image = Image.fromarray(SMOOTH).convert(mode)
    image.info["note"] = "mine"
    image.getexif()[0x0112] = 3
    before = (image.mode, image.size, image.tobytes(), dict(image.info), dict(image.getexif()))
    photo = open_photo(image)
    seen = photo.image.tobytes()
    photo.image.paste((1, 2, 3), (0, 0, 9, 9))
    assert (image.mode, image.size, image.tobytes(), dict(image.info), dict(image.getexif())) == before
    again = open_photo(image)
    image.paste(0, (0, 0, *image.size))
    assert again.image.tobytes() == seen


@pytest.mark.parametrize(
    "array", [NOISE.copy(), np.ascontiguousarray(NOISE[..., 0]), np.dstack([NOISE, NOISE[..., :1]])]
)
def test_an_array_shares_nothing_with_its_photo(array):
    photo = open_photo(array)
    seen = photo.image.tobytes()
    array[:] = 0
    assert photo.image.tobytes() == seen
    photo.image.paste((9, 9, 9), (0, 0, 31, 24))
    assert (array == 0).all()


def test_names_and_paths(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(NOISE).save(path)
    with Image.open(path) as image:
        photo = open_photo(image)
    assert (photo.name, photo.path) == ("cat.png", path)  # so that the photo is protected from being overwritten
    assert open_photo(photo) is photo
    assert open_photo(Image.fromarray(NOISE)).path is None
    with Image.open(path) as closed:
        pass
    with pytest.raises(PhotoError):
        open_photo(closed)


def test_a_list_names_the_photo_that_failed(tmp_path):
    assert len(open_photos([NOISE, Image.fromarray(NOISE)])) == 2
    with pytest.raises(PhotoError, match=r"photo 2 of 3: .*none.jpg does not exist"):
        open_photos([NOISE, tmp_path / "none.jpg", NOISE])


def test_what_is_a_photo():
    for source in ["x.jpg", Path("x.jpg"), b"x", bytearray(b"x"), NOISE, NOISE[..., 0], open_photo(NOISE)]:
        assert is_photo(source)
    for source in [NOISE[None], NOISE[0, 0], [NOISE], None, 3]:
        assert not is_photo(source)


# ---- preprocess ------------------------------------------------------------------------------------------

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "scale": 1.0}


def reference(array, prep):
    """Resize by Pillow, then pad and crop as torchvision's center_crop spells it out; maths in float64."""
    image = Image.fromarray(array)
    if prep.colour == "grey":
        image = image.convert("L")
    if isinstance(prep.resize, tuple):
        image = image.resize(prep.resize[::-1], getattr(Image.Resampling, prep.interpolation.upper()))
    elif prep.resize is not None:
        w, h = image.size
        new = (prep.resize, int(prep.resize * h / w)) if w <= h else (int(prep.resize * w / h), prep.resize)
        image = image.resize(new, getattr(Image.Resampling, prep.interpolation.upper()))
    x = np.asarray(image, np.float64).reshape(image.height, image.width, -1)
    for axis in (0, 1):
        have, want = x.shape[axis], prep.size[axis]
        if want > have:
            pad = [(0, 0)] * 3
            pad[axis] = ((want - have) // 2, (want - have + 1) // 2)
            x = np.pad(x, pad)
        start = round((x.shape[axis] - want) / 2.0)
        x = x[start : start + want] if axis == 0 else x[:, start : start + want]
    if prep.colour == "bgr":
        x = x[..., [2, 1, 0]]
    return ((x * prep.scale - np.array(prep.mean)) / np.array(prep.std)).transpose(2, 0, 1)


side = st.integers(1, 60)
interpolations = st.sampled_from(["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"])
resizes = st.one_of(st.none(), side, st.tuples(side, side))


@settings(max_examples=150, deadline=None)
@given(side, side, st.tuples(side, side), resizes, interpolations, st.sampled_from(["rgb", "bgr", "grey"]))
@example(5, 6, (8, 9), None, "bilinear", "rgb")
def test_preprocess_equals_an_independent_reference(h, w, size, resize, interpolation, colour):
    array = np.random.default_rng(h * 100 + w).integers(0, 256, (h, w, 3), np.uint8)
    statistics = ((0.4,), (0.2,)) if colour == "grey" else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    prep = Preprocess(size, resize, interpolation, *statistics, colour=colour)
    photo = open_photo(array)
    found, geometry = prep(photo)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, reference(array, prep), rtol=0, atol=2e-6)
    assert geometry.size == (h, w)
    np.testing.assert_array_equal(np.asarray(photo.image), array)


def test_other_scales():
    """(x - 127) / 128, as the embedded model wants it."""
    found, _ = Preprocess((24, 31), None, mean=(127.0,) * 3, std=(128.0,) * 3, scale=1.0)(open_photo(NOISE))
    np.testing.assert_allclose(found, (NOISE.transpose(2, 0, 1) - 127.0) / 128, atol=1e-7)


def import_torchvision():
    pytest.importorskip("torch")
    import cpu_torchvision

    cpu_torchvision.allow()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its image extension does not load beside a CPU torch
        return pytest.importorskip("torchvision")


@pytest.mark.parametrize("size", [(300, 451), (451, 300), (224, 224), (37, 61), (256, 1000), (255, 257)])
def test_preprocess_equals_torchvisions_preset(size):
    torchvision = import_torchvision()
    array = RNG.integers(0, 256, (*size, 3), np.uint8)
    preset = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms()
    found, _ = Preprocess()(open_photo(array))
    np.testing.assert_allclose(found, preset(Image.fromarray(array)).numpy(), atol=1e-6)


@pytest.mark.parametrize("size", [(5, 6), (6, 5), (9, 5), (4, 12), (8, 9), (11, 12)])
@pytest.mark.parametrize("crop", [(8, 9), (9, 8), (7, 7), (4, 12)])
def test_crop_and_padding_equal_torchvisions(size, crop):
    torchvision = import_torchvision()
    array = RNG.integers(1, 256, (*size, 3), np.uint8)
    expected = np.asarray(torchvision.transforms.CenterCrop(crop)(Image.fromarray(array)))
    found, geometry = Preprocess(crop, None, **PLAIN)(open_photo(array))
    np.testing.assert_array_equal(found, expected.transpose(2, 0, 1))
    for axis in (0, 1):  # the region says which photo pixels these are
        low, high = geometry.region[axis]
        assert high - low == crop[axis]
        seen = found.any(0).any(1 - axis).nonzero()[0]
        assert seen[0] == max(0, -low)
        assert seen[-1] + 1 == min(crop[axis], size[axis] - low)


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(st.integers(30, 300), st.integers(30, 300)),
    st.tuples(st.integers(20, 120), st.integers(20, 120)),
    st.one_of(st.none(), st.integers(20, 150), st.tuples(st.integers(20, 150), st.integers(20, 150))),
    interpolations,
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@example((60, 40), (101, 120), None, "bilinear", (0.0, 1.0))  # padded on all sides
@example((300, 31), (64, 64), 96, "lanczos", (1.0, 0.0))
def test_a_spot_is_found_again_where_the_geometry_says(size, crop, resize, interpolation, where):
    photo = np.zeros((*size, 3), np.uint8)
    prep = Preprocess(crop, resize, interpolation, **PLAIN)
    _, geometry = prep(open_photo(photo))

    spot, centre, pitch = [], [], []
    for axis in (0, 1):
        low, high = geometry.region[axis]
        step = (high - low) / crop[axis]  # photo pixels for each input pixel
        length = int(np.ceil(4 * max(1.0, step)))
        first, last = int(np.ceil(max(0, low) + 3 * step)), int(np.floor(min(size[axis], high) - 3 * step)) - length
        assume(first <= last)
        start = first + round(where[axis] * (last - first))
        spot.append(slice(start, start + length))
        centre.append(start + length / 2)
        pitch.append(step)
    photo[spot[0], spot[1]] = 255

    found = prep(open_photo(photo))[0][0].astype(np.float64)
    for axis in (0, 1):
        low, high = geometry.region[axis]
        weight = found.sum(1 - axis)
        at = (weight * (np.arange(crop[axis]) + 0.5)).sum() / weight.sum()  # in input pixels
        back = low + (high - low) * at / crop[axis]
        slack = {"nearest": 0.5, "box": 0.5, "hamming": 0.25}.get(interpolation, 0.1)
        assert abs(back - centre[axis]) <= slack * max(1.0, pitch[axis]) + 0.01


def test_geometry_of_the_usual_preset():
    _, geometry = Preprocess()(open_photo(np.zeros((512, 1024), np.uint8)))
    assert geometry == Geometry((512, 1024), ((32.0, 480.0), (288.0, 736.0)))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mean": (0.5,)}, "needs 3 values each for mean and std, got 1 and 3"),
        ({"colour": "grey"}, "needs 1 values each"),
        ({"size": (0, 224)}, "must be positive"),
        ({"resize": 0}, "must be positive"),
        ({"resize": (5, -1)}, "must be positive"),
        ({"std": (0.2, 0.0, 0.2)}, "free of zeros"),
    ],
)
def test_a_preprocess_that_makes_no_sense(options, match):
    with pytest.raises(InputError, match=match):
        Preprocess(**options)


def test_a_photo_that_would_explode_when_resized():
    with pytest.raises(PhotoError, match="array is too long and thin: 1 × 60000 pixels would become 256 × 15360000"):
        Preprocess()(open_photo(np.zeros((60000, 1), np.uint8)))
    found, _ = Preprocess((8, 8), 8)(open_photo(np.zeros((2000, 1), np.uint8)))
    assert found.shape == (3, 8, 8)
