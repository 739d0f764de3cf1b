"""The cocotb test at the far end of `sim.transport`: carries bytes between a socket and the pins.

Simulated time stands still while the host thinks; it passes while bytes are sent and awaited.

Requests, each an operation, a 32-bit little-endian number and perhaps bytes: SEND (count, bytes),
RECEIVE (count): answered by a count and so many bytes, fewer if the line falls silent, DROP:
forget what was received, CLOSE: end the simulation. SEND and DROP are answered by a 0 when done.
"""

import os
import socket
import struct

import cocotb
from cocotb.triggers import Timer

from .bench import PERIOD_NS, Uart, start

__all__ = ["CLOSE", "DROP", "HEAD", "RECEIVE", "SEND", "SOCKET_VARIABLE", "carry", "read_exactly"]

SEND, RECEIVE, DROP, CLOSE = b"S", b"R", b"D", b"C"
HEAD = struct.Struct("<cI")
COUNT = struct.Struct("<I")
#: Environment variables: where the socket is, and the cycles a bit.
SOCKET_VARIABLE, DIVISOR_VARIABLE = "DHAM_SOCKET", "DHAM_DIVISOR"

_SILENCE = 40  # byte times without a byte, after which no more is expected


def read_exactly(link: socket.socket, count: int) -> bytes:
    """`count` bytes from a socket; raises `ConnectionError` if the other end is gone."""
    data = bytearray()
    while len(data) < count:
        part = link.recv(count - len(data))
        if not part:
            raise ConnectionError("the simulation ended")
        data += part
    return bytes(data)


@cocotb.test()
async def carry(dut):
    """Serve requests until CLOSE, or until the host is gone."""
    divisor = int(os.environ[DIVISOR_VARIABLE])
    await start(dut)
    uart = Uart(dut, divisor)
    received = bytearray()

    async def listen():
        while True:
            received.extend(await uart.receive(1, timeout=None))

    cocotb.start_soon(listen())
    byte_time = Timer(10 * divisor * PERIOD_NS, "ns")
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(os.environ[SOCKET_VARIABLE])
        while True:
            try:
                operation, count = HEAD.unpack(read_exactly(link, HEAD.size))
            except ConnectionError:
                return
            if operation == CLOSE:
                return
            answer = b""
            if operation == SEND:
                await uart.send(read_exactly(link, count))
            elif operation == DROP:
                received.clear()
            elif operation == RECEIVE:
                silent = 0
                while len(received) < count and silent < _SILENCE:
                    before = len(received)
                    await byte_time
                    silent = silent + 1 if len(received) == before else 0
                answer = bytes(received[:count])
                del received[:count]
            link.sendall(COUNT.pack(len(answer)) + answer)
