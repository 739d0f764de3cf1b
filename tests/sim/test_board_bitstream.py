"""The simulated flash after configuration: asleep where the bitstream in it says so."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sim.board
from tests.bitstreams import bitstream, packed

SOURCES = Path(sim.board.__file__).parent


@pytest.fixture(scope="module")
def asleep(tmp_path_factory):
    """Whether each of these contents of a flash leaves it asleep."""
    compiler = shutil.which("g++")
    assert compiler, "g++ must be installed"
    folder = tmp_path_factory.mktemp("bitstream")
    program = folder / "bitstream_asleep"
    subprocess.run(
        [compiler, "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=undefined",
         "-fno-sanitize-recover", "-D_GLIBCXX_ASSERTIONS", f"-I{SOURCES}",
         str(Path(__file__).parent / "bitstream_asleep.cpp"), str(SOURCES / "bitstream.cpp"),
         "-o", str(program)],
        check=True,
    )  # fmt: skip

    def run(*contents):
        files = [folder / f"{number}.bin" for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content)
        done = subprocess.run([program, *files], capture_output=True, text=True, check=True)
        return [line == "1" for line in done.stdout.split()]

    return run


def multi(folder, *images):
    """Several images behind a header, as icemulti makes them."""
    names = []
    for number, image in enumerate(images):
        names.append(f"image{number}.bin")
        (folder / names[-1]).write_bytes(image)
    tool = Path(sys.executable).parent / "yowasp-icemulti"
    subprocess.run([tool, "-o", "multi.bin", *names], cwd=folder, check=True, capture_output=True)
    return (folder / "multi.bin").read_bytes()


def test_what_icepack_makes(asleep, tmp_path):
    with_s, without = packed(tmp_path, "-s"), packed(tmp_path)
    assert len(with_s) == len(without) and with_s != without
    rest = random.Random(1).randbytes(5000)
    assert asleep(with_s, without, with_s + rest, without + rest) == [False, True, False, True]
    # Of several images the first one is configured; the header itself leaves nothing asleep.
    assert asleep(multi(tmp_path, with_s, without), multi(tmp_path, without, with_s)) == [
        False, True
    ]  # fmt: skip


def test_by_the_document(asleep):
    tricky = b"\x92\x00\x21\x01\x06".ljust(256, b"\xab")
    assert asleep(bitstream(), bitstream(awake=False)) == [False, True]
    assert asleep(bitstream(awake=False, data=tricky)) == [True]
    assert asleep(bitstream(comment=b""), bitstream(awake=False, comment=b"x" * 1024)) == [
        False, True
    ]  # fmt: skip


def test_without_a_whole_bitstream_it_is_awake(asleep):
    """Nothing configured the chip, and nothing put the flash to sleep."""
    whole = bitstream(awake=False)
    contents = [
        b"", b"\xff" * 100_000, bytes(100_000), bitstream(awake=False, comment=b"x" * 1025),
        *(whole[:size] for size in (5, 14, 15, 20, 31, 100, 300, len(whole) - 2)),
        whole[:13] + b"\x31" + whole[14:],
        bytes.fromhex("7eaa997e44030000000108"),  # boots itself for ever
        bytes.fromhex("7eaa997e4403ffffff0108"),
        bytes.fromhex("7eaa997e64ffffffff74ffffffff0101"),
    ]  # fmt: skip
    assert asleep(*contents) == [False] * len(contents)


def test_anything(asleep):
    """Whatever lies there, the program ends, and reads nothing behind the content."""
    rng = random.Random(3)
    contents = [b"\x7e\xaa\x99\x7e" + rng.randbytes(rng.randrange(3000)) for _ in range(200)]
    contents += [
        bytes(byte ^ (rng.random() < 0.01) << rng.randrange(8) for byte in bitstream(awake=False))
        for _ in range(200)
    ]
    assert len(asleep(*contents)) == 400
