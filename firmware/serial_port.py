"""UARTBone over a serial port: the transport to a board."""

import errno
import os
import time
from collections.abc import Sequence

from firmware.transport import Transport, TransportError, check_access
from hw.bus.uartbone import MAX_BURST, Command
from hw.top import DEFAULT_BAUD, TIMEOUT_SECONDS

__all__ = ["SerialTransport", "UARTBoneTransport", "decode_words", "encode", "open_serial"]

SILENCE_SECONDS = 2 * TIMEOUT_SECONDS
"""After so long a silence the bridge has forgotten any unfinished command."""

_MARGIN_SECONDS = 0.5  # USB and the operating system, beside the time on the line
_BITS_PER_BYTE = 10  # 8N1


def encode(command: Command, address: int, length: int, words: Sequence[int] = ()) -> bytes:
    """One UARTBone command: `address` in bytes, `length` in words, 1 to MAX_BURST."""
    head = bytes((command, length)) + (address // 4).to_bytes(4, "big")
    return head + b"".join(int(word).to_bytes(4, "big") for word in words)


def decode_words(answer: bytes) -> list[int]:
    """The words of an answer."""
    return [int.from_bytes(answer[i : i + 4], "big") for i in range(0, len(answer), 4)]


class UARTBoneTransport(Transport):
    """UARTBone over an open port.

    Parameters
    ----------
    port : object
        With `write(bytes)`, `read(count)` (at most `count` bytes; fewer after `port.timeout`
        seconds), `reset_input_buffer()`, `flush()`, `close()`: pyserial's `Serial`, or a stand-in.
    name : str
        For messages.
    baud : int
        Rate of the port, for time-outs and messages.
    silence : float
        Seconds in which the bridge forgets an unfinished command.

    A read that is not answered in time is asked once more after a silence; reads have no side
    effects in this device.
    """

    def __init__(self, port, *, name="port", baud=DEFAULT_BAUD, silence=SILENCE_SECONDS):
        self._port = port
        self._name = name
        self._baud = baud
        self._silence = silence
        self.resynchronise()

    def resynchronise(self) -> None:
        """Be silent until the bridge expects a command, and drop what it may have sent."""
        with _clear(self._name):
            time.sleep(self._silence)
            self._port.reset_input_buffer()

    def read(self, address: int, count: int) -> list[int]:
        check_access(address, count)
        words: list[int] = []
        while len(words) < count:
            length = min(MAX_BURST, count - len(words))
            words += self._read_burst(address + 4 * len(words), length)
        return words

    def write(self, address: int, words: Sequence[int]) -> None:
        check_access(address, len(words), words)
        with _clear(self._name):
            for start in range(0, len(words), MAX_BURST):
                part = words[start : start + MAX_BURST]
                self._port.write(
                    encode(Command.WRITE_INCREMENT, address + 4 * start, len(part), part)
                )

    def close(self) -> None:
        self._port.close()

    def _read_burst(self, address: int, length: int) -> list[int]:
        for last in (False, True):
            with _clear(self._name):
                self._port.write(encode(Command.READ_INCREMENT, address, length))
                # Writes may still be in the operating system's buffer.
                self._port.flush()
                line = (6 + 4 * length) * _BITS_PER_BYTE / self._baud
                timeout = line + _MARGIN_SECONDS
                if self._port.timeout != timeout:  # setting it reconfigures the port
                    self._port.timeout = timeout
                answer = self._port.read(4 * length)
            if len(answer) == 4 * length:
                return decode_words(answer)
            if not last:
                self.resynchronise()
        got = f"only {len(answer)} of {4 * length} bytes" if answer else "nothing"
        raise TransportError(
            f"No answer on {self._name} at {self._baud} baud ({got} came): is the bitstream "
            "loaded, and built for this rate?"
        )


class SerialTransport(UARTBoneTransport):
    """UARTBone over a serial port of this machine.

    Parameters
    ----------
    port : str
        Name of the port, such as `/dev/ttyUSB1`, or a pyserial URL.
    baud : int
        Its rate.

    Raises
    ------
    TransportError
        No such port, no permission, busy, or a rate that it does not have.
    """

    def __init__(self, port: str, *, baud: int = DEFAULT_BAUD):
        super().__init__(open_serial(port, baud=baud), name=port, baud=baud)


def open_serial(port: str, *, baud: int):
    """An open pyserial port, or a `TransportError` that says what would help."""
    import serial

    try:
        return serial.serial_for_url(port, baudrate=baud, timeout=1, write_timeout=10)
    except ValueError as error:
        raise TransportError(f"Port {port} cannot be opened at {baud} baud: {error}") from error
    except OSError as error:  # SerialException is one
        raise TransportError(_why(port, error)) from error


def _why(port: str, error: OSError) -> str:
    number = error.errno
    if number == errno.EACCES:
        return f"No permission for {port}: {_group_hint(port)}"
    if number == errno.EBUSY:
        return f"Port {port} is in use by another program"
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO) or not os.path.exists(port):
        from serial.tools.list_ports import comports

        found = ", ".join(sorted(one.device for one in comports()))
        return f"No port {port}; ports of this machine: {found or 'none'}"
    return f"Port {port} cannot be opened: {error}"


def _group_hint(port: str) -> str:
    try:
        import grp

        group = grp.getgrgid(os.stat(port).st_gid).gr_name
    except (ImportError, KeyError, OSError):
        group = "dialout"
    if group == "root":
        return "add a udev rule that gives it to group dialout, and join it"
    return f"join its group ({group}), as `sudo usermod -aG {group} $USER` does, and log in anew"


class _clear:
    """Turn a port that fails, such as an unplugged one, into a `TransportError`."""

    def __init__(self, name):
        self._name = name

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if isinstance(error, OSError):
            raise TransportError(f"Port {self._name} failed: {error}") from error
        return False
