import io
import re
import sys

import numpy as np
import pytest
from PIL import Image

from firmware.pictures import STANDARD_INPUT, find_pictures, read_picture
from model.errors import UserError

RNG = np.random.default_rng(4)
PIXELS = RNG.integers(0, 256, (6, 4, 3), dtype=np.uint8)


def test_same_size_keeps_its_pixels_in_order(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    assert read_picture(path, input_shape=(6, 4, 3)) == PIXELS.tobytes()


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "gif", "webp", "tiff", "ppm"])
@pytest.mark.parametrize("shape", [(32, 32, 3), (5, 9, 1)])
def test_any_format_is_resized_and_converted(tmp_path, suffix, shape):
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (50, 40), (200, 40, 90)).save(path)
    data = np.frombuffer(read_picture(path, input_shape=shape), np.uint8).reshape(shape)
    expected = (200, 40, 90) if shape[2] == 3 else (Image.new("RGB", (1, 1), (200, 40, 90))
                                                     .convert("L").getpixel((0, 0)),)  # fmt: skip
    # Lossy formats may be off a little.
    assert np.abs(data.astype(int) - expected).max() <= 6


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_modes(tmp_path, mode):
    path = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    image = Image.new("L", (4, 4), 255)
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 4), 65535, np.uint16))
    else:
        image = image.convert("RGB").convert(mode)
    image.save(path)
    assert read_picture(path, input_shape=(4, 4, 3)) == b"\xff" * 48


def test_rotation_of_cameras_is_undone(tmp_path):
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(PIXELS).save(path, exif=exif)
    assert read_picture(path, input_shape=(6, 4, 3)) == PIXELS[::-1, ::-1].tobytes()


def test_files_and_folders(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("b.png", "a.JPG", "notes.txt"):
        (folder / name).touch()
    single = tmp_path / "odd-name"
    single.touch()
    assert find_pictures([single, folder]) == [single, folder / "a.JPG", folder / "b.png"]


def standard_input(monkeypatch, data):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_standard_input(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(PIXELS).save(path)
    assert find_pictures(["-", path]) == [STANDARD_INPUT, path]
    standard_input(monkeypatch, path.read_bytes())
    assert read_picture(STANDARD_INPUT, input_shape=(6, 4, 3)) == PIXELS.tobytes()


@pytest.mark.parametrize("data", [b"", b"no picture"])
def test_unreadable_standard_input(data, monkeypatch):
    standard_input(monkeypatch, data)
    text = "Cannot read picture on standard input: cannot identify image file"
    with pytest.raises(UserError, match=f"^{re.escape(text)}$"):
        read_picture(STANDARD_INPUT, input_shape=(6, 4, 3))


def test_standard_input_is_read_once():
    text = "Standard input (-) can be read once, but is named twice"
    with pytest.raises(UserError, match=f"^{re.escape(text)}$"):
        find_pictures(["-", "-"])


def test_nothing_found(tmp_path):
    for path, text in (
        (tmp_path / "none.png", f"No picture {tmp_path / 'none.png'}"),
        (tmp_path, f"No picture in folder {tmp_path}"),
    ):
        with pytest.raises(UserError, match=f"^{re.escape(text)}$"):
            find_pictures([path])


def test_unreadable(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("no picture")
    text = f"Cannot read picture {path}: cannot identify image file"
    with pytest.raises(UserError, match=f"^{re.escape(text)}$"):
        read_picture(path, input_shape=(6, 4, 3))


def test_truncated(tmp_path):
    path = tmp_path / "a.png"
    noise = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=f"^Cannot read picture {re.escape(str(path))}: ") as caught:
        read_picture(path, input_shape=(6, 4, 3))
    assert "\n" not in str(caught.value)


def test_too_large(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("L", (100, 100)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=f"^Cannot read picture {re.escape(str(path))}: "):
        read_picture(path, input_shape=(6, 4, 3))


def test_network_with_other_channels(tmp_path):
    text = r"^A picture has 1 or 3 channels, but the network's input has 2$"
    with pytest.raises(UserError, match=text):
        read_picture(tmp_path / "a.png", input_shape=(4, 4, 2))
