"""The cocotb test: runs inside the simulator, driven by `job.json` in its folder.

Commands go over the device's Wishbone bus. Python sleeps while the engine works: the harness tells
when a job's frames are over. Results are left in `results.json`; without that file a run failed.
"""

import json
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import First, RisingEdge, Timer

from hw.register_map import ENGINE_MAP
from hw.soc.accelerator_registers import STOP_NEVER

__all__ = ["PERIOD_NS", "Bus", "BusError", "run_jobs", "start"]

PERIOD_NS = 10
_SETTLE = 500  # looks at STATUS in which an engine runs empty
_PATIENCE = 64  # cycles in which a transfer ends, one way or the other
_REPORT = 200_000  # cycles between two looks at the progress


class BusError(Exception):
    """A transfer that ended in `err`, or that nobody answered."""


class Bus:
    """Initiator of Wishbone classic cycles on the harness's pins.

    A request stands until the clock edge at which its answer is seen, as from a synchronous
    initiator; then `cyc` and `stb` fall for at least a cycle.

    Parameters
    ----------
    dut : handle
        The harness: `bus__cyc`, `bus__stb` and so on.
    """

    def __init__(self, dut):
        self._dut = dut

    async def write(self, address, word, sel=0b1111):
        """Write a word, or those bytes of it in `sel`, at a byte address. Raises `BusError`."""
        await self._transfer(address, word, sel)

    async def read(self, address):
        """The word at a byte address. Raises `BusError`."""
        return await self._transfer(address)

    async def write_register(self, register, **fields):
        """Write a register by its fields; those left out become 0."""
        one = ENGINE_MAP.register(register)
        await self.write(one.offset, one.pack(**fields))

    async def read_register(self, register):
        """A register's fields."""
        one = ENGINE_MAP.register(register)
        return one.unpack(await self.read(one.offset))

    async def _transfer(self, address, word=None, sel=0b1111):
        dut, what = self._dut, f"{'read' if word is None else 'write'} of {address:#x}"
        dut.bus__adr.value = address // 4
        dut.bus__we.value = int(word is not None)
        dut.bus__dat_w.value = word or 0
        dut.bus__sel.value = sel
        self._request(1)
        for _ in range(_PATIENCE):
            await _cycles(1)
            ended, failed = int(dut.bus__ack.value), int(dut.bus__err.value)
            if ended or failed:
                break
        else:
            self._request(0)
            raise BusError(f"Nobody answers the {what} within {_PATIENCE} cycles")
        data = int(dut.bus__dat_r.value)
        await _cycles(1)
        self._request(0)
        await _cycles(1)
        if failed:
            raise BusError(f"The {what} ended in a bus error, with data {data:#010x}")
        return data

    def _request(self, value):
        self._dut.bus__cyc.value = value
        self._dut.bus__stb.value = value


async def _cycles(count):
    await Timer(count * PERIOD_NS, "ns")


async def start(dut):
    """Start the clock, reset the design; returns its `Bus` when the engine is idle."""
    dut.rst.value = 1
    dut.load.value = 0
    dut.job.value = 0
    dut.record.value = 0
    dut.wanted.value = 0
    for name in ("cyc", "stb", "we", "sel", "adr", "dat_w"):
        getattr(dut, f"bus__{name}").value = 0
    # Values change in the middle of a cycle.
    Clock(dut.clk, PERIOD_NS, "ns", impl="gpi").start(start_high=False)
    await _cycles(10)
    dut.rst.value = 0
    bus = Bus(dut)
    await _idle(bus)
    return bus


@cocotb.test()
async def run_jobs(dut):
    """Run every job of `job.json`: load, start, wait for its frames, abort."""
    description = json.loads(Path("job.json").read_text("utf-8"))
    bus = await start(dut)
    await bus.write_register("STOP_AFTER", stop_after=STOP_NEVER)
    results = []
    for number, job in enumerate(description["jobs"]):
        results.append(await _run(dut, bus, number, job))
        _report(number + 1, 0)
    Path("results.json").write_text(json.dumps({"jobs": results}), "utf-8")


async def _run(dut, bus, number, job):
    dut.job.value = number
    dut.wanted.value = job["frames"]
    await _pulse(dut.load)
    for cycles in job["aborts"]:
        await bus.write_register("CONTROL", start=1, repeat=1)
        await _cycles(max(1, cycles))
        await _abort(bus)
    await _pulse(dut.record)
    await bus.write_register("CONTROL", start=1, repeat=1)
    finished, waited = False, 0
    while not finished and waited < job["limit"]:
        pause = Timer(_REPORT * PERIOD_NS, "ns")
        finished = await First(RisingEdge(dut.finished), pause) is not pause
        waited += _REPORT
        _report(number, int(dut.seen.value))
    result = {"finished": finished, "frames": int(dut.seen.value)}
    if not finished:
        result["status"] = await bus.read_register("STATUS")
    await _abort(bus)
    if finished and job["alone"]:
        result["alone"] = await _alone(bus, job)
    return result


async def _idle(bus):
    """Wait until the engine is idle: after a reset and an abort it clears its accumulators.

    One that stays busy takes no START: that shows in the log of the job.
    """
    for _ in range(_SETTLE):
        if not (await bus.read_register("STATUS"))["busy"]:
            break


async def _abort(bus):
    await bus.write_register("CONTROL", reset=1)
    await _idle(bus)


async def _alone(bus, job):
    """One more frame, without repetition: what the registers say of it."""
    await bus.write_register("CONTROL", start=1)
    await _cycles(job["frame"])
    names = ("STATUS", "CYCLES", "CLASS")
    return {name.lower(): await bus.read_register(name) for name in names}


async def _pulse(signal):
    signal.value = 1
    await _cycles(4)
    signal.value = 0
    await _cycles(1)


def _report(jobs, frames):
    Path("progress").write_text(f"{jobs} {frames}", "utf-8")
