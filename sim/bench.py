"""The cocotb test: runs inside the simulator, driven by `job.json` in its folder.

Commands go through the real UART pins. Python sleeps while the engine works: the harness tells
when a job's frames are over. Results are left in `results.json`; without that file a run failed.
"""

import json
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer

from hw.bus.uartbone import Command
from hw.regmap import REGISTER_MAP, STOP_NEVER

__all__ = ["PERIOD_NS", "Uart", "run_jobs"]

PERIOD_NS = 10
_SETTLE = 500  # cycles in which an aborted engine runs empty
_REPORT = 200_000  # cycles between two looks at the progress


class Uart:
    """The host's end of the UART, bit by bit on the pins.

    Parameters
    ----------
    dut : handle
        The harness: `uart_rx`, `uart_tx`.
    divisor : int
        Clock cycles a bit.
    """

    def __init__(self, dut, divisor):
        self._dut = dut
        self._bit = divisor * PERIOD_NS
        self._half = divisor * PERIOD_NS // 2

    async def send(self, data):
        """Send bytes, without a gap."""
        for byte in data:
            for bit in (0, *(byte >> shift & 1 for shift in range(8)), 1):
                self._dut.uart_rx.value = bit
                await Timer(self._bit, "ns")

    async def receive(self, count, timeout=100):
        """Receive `count` bytes; fewer after `timeout` byte times of silence (None: wait)."""
        data = bytearray()
        for _ in range(count):
            if self._dut.uart_tx.value:
                begins = FallingEdge(self._dut.uart_tx)
                if timeout is None:
                    await begins
                elif await self._late(begins, timeout):
                    break
            await Timer(self._half, "ns")
            byte = 0
            for shift in range(8):
                await Timer(self._bit, "ns")
                byte |= int(self._dut.uart_tx.value) << shift
            await Timer(self._bit, "ns")
            if not self._dut.uart_tx.value:
                raise ValueError(f"UART stop bit must be 1 after byte {byte:#04x}")
            data.append(byte)
        return bytes(data)

    async def _late(self, begins, timeout):
        late = Timer(timeout * 10 * self._bit, "ns")
        return await First(begins, late) is late

    async def write(self, register, **fields):
        """Write a register by its fields."""
        one = REGISTER_MAP.register(register)
        head = bytes((Command.WRITE_INCREMENT, 1)) + (one.offset // 4).to_bytes(4, "big")
        await self.send(head + one.pack(**fields).to_bytes(4, "big"))

    async def read(self, register):
        """A register's fields."""
        one = REGISTER_MAP.register(register)
        receiving = cocotb.start_soon(self.receive(4))
        await self.send(bytes((Command.READ_INCREMENT, 1)) + (one.offset // 4).to_bytes(4, "big"))
        answer = await receiving
        if len(answer) != 4:
            raise ValueError(f"Register {register} must answer 4 bytes, not {len(answer)}")
        return one.unpack(int.from_bytes(answer, "big"))


async def start(dut):
    """Start the clock and reset the design."""
    dut.rst.value = 1
    dut.load.value = 0
    dut.job.value = 0
    dut.record.value = 0
    dut.wanted.value = 0
    dut.uart_rx.value = 1
    # Values change in the middle of a cycle.
    Clock(dut.clk, PERIOD_NS, "ns", impl="gpi").start(start_high=False)
    await Timer(10 * PERIOD_NS, "ns")
    dut.rst.value = 0
    await Timer(10 * PERIOD_NS, "ns")


@cocotb.test()
async def run_jobs(dut):
    """Run every job of `job.json`: load, start, wait for its frames, abort."""
    description = json.loads(Path("job.json").read_text("utf-8"))
    await start(dut)
    uart = Uart(dut, description["divisor"])
    await uart.write("STOP_AFTER", stop_after=STOP_NEVER)
    results = []
    for number, job in enumerate(description["jobs"]):
        results.append(await _run(dut, uart, number, job))
        _report(number + 1, 0)
    Path("results.json").write_text(json.dumps({"jobs": results}), "utf-8")


async def _run(dut, uart, number, job):
    dut.job.value = number
    dut.wanted.value = job["frames"]
    await _pulse(dut.load)
    for cycles in job["aborts"]:
        await uart.write("CONTROL", start=1, repeat=1)
        await Timer(max(1, cycles) * PERIOD_NS, "ns")
        await uart.write("CONTROL", reset=1)
        await Timer(_SETTLE * PERIOD_NS, "ns")
    await _pulse(dut.record)
    await uart.write("CONTROL", start=1, repeat=1)
    finished, waited = int(dut.finished.value) == 1, 0  # small frames end during the command
    while not finished and waited < job["limit"]:
        pause = Timer(_REPORT * PERIOD_NS, "ns")
        finished = await First(RisingEdge(dut.finished), pause) is not pause
        waited += _REPORT
        _report(number, int(dut.seen.value))
    result = {"finished": finished, "frames": int(dut.seen.value)}
    if not finished:
        result["status"] = await uart.read("STATUS")
    await uart.write("CONTROL", reset=1)
    await Timer(_SETTLE * PERIOD_NS, "ns")
    if finished and job["alone"]:
        result["alone"] = await _alone(uart, job)
    return result


async def _alone(uart, job):
    """One more frame, without repetition: what the registers say of it."""
    await uart.write("CONTROL", start=1)
    await Timer(job["frame"] * PERIOD_NS, "ns")
    return {name.lower(): await uart.read(name) for name in ("STATUS", "CYCLES", "FRAMES", "CLASS")}


async def _pulse(signal):
    signal.value = 1
    await Timer(4 * PERIOD_NS, "ns")
    signal.value = 0
    await Timer(PERIOD_NS, "ns")


def _report(jobs, frames):
    Path("progress").write_text(f"{jobs} {frames}", "utf-8")
