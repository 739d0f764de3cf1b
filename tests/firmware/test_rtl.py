"""The host tool's own code against RTL: its serial port is the simulated line of `hw.top.Core`."""

import pytest
from amaranth.sim import Simulator

from firmware.accelerator import Accelerator, DeviceError
from firmware.program import Program
from firmware.serial_port import UARTBoneTransport
from firmware.transport import TransportError
from hw.capability import Capability
from hw.engine.interface import Region
from hw.top import Core
from tests.hw.bus.helpers import FakeEngine, uart_receive, uart_send

DIVISOR = 4
PROGRAM = Program(
    name="tiny",
    input_shape=(2, 3, 3),
    classes=tuple("abcde"),
    regions={
        "WEIGHTS": [0x01234567 * i & 0xFFFF_FFFF for i in range(12)],
        "PARAMETERS": [5, 6, 7],
        "LAYERS": [0xFFFF, 0],
    },
)


class SimulatedPort:
    """A serial port whose far end is simulated: time passes only while somebody waits for it."""

    timeout = 0.0

    def __init__(self, dut):
        self._out, self._in = bytearray(), bytearray()
        self._simulator = Simulator(dut)
        self._simulator.add_clock(1 / 4e6)

        async def sender(ctx):
            while True:
                await ctx.tick()
                while self._out:
                    await uart_send(ctx, dut.uart_rx, [self._out[0]], divisor=DIVISOR)
                    del self._out[0]

        async def receiver(ctx):
            while True:
                data = await uart_receive(ctx, dut.uart_tx, 1, divisor=DIVISOR)
                self._in.extend(data)

        self._simulator.add_testbench(sender, background=True)
        self._simulator.add_testbench(receiver, background=True)

    def _pass(self, cycles):
        for _ in range(2 * cycles):
            self._simulator.advance()

    def write(self, data):
        self._out += data

    def flush(self):
        while self._out:
            self._pass(DIVISOR)

    def read(self, count):
        for _ in range(200 + 20 * count):  # half bytes
            if len(self._in) >= count:
                break
            self._pass(5 * DIVISOR)
        data = bytes(self._in[:count])
        del self._in[:count]
        return data

    def reset_input_buffer(self):
        self._in.clear()

    def close(self):
        pass


@pytest.fixture
def bench():
    engine = FakeEngine()
    logits = [7, -3, 200, 200, -(1 << 21)]
    start = Region.LOGITS * FakeEngine.DEPTH
    init = [0] * start + [logit & 0xFFFF_FFFF for logit in logits]
    engine.memory.data.init = init
    dut = Core(engine=engine, capability=Capability(), clock_hz=4_000_000, baud=1_000_000)
    return SimulatedPort(dut), logits


def test_identify_load_classify(bench):
    port, logits = bench
    with UARTBoneTransport(port, silence=0) as transport:
        accelerator = Accelerator(transport)
        assert accelerator.device.clock_hz == 4_000_000
        assert accelerator.device.capability == Capability(family="generic")
        accelerator.load(PROGRAM)
        assert accelerator.is_loaded(PROGRAM)
        for name, words in PROGRAM.regions.items():
            assert accelerator.read_memory(name, len(words)) == words
        # The fake's class is the image's first byte plus STOP_AFTER, here 255: modulo 256, 2.
        for _ in range(2):
            result = accelerator.classify(PROGRAM, bytes([3, *range(17)]))
            assert result.decision == 2 and result.logits == logits
            assert result.cycles == FakeEngine.FRAME
            assert result.seconds == FakeEngine.FRAME / 4e6
        with pytest.raises(DeviceError, match="does not match its logits"):
            accelerator.classify(PROGRAM, bytes(18))


def test_dead_line():
    class Dead:
        timeout = 0.0

        def write(self, data): ...

        def flush(self): ...

        def reset_input_buffer(self): ...

        def close(self): ...

        def read(self, count):
            return b""

    with pytest.raises(TransportError, match="^No answer on port at 1000000 baud"):
        Accelerator(UARTBoneTransport(Dead(), silence=0))
