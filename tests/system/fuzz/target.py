"""Compiles the fuzzing target: the firmware's C code, a model of its hardware, and the checks."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from firmware.compile import SOURCES
from firmware.header import c_header
from hw.soc.accelerator_registers import capability_words
from tests.firmware.device_host import CAPABILITY, Network

__all__ = ["IMAGE_BYTES", "compile_libfuzzer", "compile_standalone", "write_headers"]

IMAGE_BYTES = 48
"""Of the target's network: small, so that inputs are short and many."""

_FLAGS = ("-std=gnu11", "-O1", "-g", "-DHOST_TEST", "-Wall", "-Wextra", "-Werror")
_SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
_TARGET = Path(__file__).parent / "target.c"


class _Network(Network):
    """That of the device's tests, with a smaller image."""

    def __init__(self):
        super().__init__()
        self.image_bytes = IMAGE_BYTES

    def image(self, number):
        return super().image(number)[:IMAGE_BYTES]


def write_headers(folder: Path) -> None:
    """`constants.h` of the firmware; `flash_image.h`: what the target's flash holds."""
    (folder / "constants.h").write_text(c_header(CAPABILITY))
    network = _Network()
    flash = bytes(network.flash())
    capability = ", ".join(f"{word:#x}u" for word in capability_words(CAPABILITY).values())
    names = ", ".join(f'"{name}"' for name in network.names)
    lines = [
        f"#define IMAGE {IMAGE_BYTES}",
        f"#define CLASSES {network.classes}u",
        f"#define FEATURES {network.features}u",
        f"#define VECTORS {network.golden}u",
        f"#define LEARNED_WEIGHTS {network.learned_weights:#x}u",
        f"#define LEARNED_PARAMETERS {network.learned_parameters:#x}u",
        f"#define CAPABILITY {capability}",
        f"static const uint8_t names[][LABEL_BYTES] = {{{names}}};",
        "static const struct { uint32_t address, count; uint8_t bytes[256]; } flash_parts[] = {",
    ]
    for start in range(0, len(flash), 256):
        if part := flash[start : start + 256].rstrip(b"\xff"):
            lines.append(f"{{{start:#x}, {len(part)}, {{{', '.join(map(str, part))}}}}},")
    (folder / "flash_image.h").write_text("\n".join([*lines, "};\n"]))


def _sources():
    return [one for one in sorted(SOURCES.glob("*.c")) if one.name != "start.c"]


def compile_standalone(
    folder: Path, *, edit: dict[str, Callable[[str], str]] | None = None
) -> Path:
    """A program that takes inputs from standard input, with gcc's address and undefined-behaviour
    sanitizers. `edit` changes files of the firmware before."""
    write_headers(folder)
    program = folder / "standalone"
    sources = _sources()
    for name, change in (edit or {}).items():
        changed = folder / name
        changed.write_text(change((SOURCES / name).read_text("utf-8")), "utf-8")
        sources = [changed if one.name == name else one for one in sources]
    subprocess.run(
        ["gcc", *_FLAGS, *_SANITIZERS, "-DSTANDALONE", f"-I{folder}", f"-I{SOURCES}",
         *map(str, sources), str(_TARGET), "-o", str(program)],
        check=True,
    )  # fmt: skip
    return program


def compile_libfuzzer(folder: Path, runtime: Path) -> Path:
    """A libFuzzer program, compiled with zig's clang.

    `runtime` is a shared library of libFuzzer and the sanitizers, which zig does not come with.
    """
    write_headers(folder)
    program = folder / "fuzzer"
    objects = []
    for source in (*_sources(), _TARGET):
        objects.append(str(folder / f"{source.stem}.o"))
        # Coverage is the firmware's alone: the model's only costs time.
        kinds = "undefined" if source == _TARGET else "fuzzer-no-link,undefined"
        subprocess.run(
            # zig knows no -fsanitize=address; its clang does.
            [sys.executable, "-m", "ziglang", "cc", *_FLAGS, f"-fsanitize={kinds}",
             "-fno-sanitize-recover=all", "-Xclang", "-fsanitize=address", f"-I{folder}",
             f"-I{SOURCES}", "-c", str(source), "-o", objects[-1]],
            check=True,
        )  # fmt: skip
    subprocess.run(
        ["gcc", "-no-pie", *objects, str(runtime), f"-Wl,-rpath,{runtime.parent}", "-lm",
         "-lpthread", "-ldl", "-o", str(program)],
        check=True,
    )  # fmt: skip
    return program
