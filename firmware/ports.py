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
from hw.boards import BOARDS, Board
from model.common.errors import UserError
from model.common.files import locked
from model.common.invocation import command
from model.common.places import state_folder

__all__ = ["RULE", "connect", "find_port", "listen", "open_link", "open_serial", "rates"]

_BOARD = BOARDS["icebreaker"]
_CHIP = _BOARD.usb_chip()

RULE = (
    f'SUBSYSTEMS=="usb", ATTRS{{idVendor}}=="{_CHIP.vendor:04x}", '
    f'ATTRS{{idProduct}}=="{_CHIP.product:04x}", MODE="0660", GROUP="plugdev", '
    'TAG+="uaccess", ENV{ID_MM_DEVICE_IGNORE}="1"'
)
"""udev rule that gives the board, both of its interfaces, to whoever sits at the machine, and keeps
ModemManager from it, which sends commands for modems to every new serial port."""

MEND_USB = (
    f"run `echo '{RULE}' | sudo tee /etc/udev/rules.d/53-icebreaker.rules && "
    "sudo udevadm control --reload && sudo udevadm trigger`, and plug the board in anew"
)

_READ_SECONDS = 0.02  # how long a read waits for a first byte
_WRITE_SECONDS = 10.0
_PROBE_SECONDS = 0.3  # for an answer at a rate that is only tried

SIMULATED_SLOWNESS = 200.0
"""How much slower than a board a simulated one may be, for time-outs: 180,000 cycles a second."""

_BUSY_SECONDS = 120.0  # to wait for others at the same simulated flash, which may compile it, too
_STARTING_SLOWNESS, _STARTING_TRIES = 20.0, 15


def rates(board: Board = _BOARD) -> list[int]:
    """Rates to try: that of the board's own clock first, then the others, the fastest first."""
    usual = board.baud(board.clock_hz(board.default_clock_mhz))
    return [usual, *(baud for baud in board.bauds if baud != usual)]


def find_port(port: str = "auto", serial: str | None = None) -> str:
    """The serial port of the board that is meant: `auto`, or a port that the user named.

    Of a board on USB that is the UART's interface of its USB chip. With `serial`, the serial number
    of that chip, a port that is named must be the chip's.

    Raises `LinkError` if there is none, or more than one.
    """
    if port != "auto" and serial is None:
        return port
    if port == "sim":
        raise LinkError("--serial names a board on USB, --port sim is none: leave one of them out")
    chips = usb.find_chips(_BOARD)
    named = None if port == "auto" else port
    chip = usb.choose(chips, _BOARD, port=named, serial=serial, write=False)
    if chip is None:
        others = ", ".join(sorted(one.device for one in usb.serial_ports())) or "none"
        raise LinkError(
            f"No {_BOARD.title} found on USB (serial ports of this machine: {others}): plug it in, "
            "name a port with --port, or use the simulated board with --port sim"
        )
    if named is not None:
        return named
    if found := usb.serial_port(chip, _BOARD):
        return found
    shown = ", ".join(name for _, name in chip.ports)
    raise LinkError(
        f"The board's USB chip shows only {shown}, not its second port: plug it in anew, or name a "
        "port with --port"
    )


def open_serial(port: str, *, baud: int):
    """An open pyserial port, or a `LinkError` that says what would help.

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
        raise LinkError(_why(port, error)) from error
    with suppress(ValueError, NotImplementedError, AttributeError, OSError):
        opened.set_low_latency_mode(True)
    return opened


def _why(port: str, error: OSError) -> str:
    number = error.errno
    if number in (errno.EACCES, errno.EPERM):
        return f"No permission for {port}: {_group_hint(port)}"
    if number in (errno.EBUSY, errno.EAGAIN):
        return f"Port {port} is in use by another program: end it first"
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or (
        "://" not in port and not os.path.exists(port)
    ):
        found = ", ".join(sorted(one.device for one in usb.serial_ports()))
        return f"No port {port}; ports of this machine: {found or 'none'}"
    return f"Port {port} cannot be opened: {error}"


def _group_hint(port: str) -> str:
    try:
        import grp

        group = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (ImportError, KeyError, OSError):
        group = "dialout"
    if group == "root":
        return MEND_USB
    return f"join its group with `sudo usermod -aG {group} $USER`, and log in anew"


def open_link(port: str, *, baud: int, **options) -> Link:
    """An open link to a port by name; `options` are those of `Link`.

    A pseudo-terminal is a simulated board, with which more patience is needed.
    """
    if _is_simulated(port):
        options.setdefault("slowness", SIMULATED_SLOWNESS)
    options.setdefault("slower", _slower(baud))
    return Link(open_serial(port, baud=baud), name=port, baud=baud, **options)


def _slower(baud: int, board: Board = _BOARD) -> tuple[int, ...]:
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
    baud: int | None = None,
    flash: Path | None = None,
    timeout: float = 1.0,
) -> Iterator[Device]:
    """The device at a port, for a `with` block.

    Parameters
    ----------
    port : str
        A port's name or pyserial URL, `auto`: the board on USB, `sim`: a simulated one.
    baud : int
        Rate. None: the board's usual one, then the others.
    flash : Path
        Flash image of the simulated board.
    timeout : float
        As for `Link`.

    Raises `LinkError` or `DeviceError`, each with what would help.
    """
    with _named(port, flash) as name:
        tried = [baud] if baud else rates()[:1] if _is_simulated(name) else rates()
        device = _first_answer(name, tried, timeout)
        try:
            yield device
        finally:
            device.link.close()


@contextmanager
def listen(
    port: str = "auto",
    *,
    baud: int | None = None,
    flash: Path | None = None,
    on_text: Callable[[str], None],
) -> Iterator[Link]:
    """A link to a port to which nothing is sent: a request ends the stand-alone mode.

    As `connect`, but without a rate it is the board's usual one.
    """
    with _named(port, flash) as name:
        link = open_link(name, baud=baud or rates()[0], on_text=on_text)
        try:
            yield link
        finally:
            link.close()


@contextmanager
def _named(port: str, flash: Path | None) -> Iterator[str]:
    """The name of a port, that of the board or of a simulated one included."""
    if port == "sim":
        with _simulated(flash) as name:
            yield name
    else:
        yield find_port() if port == "auto" else port


def _first_answer(port: str, bauds: list[int], timeout: float) -> Device:
    """The device at the first rate at which it answers; else the error of the first rate."""
    first_error: NoAnswer | None = None
    for baud in bauds:
        link = open_link(port, baud=baud, timeout=timeout)
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
def _simulated(flash: Path | None) -> Iterator[str]:
    if flash is None or not flash.is_file():
        make = command("firmware", "flash", "--board", _BOARD.name, "--image-only")
        raise UserError(f"No flash image {flash} for the simulated board: make one with `{make}`")
    from firmware.versions import check_versions
    from sim.board import check_flash, start

    check_versions(check_flash(flash), _BOARD.capability, what=f"Flash image {flash}")
    # In place: what it learns is there the next time. It starts when the port is opened.
    with (
        _alone(flash),
        start(flash, in_place=True, wait=True, progress=_say) as board,
    ):
        yield str(board.port)
        for violation in board.violations[:1]:
            _say(f"warning: the simulated board saw {len(board.violations)} violations, the first "
                 f"being: {violation}")  # fmt: skip


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
