"""The serial port that a board is at: found, opened, tried at its rates; or a simulated board's."""

import errno
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from firmware import usb
from firmware.client import Device
from firmware.link import TRIES, Link, LinkError, NoAnswer
from hw.boards import DEFAULT_BOARD, Board
from model.common.errors import UserError
from model.common.files import locked
from model.common.invocation import command
from model.common.places import state_folder

__all__ = ["connect", "find_port", "listen", "open_link", "open_serial", "rates"]

_READ_SECONDS = 0.02  # how long a read waits for a first byte
_WRITE_SECONDS = 10.0
_PROBE_SECONDS = 0.3  # for an answer at a rate that is only tried

SIMULATED_SLOWNESS = 200.0
"""How much slower than a board a simulated one may be, for time-outs: 180,000 cycles a second."""

_BUSY_SECONDS = 120.0  # to wait for others at the same simulated flash, which may compile it, too
_STARTING_SLOWNESS, _STARTING_TRIES = 20.0, 15


def rates(board: Board) -> list[int]:
    """Rates to try: that of the board's own clock first, then the others, the fastest first."""
    usual = board.baud(board.clock_hz(board.default_clock_mhz))
    return [usual, *(baud for baud in board.bauds if baud != usual)]


def find_port(
    port: str = "auto", serial: str | None = None, *, board: Board = DEFAULT_BOARD
) -> str:
    """The serial port of the board that is meant: `auto`, or a port that the user named.

    Of a board on USB that is the UART's interface of its USB chip. With `serial`, the serial number
    of that chip, a port that is named must be the chip's.

    Raises `LinkError` if there is none, or more than one, or if the board's serial line is not at a
    USB chip of its own.
    """
    if port != "auto" and serial is None:
        return port
    if port == "sim":
        raise LinkError("--serial names a board on USB, --port sim is none: leave one of them out")
    if board.usb is None or board.usb.uart is None:
        raise LinkError(_no_usb_line(board))
    chips = usb.find_chips(board)
    named = None if port == "auto" else port
    chip = usb.choose(chips, board, port=named, serial=serial, write=False)
    if chip is None:
        others = ", ".join(sorted(one.device for one in usb.serial_ports())) or "none"
        raise LinkError(
            f"No {board.title} found on USB (serial ports of this machine: {others}): plug it in, "
            "name a port with --port, or use the simulated board with --port sim"
        )
    if named is not None:
        return named
    if found := usb.serial_port(chip, board):
        return found
    shown = ", ".join(name for _, name in chip.ports)
    which = ("first", "second")[board.usb.uart]
    raise LinkError(
        f"The board's USB chip shows only {shown}, not its {which} port: plug it in anew, or name "
        "a port with --port"
    )


def _no_usb_line(board: Board) -> str:
    """Why no serial port of this board can be found, and what to do."""
    if board.uart is None:
        return f"The {board.title} has no serial line and works alone: there is nothing to ask"
    return (
        f"The serial line of the {board.title} ({board.uart}) is not at a USB chip that could be "
        "found: name its port with --port, or use the simulated board with --port sim"
    )


def open_serial(port: str, *, baud: int, board: Board = DEFAULT_BOARD):
    """An open pyserial port, or a `LinkError` that says what would help; `board` is at it.

    It is this program's alone, and asks the USB chip not to hold short answers back (16 ms by
    default, FTDI AN232B-04), where the system can.
    """
    try:
        import serial
    except ImportError as error:
        raise usb.no_pyserial(port, error) from None
    try:
        opened = serial.serial_for_url(
            port,
            baudrate=baud,
            timeout=_READ_SECONDS,
            write_timeout=_WRITE_SECONDS,
            **({} if "://" in port else {"exclusive": True}),
        )
    except ValueError as error:
        raise LinkError(f"Port {port} cannot be opened at {baud} baud: {error}") from error
    except OSError as error:  # SerialException is one
        raise LinkError(_why(port, error, board)) from error
    with suppress(ValueError, NotImplementedError, AttributeError, OSError):
        opened.set_low_latency_mode(True)
    return opened


def _why(port: str, error: OSError, board: Board) -> str:
    number = error.errno
    if number in (errno.EACCES, errno.EPERM):
        return f"No permission for {port}: {_group_hint(port, board)}"
    if number in (errno.EBUSY, errno.EAGAIN):
        return f"Port {port} is in use by another program: end it first"
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or (
        "://" not in port and not os.path.exists(port)
    ):
        found = ", ".join(sorted(one.device for one in usb.serial_ports()))
        return f"No port {port}; ports of this machine: {found or 'none'}"
    return f"Port {port} cannot be opened: {error}"


def _group_hint(port: str, board: Board) -> str:
    try:
        import grp

        group = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (ImportError, KeyError, OSError):
        group = "dialout"
    if group == "root" and board.usb is not None:
        return usb.mend_usb(board)
    if group == "root":
        return f"give it to yourself with `sudo chown $USER {port}`"
    return f"join its group with `sudo usermod -aG {group} $USER`, and log in anew"


def open_link(port: str, *, baud: int, board: Board = DEFAULT_BOARD, **options) -> Link:
    """An open link to a port by name; `options` are those of `Link`.

    A pseudo-terminal is a simulated board, with which more patience is needed.
    """
    if _is_simulated(port):
        options.setdefault("slowness", SIMULATED_SLOWNESS)
    options.setdefault("slower", _slower(baud, board))
    return Link(open_serial(port, baud=baud, board=board), name=port, baud=baud, **options)


def _slower(baud: int, board: Board) -> tuple[int, ...]:
    """The rates below this one that the board can be built for, the fastest first."""
    return tuple(
        one for one in board.bauds_at(board.clock_hz(board.default_clock_mhz)) if one < baud
    )


def _is_simulated(port: str) -> bool:
    return os.path.realpath(port).startswith("/dev/pts/")


@contextmanager
def connect(
    port: str = "auto",
    *,
    board: Board = DEFAULT_BOARD,
    baud: int | None = None,
    flash: Path | None = None,
    timeout: float = 1.0,
) -> Iterator[Device]:
    """The device at a port, for a `with` block.

    Parameters
    ----------
    port : str
        A port's name or pyserial URL, `auto`: the board on USB, `sim`: a simulated one.
    board : Board
        Which board it is: its USB chip, its rates, what is simulated.
    baud : int
        Rate. None: the board's usual one, then the others.
    flash : Path
        Flash image of the simulated board.
    timeout : float
        As for `Link`.

    Raises `LinkError` or `DeviceError`, each with what would help.
    """
    with _named(port, flash, board) as name:
        known = rates(board)
        tried = [baud] if baud else known[:1] if _is_simulated(name) else known
        device = _first_answer(name, board, tried, timeout)
        try:
            yield device
        finally:
            device.link.close()


@contextmanager
def listen(
    port: str = "auto",
    *,
    board: Board = DEFAULT_BOARD,
    baud: int | None = None,
    flash: Path | None = None,
    on_text: Callable[[str], None],
) -> Iterator[Link]:
    """A link to a port to which nothing is sent: a request ends the stand-alone mode.

    As `connect`, but without a rate it is the board's usual one.
    """
    with _named(port, flash, board) as name:
        link = open_link(name, baud=baud or rates(board)[0], board=board, on_text=on_text)
        try:
            yield link
        finally:
            link.close()


@contextmanager
def _named(port: str, flash: Path | None, board: Board) -> Iterator[str]:
    """The name of a port, that of the board or of a simulated one included."""
    if port == "sim":
        with _simulated(flash, board) as name:
            yield name
    else:
        yield find_port(board=board) if port == "auto" else port


def _first_answer(port: str, board: Board, bauds: list[int], timeout: float) -> Device:
    """The device at the first rate at which it answers; else the error of the first rate."""
    first_error: NoAnswer | None = None
    for baud in bauds:
        link = open_link(port, baud=baud, board=board, timeout=timeout)
        if first_error is not None:
            link.timeout, link.tries = _PROBE_SECONDS, 1
        if link.slowness > 1:  # it may be starting: asked now and then
            link.slowness, link.tries = _STARTING_SLOWNESS, _STARTING_TRIES
        try:
            device = Device(link, starting=_is_simulated(port))
        except NoAnswer as error:
            link.close()
            if link.alarmed or link.answered:  # it is the right rate
                raise
            first_error = first_error or error
        except BaseException:
            link.close()
            raise
        else:
            link.timeout, link.tries = timeout, TRIES
            link.slowness = SIMULATED_SLOWNESS if _is_simulated(port) else 1.0
            return device
    assert first_error is not None
    if len(bauds) == 1:
        raise first_error
    raise NoAnswer(
        f"{first_error} (nor was there an answer at {', '.join(map(str, bauds[1:]))} baud)"
    )


@contextmanager
def _simulated(flash: Path | None, board: Board) -> Iterator[str]:
    if board.uart is None:
        raise UserError(_no_usb_line(board))
    if flash is None or not flash.is_file():
        make = command("firmware", "flash", "--board", board.name, "--image-only")
        raise UserError(f"No flash image {flash} for the simulated board: make one with `{make}`")
    from firmware.layout import flash_offset
    from firmware.versions import check_versions
    from sim.board import check_flash, start

    content = check_flash(flash)[flash_offset(board.capability) :]
    check_versions(content, board.capability, what=f"Flash image {flash}")
    # In place: what it learns is there the next time. It starts when the port is opened.
    with (
        _alone(flash),
        start(flash, board=board, in_place=True, wait=True, progress=_say) as simulated,
    ):
        yield str(simulated.port)
        for violation in simulated.violations[:1]:
            _say(f"warning: the simulated board saw {len(simulated.violations)} violations, the "
                 f"first being: {violation}")  # fmt: skip


@contextmanager
def _alone(flash: Path) -> Iterator[None]:
    """Only one simulated board at a time writes into a flash image; the next one waits a while."""
    path = flash.resolve()
    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    lock = state_folder() / f"simulated-{name}.lock"
    busy = (
        f"Flash image {flash} is in use by another simulated board: end that one first, or give a "
        "copy of the image with --flash"
    )
    end, told = time.monotonic() + _BUSY_SECONDS, False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(lock, busy))
                break
            except UserError:
                if time.monotonic() > end:
                    raise
            if not told:
                _say(f"Waiting for another simulated board that uses {flash}")
                told = True
            time.sleep(0.1)
        yield


def _say(line: str) -> None:
    print(line, file=sys.stderr)
