"""Pixels of every kind, against what their formats say of them."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image, ImageCms

from model.data.picture_pixels import Refused, flatten
from tests.model.data.picture_seeds import encoded, png, tiff

WHITE, BLUE = (255, 255, 255), (10, 20, 250)
RNG = np.random.default_rng(6)
HIGH = RNG.integers(0, 256, (6, 9)).astype(np.uint16)  # the 8-bit picture behind deep ones
RGBA = RNG.integers(0, 256, (6, 9, 4), dtype=np.uint8)
RGBA[0, :, 3], RGBA[1, :, 3] = 0, 255


def read(data, background=WHITE, mode="RGB"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a format that Pillow will drop
        picture = Image.open(io.BytesIO(data))
    with picture:
        picture.load()
        return np.asarray(flatten(picture, data=data, background=background).convert(mode))


def refused(data, text):
    with pytest.raises(Refused, match=text):
        read(data)


def composite(rgba, background):
    """Rounded a · colour + (1 - a) · background."""
    alpha = rgba[..., 3:].astype(int)
    return (rgba[..., :3] * alpha + np.array(background) * (255 - alpha) + 127) // 255


# --- deep pixels ----------------------------------------------------------------------------------


@pytest.mark.parametrize("low", [0, 255, "same"])  # whatever the lower byte is
@pytest.mark.parametrize("data", [
    lambda deep: encoded(Image.fromarray(deep), "PNG"),
    lambda deep: encoded(Image.fromarray(deep), "TIFF"),
    lambda deep: encoded(Image.fromarray(deep), "JPEG2000"),
    lambda deep: encoded(Image.fromarray(deep), "IM"),
    lambda deep: b"P5 9 6 65535\n" + deep.astype(">u2").tobytes(),
    lambda deep: tiff(deep.astype("<u2")),
    lambda deep: tiff(deep.astype(">u2")),
    lambda deep: tiff(65535 - deep.astype("<u2"), photometric=0),  # white is zero
])  # fmt: skip
def test_16_bits_keep_the_higher_byte(data, low):
    deep = HIGH * 256 + (HIGH if low == "same" else low)
    np.testing.assert_array_equal(read(data(deep.astype(np.uint16)), mode="L"), HIGH)


def test_big_endian_and_turned():
    turned = read(tiff((HIGH * 257).astype(">u2"), orientation=6), mode="L")
    np.testing.assert_array_equal(turned, np.rot90(HIGH, -1))  # by Pillow, as it loads


def test_the_whole_range_is_used():
    ends = np.array([[0, 65535]], np.uint16)
    for data in (encoded(Image.fromarray(ends), "PNG"), tiff(ends.astype(">u2"))):
        assert read(data, mode="L").tolist() == [[0, 255]]


def test_12_bits():
    """Two samples in three bytes; 4095 is white."""
    samples = np.array([[0, 4095, 2048, 255]], np.uint16)
    first, second = samples[0, ::2].astype(int), samples[0, 1::2].astype(int)
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1)
    data = bytearray(tiff(packed.astype(np.uint8).reshape(1, 6), bits=12))
    at = data.index(b"\0\1\4\0\1\0\0\0\6")  # the width counts samples
    data[at + 8] = 4
    assert read(bytes(data), mode="L").tolist() == [[0, 255, 128, 15]]


@pytest.mark.parametrize("order", "<>")
def test_float_from_0_to_1(order):
    values = np.array([[0, 0.5, 1, 0.25, 100 / 255]])
    expected = [[0, 128, 255, 64, 100]]
    assert read(tiff(values.astype(order + "f4")), mode="L").tolist() == expected
    if order == "<":
        inverse = read(tiff((1 - values).astype("<f4"), photometric=0), mode="L")
        np.testing.assert_allclose(inverse, expected, atol=1)


@pytest.mark.parametrize("values, text", [
    ([0, 1.5], r"floating-point values run from 0 to 1\.5, but 0 is black and 1 is white"),
    ([-0.1, 1], r"run from -0\.1 to 1, "),
    ([0, 255], r"run from 0 to 255, .*: scale them to 0 to 1, or save it with 8 or 16 bits"),
    ([0, np.nan], "run from nan to nan, "),
    ([0, np.inf], "run from 0 to inf, "),
])  # fmt: skip
def test_float_without_that_range(values, text):
    refused(tiff(np.array([values], "<f4")), text)


def test_numbers_without_a_stated_range():
    refused(tiff(np.array([[0, 55000]], "<u4")), "are 32-bit, from 0 to 55000, with no stated")
    for kind in ("<i4", ">i4", "<i2", ">i2", "<i1"):
        refused(tiff(np.array([[0, 100]], kind), signed=True), "are signed, with no stated")
    area = [0] * 64
    area[1], area[8], area[9], area[10], area[13], area[33] = 4, 1, 2, 2, 1, 256
    refused(np.array(area, ">i4").tobytes() + bytes(8), "are measurements, with no stated")


def test_lab():
    lab = ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    refused(encoded(to_lab.apply(Image.new("RGB", (4, 4), "red")), "TIFF"), "save it as RGB")


def test_other_colours():
    for mode in ("CMYK", "YCbCr", "RGBX"):
        data = encoded(Image.new("RGB", (4, 4), (200, 40, 90)).convert(mode), "TIFF")
        assert np.abs(read(data) - np.array((200.0, 40, 90))).max() <= 2


# --- transparency ---------------------------------------------------------------------------------


@pytest.mark.parametrize("background", [WHITE, BLUE])
@pytest.mark.parametrize("format, options", [
    ("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {}), ("TGA", {}),
    ("QOI", {}), ("DDS", {}), ("JPEG2000", {}), ("SGI", {}),
])  # fmt: skip
def test_alpha_is_composited(format, options, background):
    found = read(encoded(Image.fromarray(RGBA), format, **options), background)
    assert np.abs(found - composite(RGBA, background)).max() <= 1
    assert (found[0] == background).all()
    np.testing.assert_array_equal(found[1], RGBA[1, :, :3])


@pytest.mark.parametrize("colour", [4, 6])  # grey with alpha, RGB with alpha
def test_alpha_of_16_bits(colour):
    samples = RGBA if colour == 6 else RGBA[..., [0, 3]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples.astype(int) * 257)
    rgba = RGBA if colour == 6 else RGBA[..., [0, 0, 0, 3]]
    found = read(png(9, 6, 16, colour, rows), BLUE)
    assert np.abs(found - composite(rgba, BLUE)).max() <= 1


@pytest.mark.parametrize("background", [WHITE, BLUE])
def test_grey_with_alpha(background):
    picture = Image.fromarray(RGBA).convert("LA")
    grey = np.asarray(picture)
    expected = composite(np.dstack([*[grey[..., 0]] * 3, grey[..., 1]]), background)
    assert np.abs(read(encoded(picture, "PNG"), background) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["RGBa", "La"])
def test_premultiplied(mode):
    """What the file holds are products of colour and alpha; the background adds its part."""
    picture = Image.fromarray(RGBA)
    picture = picture.convert("RGBa") if mode == "RGBa" else picture.convert("LA").convert("La")
    products = np.asarray(picture).astype(int)
    found = np.asarray(flatten(picture, data=b"", background=BLUE).convert("RGB"))
    colours = products[..., :3] if mode == "RGBa" else products[..., :1]
    expected = colours + np.array(BLUE) * (255 - products[..., -1:]) / 255
    assert np.abs(found - expected).max() <= 2


def test_palette_with_one_transparent_colour_or_an_alpha_for_each():
    picture = Image.new("P", (4, 1))
    picture.putpalette([0, 0, 0, 50, 60, 70, 200, 100, 0, 255, 0, 0])
    picture.putdata([0, 1, 2, 3])
    for format in ("PNG", "GIF"):
        found = read(encoded(picture, format, transparency=2), BLUE)
        assert found.tolist() == [[[0, 0, 0], [50, 60, 70], list(BLUE), [255, 0, 0]]]
    found = read(encoded(picture, "PNG", transparency=bytes([255, 0, 51, 255])), WHITE)
    assert found.tolist() == [[[0, 0, 0], [255, 255, 255], [244, 224, 204], [255, 0, 0]]]


def test_palette_with_alpha_channel():
    picture = Image.fromarray(RGBA).convert("PA")
    data = encoded(picture, "TIFF")
    expected = composite(np.asarray(picture.convert("RGBA")), BLUE)
    assert np.abs(read(data, BLUE) - expected).max() <= 1


def test_one_transparent_colour():
    rgb = Image.fromarray(RGBA[..., :3])
    key = tuple(map(int, RGBA[2, 3, :3]))
    found = read(encoded(rgb, "PNG", transparency=key), BLUE)
    expected = RGBA[..., :3].copy()
    expected[2, 3] = BLUE
    np.testing.assert_array_equal(found, expected)
    grey = Image.fromarray(np.array([[0, 100, 101, 255]], np.uint8))
    found = read(encoded(grey, "PNG", transparency=100), BLUE)
    assert found[0].tolist() == [[0] * 3, list(BLUE), [101] * 3, [255] * 3]
    deep = Image.fromarray(np.array([[0, 25700, 25701, 65535]], np.uint16))
    found = read(encoded(deep, "PNG", transparency=25700), BLUE)
    assert found[0].tolist() == [[0] * 3, list(BLUE), [100] * 3, [255] * 3]
    bits = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    for key, expected in ((0, [list(BLUE), [255] * 3]), (1, [[0] * 3, list(BLUE)])):
        assert read(encoded(bits, "PNG", transparency=key), BLUE)[0].tolist() == expected


@pytest.mark.parametrize("bits", [2, 4])
def test_one_transparent_grey_of_few_bits(bits):
    """Pillow scales the pixels of such a PNG file, but not its transparent grey."""
    rows = bytes([0, 0b00011011]) if bits == 2 else bytes([0, 0x0A, 0xAF])
    width = 4
    found = read(png(width, 1, bits, 0, rows, (b"tRNS", bytes([0, 2 if bits == 2 else 10]))), BLUE)
    grey = {2: [0, 85, None, 255], 4: [0, None, None, 255]}[bits]
    assert found[0].tolist() == [list(BLUE) if g is None else [g] * 3 for g in grey]


@pytest.mark.parametrize("key", [(0x6401, 0, 0), (0x64FF, 0, 0)])
def test_one_transparent_colour_of_16_bits_is_told_by_its_higher_bytes(key):
    rows = b"\0" + np.array([[0x6401, 0, 0], [0x6500, 0, 0]], ">u2").tobytes()
    found = read(png(2, 1, 16, 2, rows, (b"tRNS", np.array(key, ">u2").tobytes())), BLUE)
    assert found[0].tolist() == [list(BLUE), [0x65, 0, 0]]


def test_opaque_pictures_are_left_alone():
    rgb = Image.fromarray(RGBA[..., :3])
    assert flatten(rgb, data=b"", background=BLUE) is rgb
    opaque = rgb.convert("RGBA")
    np.testing.assert_array_equal(flatten(opaque, data=b"", background=BLUE), rgb)
