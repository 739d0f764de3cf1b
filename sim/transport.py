"""The transport to a simulated device: host code runs unchanged against the RTL, over its UART.

The RTL runs in a process of its own under cocotb; bytes go through the very pins, bit by bit. A
few thousand bytes a second is all that gives: build the model with a fast UART (`baud` a fourth of
the clock) where whole networks are loaded.
"""

import socket
import tempfile
import threading
from pathlib import Path

from firmware.serial_port import UARTBoneTransport
from model.errors import UserError

from .model import Model
from .run import run_cocotb
from .wire import (
    CLOSE,
    COUNT,
    DIVISOR_VARIABLE,
    DROP,
    HEAD,
    RECEIVE,
    SEND,
    SOCKET_VARIABLE,
    read_exactly,
)

__all__ = ["SimulatedPort", "SimulatedTransport"]

_START_SECONDS = 120


class SimulatedPort:
    """The serial port of a simulated board: the part of pyserial's `Serial` that is needed.

    Parameters
    ----------
    model : Model
        The compiled RTL.
    directory : Path
        Where the simulation leaves its files; default: a temporary folder.

    Raises
    ------
    UserError
        The simulation did not start.
    """

    def __init__(self, model: Model, directory: Path | None = None):
        self.timeout = 0.0  # of no use: simulated time, not the wall's, ends a read
        self._temporary = tempfile.TemporaryDirectory(prefix="dham-port-")
        folder = Path(directory or self._temporary.name)
        folder.mkdir(parents=True, exist_ok=True)
        # The path of such a socket must be short, so it lies in the temporary folder.
        address = str(Path(self._temporary.name) / "port")
        self._failure: UserError | None = None
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address)
        listener.listen(1)
        listener.settimeout(0.1)
        environment = {
            SOCKET_VARIABLE: address,
            DIVISOR_VARIABLE: str(model.design.divisor),
        }
        self._thread = threading.Thread(
            target=self._simulate, args=(model, folder, environment), daemon=True
        )
        self._thread.start()
        self._link = None
        with listener:
            for _ in range(10 * _START_SECONDS):
                try:
                    self._link = listener.accept()[0]
                    break
                except TimeoutError:
                    if not self._thread.is_alive():
                        break
        if self._link is None:
            self.close()
            raise self._failure or UserError("The simulation did not start")
        self._link.settimeout(None)

    def _simulate(self, model, folder, environment):
        try:
            run_cocotb(model, "sim.wire", folder, environment=environment)
        except UserError as error:
            self._failure = error

    def write(self, data: bytes) -> None:
        """Send bytes; returns when the last stop bit is over."""
        self._ask(SEND, len(data), data)

    def read(self, count: int) -> bytes:
        """`count` bytes; fewer if the line falls silent."""
        return self._ask(RECEIVE, count)

    def reset_input_buffer(self) -> None:
        """Forget what was received and not read."""
        self._ask(DROP, 0)

    def flush(self) -> None:
        """Nothing to do: `write` returns when all is sent."""

    def close(self) -> None:
        """End the simulation; may be called twice."""
        if self._link is not None:
            try:
                self._link.sendall(HEAD.pack(CLOSE, 0))
            except OSError:
                pass  # it is gone already
            self._thread.join()
            self._link.close()
            self._link = None
        self._temporary.cleanup()

    def _ask(self, operation, count, data=b""):
        if self._link is None:
            raise ConnectionError("the simulated port is closed")
        self._link.sendall(HEAD.pack(operation, count) + data)
        (length,) = COUNT.unpack(read_exactly(self._link, COUNT.size))
        return read_exactly(self._link, length)


class SimulatedTransport(UARTBoneTransport):
    """`firmware.transport.Transport` to a simulated device.

    Parameters
    ----------
    model, directory
        As for `SimulatedPort`.
    """

    def __init__(self, model: Model, directory: Path | None = None):
        super().__init__(SimulatedPort(model, directory), name="the simulation", silence=0)
