"""Damaged pictures in thousands: `python -m tests.model.data.picture_fuzz --files N`.

Every file is one of `picture_seeds` with a few changes that a number decides. Each must become an
array or one short line with the file's name, in seconds, with nothing else on stderr, in a
process whose memory is bounded. Prints what was found as JSON; a decoder that takes the process
down leaves the number of the file, in the file that --at names.
"""

import argparse
import json
import os
import random
import re
import resource
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from model.common.errors import UserError
from model.data.pictures import read_picture
from tests.model.data.picture_seeds import seeds

__all__ = ["damaged"]

_MEMORY = 4 << 30  # bytes of address space
_LONGEST_LINE = 300  # characters, besides the name
_SLOW = 20.0  # seconds of the processor: the largest pictures take about half of it
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_NOTE = re.compile(r"note: picture \S+ has \d+ frames: the first one is taken")


def damaged(number: int, files: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """(format, file) number so and so; each seed has its turn."""
    rng = random.Random(number)
    format, whole = files[number % len(files)]
    data = bytearray(whole)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change(rng, data, files)
    if format == "PNG" and rng.random() < 0.7:
        _mend_checks(data)
    return format, bytes(data)


def _change(rng, data, files):
    # Headers decide most: half of the changes are among the first bytes.
    end = len(data) if rng.random() < 0.5 else min(len(data), 128)
    at = rng.randrange(end + 1)
    kind = rng.choice(("flip", "bytes", "number", "cut", "splice", "drop", "double"))
    size = 1 << rng.randrange(7)
    if kind == "flip" and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "bytes":
        data[at : at + size] = rng.randbytes(size)
    elif kind == "number":
        number = rng.choice(_EXTREMES) + rng.randrange(-1, 2)
        width = rng.choice((1, 2, 4))
        order = rng.choice(("little", "big"))
        data[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, order)
    elif kind == "cut":
        del data[rng.randrange(len(data) + 1) :]
    elif kind == "splice":
        other = rng.choice(files)[1]
        start = rng.randrange(len(other))
        data[at : at + size] = other[start : start + size]
    elif kind == "drop":
        del data[at : at + size]
    elif kind == "double":
        data[at:at] = data[at : at + size]


def _mend_checks(data):
    """Right checksums, without which a PNG decoder looks at nothing else."""
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            return
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4


def _try(path: Path) -> tuple[bool, str]:
    """Whether the picture was read; what is wrong with the way that it was or was not."""
    try:
        pixels = read_picture(path, input_shape=(32, 32, 3))
    except UserError as error:
        text = str(error)
        named = text.startswith(f"Cannot read picture {path}: ") and "\n" not in text
        if not named or len(text) > len(str(path)) + _LONGEST_LINE or not text.isprintable():
            return False, f"message: {text!r}"
        return False, ""
    except BaseException:
        return False, traceback.format_exc()
    if pixels.shape != (32, 32, 3) or pixels.dtype != np.uint8:
        return True, f"shape {pixels.shape}"
    return True, ""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--files", type=int, required=True)
    parser.add_argument("--at", type=Path, required=True)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    files = seeds()
    read, refused, wrong, slowest = Counter(), Counter(), [], (0.0, -1)
    # Files that are emptied and written anew are flushed to the disk each time: none is.
    with (
        tempfile.TemporaryDirectory() as folder,
        open(f"{folder}/stderr", "w+b") as said,
        open(f"{folder}/damaged", "wb", buffering=0) as file,
        options.at.open("wb", buffering=0) as at,
    ):
        os.dup2(said.fileno(), 2)  # decoders in C print there too
        path = Path(file.name)
        for number in range(options.first, options.first + options.files):
            at.seek(0)
            at.write(b"%9d" % number)
            format, data = damaged(number, files)
            file.seek(0)
            file.write(data)
            file.truncate()
            started = time.process_time()
            could, problem = _try(path)
            seconds = time.process_time() - started
            (read if could else refused)[format] += 1
            slowest = max(slowest, (seconds, number))
            if seconds > _SLOW:
                problem += f"took {seconds:.1f} s"
            sys.stderr.flush()
            said.seek(0)
            lines = said.read().decode("utf-8", "replace").splitlines()
            if lines:
                said.seek(0)
                said.truncate()
            problem += "".join(f"stderr: {line}\n" for line in lines if not _NOTE.fullmatch(line))
            if problem:
                wrong.append([number, format, problem])
    found = {
        "read": read,
        "refused": refused,
        "wrong": wrong,
        "slowest": slowest,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
