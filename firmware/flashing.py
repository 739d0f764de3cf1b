"""`python -m firmware flash`: builds what is missing, packs one image, writes it to a board."""

import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from firmware import compile as compiler
from firmware import recent, usb
from firmware.drawings import drawings
from firmware.flash_image import FlashImage, make_flash_image
from firmware.flash_summary import tell
from firmware.link import LinkError, NoAnswer
from firmware.loader import Evidence, Loader
from firmware.ports import connect
from hw.boards import BOARDS, DEFAULT_BOARD, Board, find_board
from hw.compile.plan import Plan
from hw.families import find_family
from hw.flow.build import build, find_tools
from hw.flow.job import prepare
from hw.flow.report import REPORT_VERSION
from hw.flow.staging import Stages, Staging
from hw.flow.steps import design_sha256
from hw.flow.tools import Toolchain
from model import zoo
from model.common.errors import UserError
from model.common.files import check_output, write
from model.common.terminal import console
from model.data.picture_files import STANDARD_INPUT, find_pictures, shown
from model.data.pictures import PictureOptions, read_picture
from model.network import Network, load
from sim.of_build import verify

__all__ = [
    "ask_board",
    "bitstream",
    "find_chip",
    "flash",
    "make_image",
    "run",
    "simulated_image",
]


def run(options: Namespace) -> int:
    """Build what is missing, write the flash image, and the flash unless `--image-only`."""
    options.board = options.board or DEFAULT_BOARD.name
    board = find_board(options.board)
    if not options.image_only:
        board.usb_chip()  # or no program writes its flash
    baud = board.baud(board.clock_hz(board.default_clock_mhz), options.baud)
    network_path = zoo.find(options.network or board.network)
    network = load(network_path)
    folder = Path("build") / board.name
    if options.output is None:
        folder.mkdir(parents=True, exist_ok=True)
    output = check_output(options.output or folder / "flash.bin", "--output", keep=network_path)
    how = PictureOptions.of(options)
    ours = [_kept(board, folder), *(folder / name for name in _OURS)]
    if output.resolve() in [path.resolve() for path in ours]:
        raise UserError(f"--output {output} is a file of the build: give another name")
    paths = find_pictures(options.demo, recursive=how.recursive)
    if STANDARD_INPUT in paths:
        raise UserError("--images takes files and folders, not standard input")
    shape = network.input_shape
    demo = [read_picture(path, input_shape=shape, options=how).tobytes() for path in paths]
    stages = Stages(console(stderr=True))
    tools = Toolchain(native=options.native_tools, progress=stages.note)
    loader = None if options.image_only else Loader(board, tools)
    if loader is not None:
        # What is missing, or may be somebody else's board, is said now, not after minutes of work.
        loader.check()
        find_chip(board, loader, options)
    configuration, plan = bitstream(board, folder, options.network, stages, tools, baud=baud)
    if plan is not None and plan.network.sha256 != network.sha256:
        plan = None  # the file was changed meanwhile
    image = make_image(board, network, configuration, demo, stages, plan)
    write(output, image.bytes)
    own = None if BOARDS.get(board.name) is board else Path(options.board)
    recent.remember(output, image.bytes, board, own)
    described: dict[str, Any] = {
        "board": board.name,
        "baud": baud,
        "network": image.network_name,
        "sha256": image.network_sha256,
        "image": shown(output),
        "bytes": len(image.bytes),
        "parts": [asdict(part) for part in image.parts],
        "demo_images": len(image.demo_images),
        "why_not": image.why_not,
        "report": str(folder / "report.html"),
        "flashed": False,
        "proof": None,
    }
    if loader is not None:
        described |= flash(board, image, baud, loader, options, stages)
    if options.json:
        print(json.dumps(described, indent=2))
    else:
        tell(board, described, _read_report(folder), image.plan, options)
    if loader is not None and not described["flashed"]:
        raise UserError(f"Written, but not proven: {described['proof']['text']}", status=1)
    return 0


_OURS = ("report.json", "report.html", "flash.log", "flash-read.log")
"""Files of the output folder that a flash image must not be written over, beside the bitstream."""


def _kept(board: Board, folder: Path) -> Path:
    """The bitstream in the output folder of a build."""
    return folder / find_family(board.family).flow.bitstream


def find_chip(board: Board, loader: Loader, options: Namespace) -> usb.Chip | None:
    """The USB chip of the board to flash; None if USB cannot be listed: then the loader finds it.

    Raises `UserError` if there is none, if several may be meant, or if it may not be opened.
    """
    port = None if options.port == "auto" else options.port
    if port is not None and (port == "sim" or "://" in port):
        raise UserError(
            f"flash writes over USB, not to {port}: leave --port out, name the board's serial "
            "port, or stop before the cable with --image-only"
        )
    chips, scan = usb.find_chips(board), loader.scan()
    try:
        chip = usb.choose(
            usb.merge(chips, scan.chips if scan else ()),
            board,
            port=port,
            serial=options.serial,
            write=True,
        )
    except LinkError as error:
        if scan is not None and scan.denied:
            raise UserError(f"{error} ({scan.denied} more may not be opened: {scan.why})") from None
        raise
    if scan is None:
        if chip is not None and not chip.place and len(chips) > 1:
            raise UserError(
                f"Nothing tells where on USB the board {chip} is, and there are {len(chips)}: "
                "unplug the others"
            )
        return chip
    if chip is None and scan.denied:
        raise UserError(scan.why)
    if chip is None:
        raise UserError(
            f"No {board.title} found on USB: plug it in; or stop before the cable with --image-only"
        )
    if not chip.seen:
        raise UserError(
            f"The board {chip} is not among those that openFPGALoader sees on USB"
            + (f": {scan.why}" if scan.denied else ": does its first interface have a driver?")
        )
    return chip


def flash(
    board: Board,
    image: FlashImage,
    baud: int,
    loader: Loader,
    options: Namespace,
    stages: Stages,
) -> dict[str, Any]:
    """Write an image to the board that is meant, and find out what proves it: for the report.

    Raises `UserError` if it was not written, or if the flash or the board say otherwise.
    """
    logs = Path("build") / board.name
    logs.mkdir(parents=True, exist_ok=True)
    if not board.usb_chip().documented:
        words = " ".join(board.usb_chip().loader)
        stages.note(
            f"warning: nobody has tried openFPGALoader {words} on a {board.title} yet; please tell "
            "us how it went"
        )
    with stages("flash", f"Writing the flash of the {board.title}"):
        chip = find_chip(board, loader, options)  # anew: it may have been plugged in elsewhere
        try:
            evidence = loader.write(image.bytes, chip=chip, logs=logs)
        except KeyboardInterrupt:
            print("warning: the flash may be written in part: flash anew", file=sys.stderr)
            raise
    port = None if chip is None else usb.serial_port(chip, board)
    if port is None:
        answer = Evidence(by=None, text="the board was not asked: its serial port is not known")
    else:
        with stages("board", f"Asking the board at {port}"):
            answer = ask_board(board, image, port, baud)
    if evidence.by is None and answer.by is None:
        evidence = Evidence(by=None, text=f"{evidence.text}; {answer.text}")
    elif evidence.by is None:
        evidence = answer
    return {
        "flashed": evidence.by is not None,
        "proof": {"by": evidence.by, "text": evidence.text, "board": answer.text},
        "usb": None if chip is None else {"serial": chip.serial, "place": chip.place, "port": port},
    }


def ask_board(board: Board, image: FlashImage, port: str, baud: int) -> Evidence:
    """What the board itself says after its start: its network's hash, and its self-test.

    No evidence (``by`` is None) if it cannot be asked. Raises `UserError`, status 1, if it does not
    answer, or is not what was flashed.
    """
    try:
        with connect(port, board=board, baud=baud) as device:
            device.require_network(image.network_sha256, image.network_name)
            device.require_ready()
            test = device.self_test()
    except NoAnswer as error:
        raise UserError(f"Written, but the board does not start: {error}", status=1) from error
    except LinkError as error:
        return Evidence(by=None, text=f"the board was not asked: {error}")
    except UserError as error:
        raise UserError(f"Written, but the board is not as flashed: {error}", status=1) from error
    if not test.passed:
        raise UserError(
            f"Written, but the board fails its self-test: {test.equal} of {test.vectors} golden "
            "vectors are equal: the board or its clock is at fault",
            status=1,
        )
    return Evidence(
        by="board",
        text=f"at {port} the board says that it runs {image.network_name}, and its self-test "
        f"passes ({test.vectors} golden vectors)",
    )


def bitstream(
    board: Board,
    folder: Path,
    network: str | None,
    stages: Stages,
    tools: Toolchain,
    *,
    baud: int | None = None,
) -> tuple[bytes, Plan | None]:
    """The board's bitstream: that of the last build if it is of this version, else of a new one.

    Beside it the network's plan, if one was made for a build. `baud` is the rate of its serial
    line; None: the fastest.
    """
    baud = board.baud(board.clock_hz(board.default_clock_mhz), baud)
    if _is_current(board, folder, baud):
        return _kept(board, folder).read_bytes(), None
    with stages("plan", "No bitstream of this version yet: planning one"):
        job = prepare(board, network, None, None, 1, baud)
    find_tools(board, tools)
    with Staging(folder) as staging:
        build(job, staging, stages, tools, verify)
    return _kept(board, folder).read_bytes(), job.plan


def _is_current(board: Board, folder: Path, baud: int) -> bool:
    """Whether the folder holds a build of this very design: of this version, capability, clock and
    rate, whatever numbers may have been left as they were."""
    found = _read_report(folder).get("design_sha256")
    if found is None or not _kept(board, folder).is_file():
        return False
    top = board.make_top(board.capability, board.default_clock_mhz, baud)
    return found == design_sha256(board, top)


def _read_report(folder: Path) -> dict[str, Any]:
    """The report of the build in a folder; empty if there is none, or none of this version."""
    try:
        report = json.loads((folder / "report.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(report, dict) or report.get("report_version") != REPORT_VERSION:
        return {}
    return report


def make_image(
    board: Board,
    network: Network,
    configuration: bytes | None,
    demo: Sequence[bytes],
    stages: Stages,
    own: Plan | None = None,
) -> FlashImage:
    """The flash image of a network; without `configuration`, the bitstream, for a simulation.

    `own` is the network's plan, where it is made already.
    """
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
            own=own,
        )


def simulated_image(network_name: str | None, board: Board) -> Path:
    """The flash image that `--port sim` takes where the user names none (`firmware.recent`)."""

    def make(board: Board, network: Network) -> FlashImage:
        return make_image(board, network, None, (), Stages(console(stderr=True)))

    return recent.simulated_image(network_name, board, make)
