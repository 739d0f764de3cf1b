"""`python -m firmware flash`: builds what is missing, packs one image, writes it to a board."""

import json
import re
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from firmware import compile as compiler
from firmware.drawings import drawings
from firmware.flash_image import FlashImage, make_flash_image
from firmware.pictures import STANDARD_INPUT, find_pictures, read_picture
from firmware.ports import MEND_USB
from hw.boards import BOARDS, Board, find_board
from hw.build import build, prepare
from hw.regmap import REGISTER_MAP
from hw.staging import Stages, Staging
from hw.tools import Toolchain
from model import zoo
from model.errors import UserError
from model.files import check_output, write
from model.network import Network, load
from model.terminal import console

__all__ = ["bitstream", "explain_cable", "make_image", "run", "simulated_image", "write_to_board"]

_CABLE_BOARDS = {"icebreaker": "ice40_generic"}  # as openFPGALoader calls them

_CABLE_FAILURES = (
    (
        r"error while loading shared libraries: (\S+?):",
        "openFPGALoader needs the system's {0}: run `sudo apt install libusb-1.0-0 libftdi1-2 "
        "libhidapi-libusb0`",
    ),
    (
        r"unable to open ftdi device: -3\b|device not found",
        "No board found on USB: plug it in; or stop before the cable with --image-only",
    ),
    (
        r"unable to open ftdi device: -4\b|LIBUSB_ERROR_ACCESS",
        f"No permission for the board's USB chip: {MEND_USB}",
    ),
    (
        r"unable to open ftdi device: -[56]\b|LIBUSB_ERROR_BUSY",
        "The board's USB chip is in use by another program: end it first",
    ),
)
"""What openFPGALoader (libftdi's ftdi_usb_open_desc_index) prints, and what it means."""


def run(options: Namespace) -> int:
    """Build what is missing, write the flash image, and the flash unless `--image-only`."""
    board = find_board(options.board)
    network_path = zoo.find(options.network)
    network = load(network_path)
    folder = Path("build") / board.name
    if options.output is None:
        folder.mkdir(parents=True, exist_ok=True)
    output = check_output(options.output or folder / "flash.bin", "--output", keep=network_path)
    paths = find_pictures(options.demo)
    if STANDARD_INPUT in paths:
        raise UserError("--images takes files and folders, not standard input")
    demo = [read_picture(path, input_shape=network.input_shape) for path in paths]
    stages = Stages(console(stderr=True))
    tools = Toolchain(native=options.native_tools, progress=stages.note)
    if not options.image_only:
        tools.find("openfpgaloader")  # a missing tool is said now, not after minutes of work
    configuration = bitstream(board, folder, options.network, stages, tools)
    image = make_image(board, network, configuration, demo, stages)
    write(output, image.bytes)
    if not options.image_only:
        with stages("flash", f"Writing the flash of the {board.title}"):
            write_to_board(board, output, tools)
    described = {
        "board": board.name,
        "network": image.network_name,
        "sha256": image.network_sha256,
        "image": str(output),
        "bytes": len(image.bytes),
        "parts": [asdict(part) for part in image.parts],
        "demo_images": len(image.demo_images),
        "why_not": image.why_not,
        "flashed": not options.image_only,
    }
    if options.json:
        print(json.dumps(described, indent=2))
    else:
        _tell(described)
    return 0


def bitstream(
    board: Board, folder: Path, network: str | None, stages: Stages, tools: Toolchain
) -> bytes:
    """The board's bitstream: that of the last build if it is of this version, else of a new one."""
    if _is_current(board, folder):
        return (folder / "top.bin").read_bytes()
    with stages("plan", "No bitstream of this version yet: planning one"):
        job = prepare(board, network, None, None, 1)
    for name in ("yosys", "nextpnr-ice40", "icepack"):
        tools.find(name)
    tools.environment()
    with Staging(folder) as staging:
        build(job, staging, stages, tools, skip_verification=False)
    return (folder / "top.bin").read_bytes()


def _is_current(board: Board, folder: Path) -> bool:
    """Whether the folder holds a build of this register map, capability and clock."""
    try:
        report = json.loads((folder / "report.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False
    expected = {
        "map_version": REGISTER_MAP.version,
        "capability": asdict(board.capability),
        "clock_mhz": board.default_clock_mhz,
    }
    found = {name: report.get(name) for name in expected} if isinstance(report, dict) else {}
    return found == expected and (folder / "top.bin").is_file()


def make_image(
    board: Board,
    network: Network,
    configuration: bytes | None,
    demo: Sequence[bytes],
    stages: Stages,
) -> FlashImage:
    """The flash image of a network; without `configuration`, the bitstream, for a simulation."""
    with (
        stages("firmware", "Compiling the firmware") as stage,
        tempfile.TemporaryDirectory() as directory,
    ):
        firmware = compiler.build(board.capability, Path(directory))
        stage.result = firmware.summary
    with stages("image", "Packing the flash image"):
        return make_flash_image(
            bitstream=configuration,
            copy=firmware.copy,
            network=network,
            capability=board.capability,
            demo=demo or drawings(network),
        )


def simulated_image(network_name: str | None) -> Path:
    """The flash image that `--port sim` takes where the user names none.

    That of the last `flash`; without one, an image with no bitstream, made now and kept.
    """
    board = next(iter(BOARDS.values()))
    folder = Path("build") / board.name
    for name in ("flash.bin", "simulated.bin"):
        if (folder / name).is_file():
            return folder / name
    network = load(zoo.find(network_name))
    folder.mkdir(parents=True, exist_ok=True)
    stages = Stages(console(stderr=True))
    write(folder / "simulated.bin", make_image(board, network, None, (), stages).bytes)
    return folder / "simulated.bin"


def write_to_board(board: Board, image: Path, tools: Toolchain) -> None:
    """Write a file to the board's flash from its start, and compare; the board then starts.

    Raises `UserError` that says what would help, with the log's path.
    """
    log = image.with_suffix(".log")
    arguments: list[str | Path] = ["-b", _CABLE_BOARDS[board.name], "-f", "--verify", image]
    try:
        tools.run("openfpgaloader", arguments, log=log)
    except UserError as error:
        if not log.is_file():
            raise
        reason = explain_cable(log.read_text("utf-8", "replace"))
        raise UserError(f"{reason} (log: {log})" if reason else str(error)) from error


def explain_cable(text: str) -> str | None:
    """What openFPGALoader's output says that a user can mend; None if it is something else."""
    for pattern, meaning in _CABLE_FAILURES:
        if found := re.search(pattern, text):
            return meaning.format(*found.groups()) if found.groups() else meaning
    return None


def _tell(described: dict[str, Any]) -> None:
    print(
        f"Flash image: {described['image']}, {described['bytes']:,} bytes, network "
        f"{described['network']}, {described['demo_images']} demo images"
    )
    if described["why_not"]:
        print(f"This network cannot learn on the device: {described['why_not']}")
    if described["flashed"]:
        print("The board is flashed and starts; now: python -m firmware classify IMAGE...")
    else:
        print(f"Now: python -m firmware --port sim --flash {described['image']} classify IMAGE...")
