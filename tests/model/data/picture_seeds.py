"""A small picture in every format that is read, of our own making: what Pillow writes, and by hand
what it only reads. Also TIFF files of any kind of sample, which Pillow does not write."""

import io
import struct
import warnings
import zlib

import numpy as np
from PIL import Image

__all__ = ["PIXELS", "encoded", "png", "seeds", "tiff"]

PIXELS = np.random.default_rng(8).integers(0, 256, (24, 32, 3), dtype=np.uint8)
PIXELS[4:20, 4:28] = 90  # a plain part, for the run lengths


def encoded(picture: Image.Image, format: str, **options) -> bytes:
    """The file of a picture."""
    file = io.BytesIO()
    # Copies, since a picture that was saved keeps its encoder's options.
    if "append_images" in options:
        options["append_images"] = [one.copy() for one in options["append_images"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a format that Pillow will drop
        picture.copy().save(file, format, **options)
    return file.getvalue()


def png(
    width: int, height: int, bits: int, colour: int, rows: bytes, *chunks: tuple[bytes, bytes]
) -> bytes:
    """A PNG file of `rows`, each with its filter's byte, and `chunks` before them."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    inside = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in inside
    )


def tiff(samples: np.ndarray, *, signed=False, bits=None, photometric=1, orientation=None) -> bytes:
    """A TIFF file of `samples` [H, W] in their own byte order and kind; packed by the caller."""
    order = ">" if samples.dtype.byteorder == ">" else "<"
    kind = 3 if samples.dtype.kind == "f" else 2 if signed else 1
    data = samples.tobytes()
    height, width = samples.shape
    tags = {
        256: width,
        257: height,
        258: bits or 8 * samples.itemsize,
        259: 1,
        262: photometric,
        273: 8,
        277: 1,
        278: height,
        279: len(data),
        339: kind,
    }
    if orientation:
        tags[274] = orientation
    lines = b"".join(struct.pack(order + "HHII", tag, 4, 1, tags[tag]) for tag in sorted(tags))
    return (
        (b"II*\0" if order == "<" else b"MM\0*")
        + struct.pack(order + "I", 8 + len(data) + len(data) % 2)
        + data
        + bytes(len(data) % 2)
        + struct.pack(order + "H", len(tags))
        + lines
        + bytes(4)
    )


def seeds() -> list[tuple[str, bytes]]:
    """(format, file), at least one of each format that is read, and one of each kind of pixels."""
    rgb = Image.fromarray(PIXELS)
    return [*_written(rgb), *_by_hand(rgb)]


def _written(rgb):
    grey, palette = rgb.convert("L"), rgb.quantize(16)
    clear = rgb.copy()
    clear.putalpha(grey)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a picture"
    deep = Image.fromarray(PIXELS[:, :, 0].astype(np.uint16) * 257)
    frames, clear_frames = (
        {"save_all": True, "append_images": [first.rotate(90)]} for first in (rgb, clear)
    )
    jpeg = {"quality": 80, "exif": exif}
    for picture, format, options in (
        (rgb, "AVIF", {"exif": exif}),
        (clear, "AVIF", clear_frames),
        (palette, "BLP", {}),
        (rgb, "BMP", {}),
        (palette, "BMP", {}),
        (clear, "DDS", {}),
        (clear, "DDS", {"pixel_format": "DXT1"}),
        (clear, "DDS", {"pixel_format": "DXT5"}),
        (rgb, "DDS", {"pixel_format": "BC5"}),
        (rgb, "DIB", {}),
        (rgb, "GIF", frames),
        (clear, "GIF", {}),
        (clear.resize((32, 32)), "ICO", {"sizes": [(32, 32)]}),
        (clear.resize((32, 32)), "ICO", {"sizes": [(32, 32)], "bitmap_format": "bmp"}),
        (rgb, "IM", {}),
        (deep, "IM", {}),
        (rgb, "JPEG", jpeg),
        (grey, "JPEG", {}),
        (rgb.convert("CMYK"), "JPEG", {}),
        (rgb, "JPEG", {"progressive": True}),
        (clear, "JPEG2000", {}),
        (deep, "JPEG2000", {}),
        (rgb, "JPEG2000", {"no_jp2": True, "irreversible": True}),
        (rgb, "MPO", {**frames, "exif": exif}),
        (rgb.convert("1"), "MSP", {}),
        (rgb, "PCX", {}),
        (palette, "PCX", {}),
        (rgb, "PNG", {"exif": exif}),
        (clear, "PNG", clear_frames),
        (palette, "PNG", {"transparency": bytes(range(0, 240, 16))}),
        (deep, "PNG", {}),
        (rgb, "PPM", {}),
        (deep, "PPM", {}),
        (rgb.convert("1"), "PPM", {}),
        (grey.convert("F").point(lambda value: value / 255), "PPM", {}),
        (clear, "QOI", {}),
        (rgb, "SGI", {}),
        (grey, "SGI", {"bpc": 2}),
        (grey.convert("F").point(lambda value: value / 255), "SPIDER", {}),
        (clear, "TGA", {"compression": "tga_rle"}),
        (palette, "TGA", {}),
        (rgb, "TIFF", {"exif": exif}),
        (clear, "TIFF", {"compression": "tiff_lzw"}),
        (rgb, "TIFF", {"compression": "jpeg"}),
        (rgb, "TIFF", {"compression": "tiff_adobe_deflate", **frames}),
        (rgb.convert("1"), "TIFF", {"compression": "group4"}),
        (deep, "TIFF", {"compression": "packbits"}),
        (rgb.convert("CMYK"), "TIFF", {}),
        (rgb, "WEBP", {"exif": exif}),
        (clear, "WEBP", {**clear_frames, "lossless": True}),
        (rgb.convert("1"), "XBM", {}),
    ):
        yield format, encoded(picture, format, **options)


def _by_hand(rgb):
    height, width, _ = PIXELS.shape
    grey = np.asarray(rgb.convert("L")).tobytes()
    plain = f"{width} {height}\n"
    values = PIXELS[:, :, 0]
    yield "PPM", f"P3\n{plain}255\n{' '.join(map(str, PIXELS.ravel()))}\n".encode()
    yield "PPM", f"P2\n{plain}1023\n{' '.join(map(str, values.ravel()))}\n".encode()
    yield "TIFF", tiff(values.astype(">u2") * 257)
    yield "TIFF", tiff((values / 255).astype("<f4"))
    yield "TIFF", tiff((values / 255).astype(">f4"), orientation=8)

    icon = encoded(rgb.resize((32, 32)), "PNG")
    icon = struct.pack(">4sI", b"icp5", 8 + len(icon)) + icon
    yield "ICNS", struct.pack(">4sI", b"icns", 8 + len(icon)) + icon
    cursor = bytearray(encoded(rgb.resize((32, 32)), "ICO", sizes=[(32, 32)], bitmap_format="bmp"))
    cursor[2] = 2
    yield "CUR", bytes(cursor)
    page = encoded(rgb, "PCX")
    yield "DCX", struct.pack("<IIII", 0x3ADE68B1, 16, 16 + len(page), 0) + page + page

    cards = [
        "SIMPLE  =                    T",
        "BITPIX  =                    8",
        "NAXIS   =                    2",
        f"NAXIS1  = {width:20}",
        f"NAXIS2  = {height:20}",
        "END",
    ]
    yield "FITS", "".join(f"{card:80}" for card in cards).ljust(2880).encode() + grey.ljust(2880)

    # One frame of a full copy (chunk 16), after a palette of 256 colours (chunk 4).
    colours = struct.pack("<IHHBB", 6 + 4 + 768, 4, 1, 0, 0) + bytes(range(256)) * 3
    copy = struct.pack("<IH", 6 + len(grey), 16) + grey
    frame = struct.pack("<IHH", 16 + len(colours) + len(copy), 0xF1FA, 2) + bytes(8)
    header = struct.pack("<IHHHHHHI", 0, 0xAF12, 1, width, height, 8, 3, 50).ljust(128, b"\0")
    yield "FLI", header + frame + colours + copy

    dxt1 = encoded(rgb.convert("RGBA"), "DDS", pixel_format="DXT1")[128:]
    for kind, data in ((0, dxt1), (1, PIXELS.tobytes())):
        head = struct.pack("<4siiiiiii", b"FTEX", 1, width, height, 1, 1, kind, 32)
        yield "FTEX", head + struct.pack("<i", len(data)) + data
    brush = struct.pack(">IIIII4sI", 34, 2, width, height, 1, b"GIMP", 10)
    yield "GBR", brush + b"brush\0" + grey
    yield "IMT", f"width {width}\nheight {height}\npixel n8\n".encode() + b"\x0c" + grey
    area = [0] * 64
    area[1], area[8], area[9], area[10], area[13], area[33] = 4, height, width, 1, 1, 256
    yield "MCIDAS", struct.pack(">64i", *area) + grey
    yield "PCD", (bytes(2048) + b"PCD_").ljust(96 * 2048, b"\0") + bytes(768 * 512 * 3 // 2)
    pixar = bytearray(b"\x80\xe8\0\0".ljust(1024, b"\0"))
    struct.pack_into("<HHIHH", pixar, 416, height, width, 0, 14, 2)
    yield "PIXAR", bytes(pixar) + PIXELS.tobytes()
    photoshop = struct.pack(">4sH6xHIIHH", b"8BPS", 1, 3, height, width, 8, 3)
    yield "PSD", photoshop + bytes(12) + bytes(2) + PIXELS.transpose(2, 0, 1).tobytes()
    sun = struct.pack(">8I", 0x59A66A95, width, height, 24, PIXELS.size, 1, 0, 0)
    yield "SUN", sun + PIXELS.tobytes()
    packed = struct.pack(">8I", 0x59A66A95, width, height, 8, 0, 2, 0, 0)
    yield "SUN", packed + b"\x80\xff\x30" * (width * height // 256)
    rows = ",\n".join(f'"{"ab" * (width // 2)}"' for _ in range(height))
    picture = f'"{width} {height} 2 1",\n"a c #ff8000",\n"b c None",\n{rows}'
    yield "XPM", f"/* XPM */\nstatic char *a[] = {{\n{picture}\n}};\n".encode()
    yield "XVThumb", f"P7 332\n#BUILTIN:UNKNOWN\n{width} {height} 255\n".encode() + grey
