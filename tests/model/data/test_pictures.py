import io
import json
import logging
import os
import re
import struct
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from model.common.errors import Parser, UserError
from model.data import pictures
from model.data.picture_files import STANDARD_INPUT, formats, shown
from model.data.pictures import PictureOptions, add_picture_options, read_picture
from tests.model.data.picture_seeds import PIXELS, encoded, png, seeds, tiff

FAILED = Path(__file__).parent / "pictures_that_failed"
HEIGHT, WIDTH, _ = PIXELS.shape
SHAPE = (HEIGHT, WIDTH, 3)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a [b].png"


def read(path, data=None, shape=SHAPE, **options):
    if data is not None:
        path.write_bytes(data)
    return read_picture(path, input_shape=shape, options=PictureOptions(**options))


def refused(path, reason, data=None):
    """`reason` is a pattern for the whole of it."""
    with pytest.raises(UserError, match=f"^Cannot read picture {re.escape(str(path))}: {reason}$"):
        read(path, data)


# --- pictures -------------------------------------------------------------------------------------


def test_same_size_keeps_its_pixels_in_order(path):
    pixels = read(path, encoded(Image.fromarray(PIXELS), "PNG"))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, PIXELS)


def test_every_format_is_read(path):
    """`seeds` has one of each; an MPO file is a JPEG file with more of them."""
    seen = Counter()
    for format, data in seeds():
        assert read(path, data).shape == SHAPE, format
        seen[format.upper()] += 1
    assert set(seen) - {"MPO"} == set(formats())


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tiff", "ppm", "avif"])
@pytest.mark.parametrize("shape", [(32, 32, 3), (5, 9, 1)])
def test_resized_and_converted(tmp_path, suffix, shape):
    path = tmp_path / f"a.{suffix}"
    picture = Image.new("RGB", (50, 40), (200, 40, 90))
    picture.save(path)
    data = read_picture(path, input_shape=shape)
    expected = (200, 40, 90) if shape[2] == 3 else picture.convert("L").getpixel((0, 0))
    # Lossy formats may be off a little.
    assert data.shape == shape and np.abs(data.astype(int) - expected).max() <= 6


def test_stretching_is_lanczos_of_the_opaque_picture(path):
    picture = Image.fromarray(PIXELS)
    for shape, mode in (((7, 13, 3), "RGB"), ((7, 13, 1), "L")):
        pixels = read(path, encoded(picture, "PNG"), shape)
        expected = picture.convert(mode).resize((13, 7), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(pixels, np.asarray(expected).reshape(shape))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotation_of_cameras_is_undone(path, orientation):
    """The eight orientations of EXIF 2.3, section 4.6.4: where the 0th row and column are."""
    turn = {
        1: lambda p: p, 2: np.fliplr, 3: lambda p: np.rot90(p, 2), 4: np.flipud,
        5: lambda p: p.transpose(1, 0, 2), 6: lambda p: np.rot90(p, -1),
        7: lambda p: np.rot90(p, 2).transpose(1, 0, 2), 8: np.rot90,
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    expected = turn(PIXELS)
    for format in ("PNG", "TIFF"):
        data = encoded(Image.fromarray(PIXELS), format, exif=exif)
        np.testing.assert_array_equal(read(path, data, expected.shape), expected)


def test_transparent_pixels_hide_nothing():
    """Case: what lies under full transparency differed, and so did the decision."""
    shape = (64, 64, 3)
    white = read(FAILED / "composited-on-white.png", shape=shape)
    for name in ("hidden-black.png", "hidden-white.png"):
        for size in (shape, (32, 32, 3), (32, 32, 1)):
            expected = read(FAILED / "composited-on-white.png", shape=size)
            np.testing.assert_array_equal(read(FAILED / name, shape=size), expected)
    black = [
        read(FAILED / name, shape=shape, background=(0, 0, 0))
        for name in ("hidden-black.png", "hidden-white.png")
    ]
    np.testing.assert_array_equal(*black)
    assert black[0].mean() < white.mean() - 50


def test_deep_pictures_that_failed():
    pixels = read(FAILED / "float01.tif")
    assert pixels.min() <= 5 and 200 < pixels.max() < 255
    refused(FAILED / "int32.tif", "its numbers are signed, .*: save it with 8 or 16 bits")


def test_exif_that_failed():
    for name in ("short-as-long.jpg", "srational-neg1-0.jpg"):
        assert read(FAILED / name).std() > 10


@pytest.mark.parametrize("exif", [
    b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"nonsense",
    # Orientation as two letters, as rationals with a zero, and as the number 99.
    b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI4sI", 0x112, 2, 2, b"no", 0),
    b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIIIii", 0x112, 10, 1, 26, 0, -1, 0),
    b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIII", 0x112, 3, 1, 99, 0),
])  # fmt: skip
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_malformed_exif_turns_nothing(path, exif, format):
    picture = Image.fromarray(PIXELS)
    plain = read(path, encoded(picture, format))
    np.testing.assert_array_equal(read(path, encoded(picture, format, exif=exif)), plain)


@pytest.mark.parametrize("format, frames", [
    ("GIF", 3), ("PNG", 3), ("WEBP", 3), ("TIFF", 3), ("AVIF", 3), ("MPO", 1), ("JPEG", 1),
])  # fmt: skip
def test_of_an_animation_the_first_frame_is_taken(path, capsys, format, frames):
    first = Image.new("RGB", (WIDTH, HEIGHT), (250, 0, 0))
    others = [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in ("blue", "green")]
    many = {} if format == "JPEG" else {"save_all": True, "append_images": others}
    pixels = read(path, encoded(first, format, **many))
    assert np.abs(pixels.astype(int) - (250, 0, 0)).max() <= 12
    note = f"note: picture {path} has 3 frames: the first one is taken\n"
    assert capsys.readouterr().err == (note if frames > 1 else "")


# --- options --------------------------------------------------------------------------------------


def test_crop_takes_the_middle(path):
    data = encoded(Image.fromarray(PIXELS), "PNG")
    middle = PIXELS[:, (WIDTH - HEIGHT) // 2 : (WIDTH + HEIGHT) // 2]
    np.testing.assert_array_equal(read(path, data, middle.shape, fit="crop"), middle)
    upright = encoded(Image.fromarray(PIXELS.transpose(1, 0, 2)), "PNG")
    found = read(path, upright, middle.shape, fit="crop")
    np.testing.assert_array_equal(found, middle.transpose(1, 0, 2))


@pytest.mark.parametrize("channels", [1, 3])
def test_pad_keeps_all_and_fills_with_the_background(path, channels):
    data = encoded(Image.fromarray(PIXELS), "PNG")
    blue = (10, 20, 250)
    inside = read(path, data, (HEIGHT, WIDTH, channels))
    found = read(path, data, (WIDTH, WIDTH, channels), fit="pad", background=blue)
    bar = (WIDTH - HEIGHT) // 2
    np.testing.assert_array_equal(found[bar:-bar], inside)
    grey = (299 * 10 + 587 * 20 + 114 * 250) / 1000
    bars = np.concatenate([found[:bar], found[-bar:]]).astype(int)
    assert np.abs(bars - (blue if channels == 3 else grey)).max() <= (0 if channels == 3 else 1)
    wide = read(path, data, (HEIGHT, 2 * WIDTH, channels), fit="pad", background=blue)
    np.testing.assert_array_equal(wide[:, WIDTH // 2 : -WIDTH // 2], inside)


@pytest.mark.parametrize("fit", pictures.FITS)
@pytest.mark.parametrize("size", [(1000, 1), (1, 1000), (1, 1), (3, 2), (999, 1000)])
def test_every_aspect_fits(path, fit, size):
    data = encoded(Image.new("RGB", size, (200, 40, 90)), "PNG")
    pixels = read(path, data, (8, 8, 3), fit=fit, background=(200, 40, 90))
    assert (pixels == (200, 40, 90)).all()


def test_options_of_a_program():
    def parsed(*words, folders=True):
        parser = Parser()
        add_picture_options(parser, folders=folders)
        return PictureOptions.of(parser.parse_args(words))

    assert parsed() == PictureOptions("stretch", (255, 255, 255), False)
    assert parsed(folders=False) == PictureOptions()
    given = parsed("--fit", "pad", "--background", "#0a14fa", "--recursive")
    assert given == PictureOptions("pad", (10, 20, 250), True)
    assert parsed("--background=SteelBlue").background == (70, 130, 180)
    for colour in ("none", "#0a14fa80", "rgba(1,2,3,4)", "", "#12", "red\n"):
        with pytest.raises(UserError, match="argument --background: no opaque colour "):
            parsed("--background", colour)
    with pytest.raises(UserError, match="argument --fit: invalid choice: 'fill'"):
        parsed("--fit", "fill")
    with pytest.raises(UserError, match="unrecognized arguments: --recursive"):
        parsed("--recursive", folders=False)


def test_background_is_seen_through_what_is_transparent(path):
    data = encoded(Image.new("RGBA", (4, 4), (9, 9, 9, 0)), "PNG")
    assert (read(path, data) == 255).all()
    assert (read(path, data, background=(1, 2, 3)) == (1, 2, 3)).all()


# --- what cannot be read --------------------------------------------------------------------------


def test_no_pictures(path):
    refused(path, "cannot identify image file: no picture, .*", b"no picture")
    refused(path, "it is empty", b"")
    refused(path, "a damaged PNG picture, or of a kind that is not read", b"\x89PNG\r\n\x1a\n")
    half = np.zeros((4, 4), "<f2")
    refused(path, "a damaged TIFF picture, or of a kind that is not read", tiff(half))
    refused(path.parent / "none.png", "No such file or directory")
    refused(path.parent, "Is a directory")


def test_standard_input(monkeypatch, path):
    data = encoded(Image.fromarray(PIXELS), "PNG")
    for given, reason in ((b"", "it is empty"), (b"text", "cannot identify image file: ")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        with pytest.raises(UserError, match=f"^Cannot read picture on standard input: {reason}"):
            read(STANDARD_INPUT)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    np.testing.assert_array_equal(read(STANDARD_INPUT), PIXELS)


def test_no_permission(path, monkeypatch):
    def deny(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", deny)
    with pytest.raises(UserError, match=f"^No permission to read {re.escape(str(path))}$"):
        read(path)


def test_network_with_other_channels(path):
    text = r"^A picture has 1 or 3 channels, but the network's input has 2$"
    with pytest.raises(UserError, match=text):
        read(path, shape=(4, 4, 2))


def test_damaged_avif_that_failed():
    refused(FAILED / "damaged.avif", "it is damaged, .*Failed to decode frame 0.*")


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "PPM"])
def test_truncated_pictures_are_not_half_read(path, format):
    noise = np.random.default_rng(4).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    refused(path, "[^\n]+", data[: len(data) // 2])


@pytest.mark.parametrize("data, format", [
    (encoded(Image.fromarray(PIXELS), "EPS"), "EPS"),
    (struct.pack("<4sIIIIIII", b"\xc5\xd0\xd3\xc6", 32, 9, 0, 0, 0, 0, 0) + b"%!PS-Adobe", "EPS"),
    (b"\xd7\xcd\xc6\x9a\0\0" + bytes(80), "WMF"), (b"\0\0\1\xb3" + bytes(80), "MPEG"),
    (b"GRIB\0\0\0\1" + bytes(80), "GRIB"), (b"BUFR" + bytes(80), "BUFR"),
    (b"\x89HDF\r\n\x1a\n" + bytes(80), "HDF5"),
])  # fmt: skip
def test_formats_that_are_not_read(path, data, format):
    refused(path, f"{format} is not read: convert it to PNG", data)


@pytest.mark.parametrize("inside", [True, False])
def test_no_program_is_started(path, tmp_path, monkeypatch, inside):
    """Neither by EPS nor by IPTC, in which Pillow looks for a picture of any format."""
    ran = tmp_path / "ran"
    script = tmp_path / "bin" / "gs"
    script.parent.mkdir()
    script.write_text(f"#!/bin/sh\n: > {ran}\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(script.parent))
    data = encoded(Image.fromarray(PIXELS), "EPS")
    if inside:
        fields = (
            (3, 60, b"\x01\x00"), (3, 65, b"\0"), (3, 20, struct.pack(">H", WIDTH)),
            (3, 30, struct.pack(">H", HEIGHT)), (3, 120, b"\0\5"),
        )  # fmt: skip
        data = b"".join(
            struct.pack(">BBBH", 0x1C, record, tag, len(value)) + value
            for record, tag, value in (*fields, (8, 10, data))
        )
    refused(path, "[^\n]+", data)
    assert not ran.exists()


def test_largest_picture(path, monkeypatch):
    pixels = encoded(Image.fromarray(PIXELS), "PNG")
    monkeypatch.setattr(pictures, "MOST_PIXELS", WIDTH * HEIGHT)
    assert read(path, pixels).shape == SHAPE
    monkeypatch.setattr(pictures, "MOST_PIXELS", WIDTH * HEIGHT - 1)
    refused(path, f"it has {WIDTH} × {HEIGHT} pixels, but at most 0 million are read", pixels)


@pytest.mark.parametrize("width, height", [(20000, 20000), (2**31 - 1, 2**31 - 1), (2**27 + 1, 1)])
def test_bombs(path, width, height):
    refused(path, r"it has .*134 million.*", png(width, height, 8, 2, bytes(1000)))


class Raises(ImageFile.ImageFile):
    """A format whose decoder raises `error`."""

    format = "RAISES"
    error: BaseException

    def _open(self):
        self._size, self._mode = (4, 4), "RGB"
        self.tile = []

    def load(self):
        warnings.warn("of no matter", UserWarning, stacklevel=1)
        logging.getLogger("PIL.Raises").error("of no matter")
        os.write(2, b"of no matter\n")
        raise self.error


@pytest.fixture
def decoder(monkeypatch):
    Image.init()
    monkeypatch.setitem(Image.OPEN, "RAISES", (Raises, lambda prefix: prefix == b"raises"))
    monkeypatch.setattr(Image, "ID", [*Image.ID, "RAISES"])
    return Raises


@pytest.mark.parametrize("error, reason", [
    (struct.error("requires\na buffer"), r"it is damaged, .* \(error: requires\\na buffer\)"),
    (KeyError(12), r"it is damaged, or of a kind that is not read \(KeyError: 12\)"),
    (IndexError(), r"it is damaged, or of a kind that is not read \(IndexError\)"),
    (AssertionError(), r"it is damaged, .*"), (RecursionError("x" * 5000), r".{1,200}"),
    (ZeroDivisionError("division by zero"), ".*division by zero.*"), (EOFError("end"), ".*end.*"),
    (MemoryError(), "there is not enough memory for its pixels"),
    (OSError("broken\x1b[31m data stream"), r"broken\\x1b\[31m data stream"),
    (OSError(), r"it is damaged, .*OSError\)"), (ImportError("no codec"), ".*no codec.*"),
    (Image.DecompressionBombError("boom"), "it has more than 134 million pixels"),
])  # fmt: skip
def test_whatever_a_decoder_raises_is_one_line(decoder, path, capfd, monkeypatch, error, reason):
    monkeypatch.setattr(decoder, "error", error, raising=False)
    refused(path, reason, b"raises")
    assert capfd.readouterr().err == ""
    os.write(2, b"stderr is back\n")
    assert capfd.readouterr().err == "stderr is back\n"


def test_an_interruption_is_none_of_them(decoder, path, monkeypatch):
    monkeypatch.setattr(decoder, "error", KeyboardInterrupt(), raising=False)
    with pytest.raises(KeyboardInterrupt):
        read(path, b"raises")


def test_a_name_that_is_not_utf8(tmp_path, capsys):
    path = tmp_path / os.fsdecode(b"caf\xe9\n.gif")
    path.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"^Cannot read picture \S+/caf\\xe9\\n\.gif: cannot "):
        read(path)
    frames = {"save_all": True, "append_images": [Image.new("RGB", (WIDTH, HEIGHT))]}
    assert read(path, encoded(Image.fromarray(PIXELS), "GIF", **frames)).shape == SHAPE
    assert f"picture {shown(path)} has 2 frames" in capsys.readouterr().err


# --- damaged pictures -----------------------------------------------------------------------------


def fuzz(tmp_path, files, first=0):
    """What `picture_fuzz` found, of a decoder that takes the process down too."""
    at = tmp_path / "at"
    command = [sys.executable, "-m", "tests.model.data.picture_fuzz"]
    command += ["--first", str(first), "--files", str(files), "--at", str(at)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, f"file {at.read_text()}: {done.returncode}, {done.stderr}"
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    read, refused = Counter(found["read"]), Counter(found["refused"])
    assert (read + refused).total() == files
    # Neither all nor none is damaged, in every format.
    assert {name.upper() for name in read} - {"MPO"} == set(formats())
    assert {name.upper() for name in refused} - {"MPO"} == set(formats())


def test_ten_thousand_damaged_pictures(tmp_path):
    fuzz(tmp_path, 10_000)


@pytest.mark.slow
def test_a_hundred_thousand_damaged_pictures(tmp_path):
    fuzz(tmp_path, 100_000, first=10_000)
