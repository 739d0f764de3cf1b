"""A simulated board that runs: starts the program, asks it, switches its power."""

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from hw import boards
from hw.boards import DEFAULT_BOARD, find_board
from hw.soc.addresses import FLASH_SIZE
from model.common.errors import UserError
from model.common.files import write
from sim.board.model import Program, compile_board

__all__ = ["TIMINGS", "Board", "check_flash", "command_line", "start"]

TIMINGS = ("typical", "maximum", "short")
"""How long the flash is busy: the data sheet's typical or largest times, or short ones."""

_PATIENCE = 60  # seconds for an answer of the program


class Board:
    """A simulated board under power. A context manager: leaving it stops the board.

    Made by `start`. The program ends with this process, however that ends.
    """

    def __init__(self, program: Program, folder: Path, file: Path, options: list[str]):
        self.program = program
        self._folder = folder
        self._file = file
        self._control: socket.socket | None = None
        self._last: dict = {}
        self._content: bytes | None = None  # of the flash, once stopped
        control = folder / "control"
        self._process = subprocess.Popen(
            [program.path, f"--flash={file}", f"--control={control}", "--until-eof", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        if not first.startswith("port: "):
            self._process.wait()
            self._reader.join()
            self._close()
            text = " | ".join(self._lines) or "it says nothing"
            raise UserError(f"The simulated board did not start: {text.removeprefix('error: ')}")
        self.port = first.removeprefix("port: ").strip()
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._control.settimeout(_PATIENCE)
        self._control.connect(str(control))
        self._answers = self._control.makefile("r", encoding="utf-8")

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *exception) -> None:
        self.stop()

    def stop(self) -> int:
        """Stop; returns the exit status: 0, or 1 if there were violations. May be called twice."""
        if self._control is not None:
            with contextlib.suppress(OSError, UserError):
                self.status()
                self.command("stop")
            self._close()
        return self._process.returncode

    @property
    def log(self) -> str:
        """What the program wrote on standard error so far."""
        return "\n".join(self._lines)

    def status(self) -> dict:
        """What the board is doing, as the program tells it (`docs/simulated-board.md`)."""
        if self._control is not None:
            self._last = json.loads(self.command("status"))
        return self._last

    @property
    def violations(self) -> list[str]:
        """What broke the flash's or the UART's rules so far; the first 1000."""
        return self.status()["violations"]

    @property
    def leds(self) -> int:
        """The lights, as in the register LEDS; the red one is also on while not ALIVE."""
        return self.status()["leds"]

    def flash(self) -> bytes:
        """What the flash holds, or held at the stop; bytes behind the last are erased (0xFF)."""
        return self._file.read_bytes() if self._content is None else self._content

    def power_cycle(self, *, flash: bytes | Path | None = None, cut: int | None = None) -> None:
        """Power off, as suddenly as that, and on again; with another content of the flash.

        `cut`: power fails anew after so many steps of programming and erasing, as for `start`.
        """
        self.power_off()
        if flash is not None:
            write(self._file, check_flash(flash))
        number = -1 if cut is None else cut
        self.command(f"power-cycle {number}{'' if flash is None else ' reload'}")

    def power_off(self) -> None:
        """Power off: what the flash is writing is left unfinished."""
        self.command("power-off")

    def cut_after(self, steps: int | None) -> None:
        """From now on: power fails after so many steps; None: it does not."""
        self.command(f"cut {-1 if steps is None else steps}")

    def press(self, number: int) -> None:
        """Press button `number`, from 0, and hold it."""
        self.command(f"button {number} 1")

    def release(self, number: int) -> None:
        """Release button `number`."""
        self.command(f"button {number} 0")

    def set_divisor(self, divisor: float) -> None:
        """Clock cycles of a bit at the host's end of the UART; 0: the right number."""
        self.command(f"divisor {divisor}")

    def command(self, text: str) -> str:
        """Send a command to the program; its answer. Raises `UserError` where it takes none."""
        if self._control is None:
            raise UserError("The simulated board is stopped")
        try:
            self._control.sendall(f"{text}\n".encode())
            answer = self._answers.readline().strip()
        except OSError as error:
            raise UserError(f"The simulated board does not answer: {error}") from error
        if not answer:
            raise UserError("The simulated board has ended: " + " | ".join(self._lines[-3:]))
        if answer.startswith("error: "):
            raise UserError(f"The simulated board: {answer.removeprefix('error: ')}")
        return answer

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.append(line.rstrip("\n"))

    def _close(self) -> None:
        if self._control is not None:
            self._answers.close()
            self._control.close()
            self._control = None
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._content = self._file.read_bytes()
        shutil.rmtree(self._folder, ignore_errors=True)


def start(
    flash: Path | bytes | None = None,
    *,
    board: boards.Board | str = DEFAULT_BOARD,
    clock_mhz: float | None = None,
    threads: int = 1,
    in_place: bool = False,
    timing: str = "typical",
    cut: int | None = None,
    wait: bool = False,
    link: Path | None = None,
    seed: int | None = None,
    edit: Callable[[str], str] | None = None,
    cache: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Board:
    """Compile the simulated board where that is needed, and start it.

    Parameters
    ----------
    flash : Path or bytes
        What its flash holds from address 0; the rest is erased. None: all of it.
    board : hw.boards.Board or str
        Which board, or its name.
    clock_mhz : float
        Its clock; default: the board's own.
    threads : int
        Threads that evaluate the RTL.
    in_place : bool
        What the board writes into its flash goes into the file `flash`. Otherwise into a copy
        that lives as long as this board.
    timing : str
        One of `TIMINGS`.
    cut : int
        Power fails after so many steps of programming and erasing: a programmed byte is one step,
        and so is each 256 bytes of a sector that is erased. The next step is left half done.
    wait : bool
        The clock stands until somebody has opened the port for the first time.
    link : Path
        Becomes a symbolic link to the port.
    seed : int
        Of what memories hold when power comes; None: always another one.
    edit : callable
        Changes the SoC's Verilog before it is compiled: how tests put faults in.
    cache : Path
        Folder of compiled programs.
    progress : callable
        Called with a line of text at each step that takes a while.

    Raises `UserError` for wrong parameters, a missing tool, or a program that does not start.
    """
    if in_place and not isinstance(flash, Path):
        raise UserError("Only a file can be written in place: give the flash as a Path")
    content = check_flash(b"" if flash is None else flash)
    if isinstance(board, str):
        board = find_board(board)
    program = compile_board(
        board, clock_mhz=clock_mhz, threads=threads, edit=edit, cache=cache, progress=progress
    )
    options = command_line(program, timing=timing, cut=cut, wait=wait, link=link)
    folder = Path(tempfile.mkdtemp(prefix="dham-board-"))
    if in_place:
        assert isinstance(flash, Path)
        file = flash.resolve()
    else:
        file = folder / "flash.bin"
        file.write_bytes(content)
    options.append(f"--seed={(secrets.randbelow(1 << 30) if seed is None else seed) + 1}")
    return Board(program, folder, file, options)


def check_flash(flash: Path | bytes) -> bytes:
    """The content of a flash; `UserError` if it cannot be read or is too long."""
    if isinstance(flash, Path):
        try:
            content = flash.read_bytes()
        except OSError as error:
            raise UserError(f"Flash {flash} cannot be read: {error.strerror}") from error
        what = f"Flash {flash}"
    else:
        content, what = flash, "Flash"
    if len(content) > FLASH_SIZE:
        raise UserError(f"{what} has {len(content)} bytes, more than the chip's {FLASH_SIZE}")
    return content


def command_line(
    program: Program,
    *,
    timing: str = "typical",
    cut: int | None = None,
    wait: bool = False,
    link: Path | None = None,
) -> list[str]:
    """Options of the program that `__main__` and `start` share."""
    if timing not in TIMINGS:
        raise UserError(f"Flash timing must be one of {', '.join(TIMINGS)}, not {timing!r}")
    if cut is not None and cut < 0:
        raise UserError(f"Power can fail after 0 steps or more, not {cut}")
    names = ["green", "red", *(f"led{number}" for _, number in program.board.leds[2:])]
    options = [
        f"--clock-hz={program.clock_hz}",
        f"--divisor={program.divisor}",
        f"--threads={program.threads}",
        f"--flash-timing={timing}",
        f"--leds={','.join(names)}",
    ]
    if cut is not None:
        options.append(f"--cut={cut}")
    if wait:
        options.append("--wait")
    if link is not None:
        options.append(f"--link={os.path.abspath(link)}")
    return options
