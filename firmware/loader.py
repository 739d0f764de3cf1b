"""openFPGALoader: an image goes into a board's flash, and what proves that it is there.

The exit status proves nothing: with version 1.1.1 a failed verification of an iCE40 board exits
with 0. So a write counts as done if the loader says in its own words that it verified it, or if
the flash, read back, is equal to the image. Any word of failure counts as a failure.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from firmware.loader_words import (
    NAME,
    Scan,
    decisive,
    explain,
    explain_flash,
    explain_start,
    failures,
    read_scan,
    verified,
)
from firmware.usb import Chip
from hw.boards import Board
from hw.flow.tools import Toolchain
from model.common.errors import UserError

__all__ = ["Evidence", "Loader"]

_TOOL = "openfpgaloader"
_SECONDS = 20  # for its version, and for a list of what is on USB: each takes less than one


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What proves that the flash holds an image.

    ``by`` is "loader" (its own verification), "read-back" (compared here), or None: nothing does,
    and ``text`` says why.
    """

    by: str | None
    text: str


class Loader:
    """openFPGALoader, for one kind of board.

    Parameters
    ----------
    board : Board
        Whose USB chip and flash.
    tools : Toolchain
        That finds and runs the program.
    """

    def __init__(self, board: Board, tools: Toolchain):
        self._board, self._tools = board, tools

    def check(self) -> None:
        """Raise `UserError`, with what to install, if the program is missing or cannot start."""
        status, text = self._ask("--Version")
        if reason := explain_start(text):
            raise UserError(reason)
        if status is None or status < 0 or status in (126, 127):
            raise UserError(f"{NAME} does not run: {_ended(status)}: {text or 'it says nothing'}")

    def scan(self) -> Scan | None:
        """What is on USB, as the loader sees it; None if it cannot list that."""
        status, text = self._ask("--scan-usb")
        return read_scan(text, self._board) if status == 0 else None

    def write(self, image: bytes, *, chip: Chip | None, logs: Path) -> Evidence:
        """Write an image to the flash from its start, and find out whether it is there.

        `chip` is the board's; None: the loader takes the first one. What the loader says is in the
        files flash.log and flash-read.log of the folder `logs`.

        Raises `UserError` where writing failed: status 2 if the board was not reached, else 1.
        """
        log = logs / "flash.log"
        with tempfile.TemporaryDirectory(prefix="dham-flash-") as directory:
            # A name of our own: the loader takes a file's kind from its ending.
            file = Path(directory, "flash.bin")
            file.write_bytes(image)
            self._run(["-f", "--verify", file], chip, log)
            text = log.read_text("utf-8", "replace").partition("\n")[2]
            said, equal = failures(text), verified(text)
            # Some loaders exit with 0 all the same.
            if said and (reason := explain(text, self._board)):
                raise UserError(f"{reason} (log: {log})")
            if said and (not equal or decisive(said)):
                raise _not_flashed(said, text, log)
            if equal and not said:
                return Evidence(by="loader", text=f"{NAME} read it back and found it equal")
            # It says nothing of a verification, or complains of something else: compared here.
            return self._read_back(image, Path(directory, "read.bin"), chip, logs)

    def _read_back(self, image: bytes, file: Path, chip: Chip | None, logs: Path) -> Evidence:
        log = logs / "flash-read.log"
        try:
            self._run(["--dump-flash", "--file-size", str(len(image)), file], chip, log)
            found = file.read_bytes()
        except (UserError, OSError):
            found = b""
        if len(found) != len(image):
            told = f"gave {len(found):,} of {len(image):,} bytes" if found else "gave nothing"
            return Evidence(
                by=None,
                text=f"{NAME} does not say that it verified the flash, and reading it back {told} "
                f"(logs: {logs / 'flash.log'}, {log})",
            )
        if found == image:
            return Evidence(by="read-back", text="read back and compared, byte for byte")
        at = next(index for index, byte in enumerate(image) if found[index] != byte)
        wrong = sum(one != other for one, other in zip(found, image, strict=True))
        if not found.strip(b"\xff"):
            state = "it is erased, or does not answer: all that was read is FF"
        else:
            state = (
                f"{wrong:,} of {len(image):,} bytes differ, the first at {at:#x} ({found[at]:02x} "
                f"instead of {image[at]:02x})"
            )
        raise UserError(
            f"The board is not flashed: read back, the flash does not hold the image: {state}; is "
            f"it write-protected or locked, or its wiring bad? log: {log}",
            status=1,
        )

    def _run(self, arguments: list[str | Path], chip: Chip | None, log: Path) -> None:
        # Not --ftdi-serial: version 1.1.1 takes that option and ignores it for iCE40 boards.
        place = ["--busdev-num", chip.place] if chip is not None and chip.place else []
        log.unlink(missing_ok=True)  # an earlier one explains nothing
        try:
            self._tools.run(_TOOL, [*self._board.usb_chip().loader, *place, *arguments], log=log)
        except UserError as error:
            if not log.is_file():
                raise
            text = log.read_text("utf-8", "replace")
            if reason := explain(text, self._board):
                raise UserError(f"{reason} (log: {log})") from error
            if (said := failures(text)) and explain_flash(text):
                raise _not_flashed(said, text, log) from error
            raise UserError(f"{error}; the flash may be written in part: flash anew") from error

    def _ask(self, option: str) -> tuple[int | None, str]:
        """Exit status (None: it did not start or end) and output of the loader with one option."""
        program = self._tools.find(_TOOL)
        try:
            done = subprocess.run(
                [program, option],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return None, str(error)
        return done.returncode, done.stdout.decode("utf-8", "replace").strip()


def _ended(status: int | None) -> str:
    if status is None:
        return "it did not start or did not end"
    return f"killed by signal {-status}" if status < 0 else f"status {status}"


def _not_flashed(said: list[str], text: str, log: Path) -> UserError:
    what = explain_flash(text) or "the flash may hold neither the old nor the new image"
    return UserError(
        f"The board is not flashed: {NAME} says {' | '.join(said[:3])!r}: {what}; log: {log}",
        status=1,
    )
