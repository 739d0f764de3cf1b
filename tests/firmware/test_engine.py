"""The host tool's own code against the real engine's RTL, at the bus: no UART, so that it is quick.

Class and logits equal the numpy oracle's; cycles equal the plan's.
"""

import numpy as np
import pytest
from amaranth.sim import Simulator

from firmware.__main__ import classify
from firmware.transport import Transport, check_access
from hw.capability import Capability
from hw.device import Device
from hw.engine.engine import Engine
from hw.plan import make_plan
from hw.regmap import capability_from_words, capability_words
from model import oracle
from model.errors import UserError
from tests.hw.bus.helpers import Bus
from tests.networks import Limits, images_for, random_network

CAPABILITY = Capability(
    family="generic",
    lanes=8,
    weight_words=2048,
    activation_words=1024,
    parameter_words=128,
    layer_entries=4,
    image_bytes=256,
    logit_words=16,
)
LIMITS = Limits(
    layers=2,
    max_pixels=5,
    channels=8,
    classes=5,
    kernel=3,
    winner_bits=CAPABILITY.winner_bits,
    both_shortcuts=False,
)


class BusTransport(Transport):
    """A transport to a simulated bus; time passes only during transfers."""

    def __init__(self, device):
        self._waiting, self._done = [], []
        self._simulator = Simulator(device)
        self._simulator.add_clock(1e-6)
        bus = Bus(device.bus)

        async def initiator(ctx):
            while True:
                await ctx.tick()
                while self._waiting:
                    self._done.append(await bus.transfer(ctx, *self._waiting.pop(0)))

        self._simulator.add_testbench(initiator, background=True)

    def _run(self, transfers):
        self._waiting, self._done = list(transfers), []
        while len(self._done) < len(transfers):
            self._simulator.advance()
        assert not any(error for _, error, _ in self._done)
        return [data for data, _, _ in self._done]

    def read(self, address, count):
        check_access(address, count)
        return self._run([(address // 4 + index,) for index in range(count)])

    def write(self, address, words):
        check_access(address, len(words), words)
        self._run([(address // 4 + index, int(word)) for index, word in enumerate(words)])

    def close(self):
        pass


def planned(seed):
    """The first random network from `seed` on that fits, and its plan."""
    for candidate in range(seed, seed + 200):
        network = random_network(candidate, LIMITS)
        try:
            return network, make_plan(network, CAPABILITY)
        except UserError:
            continue
    raise AssertionError("no random network fits")


@pytest.mark.parametrize("seed", [0, 500])
def test_networks_in_a_row(seed):
    clock_hz = 10_000_000
    engine = Engine(capability=CAPABILITY)
    transport = BusTransport(Device(engine=engine, capability=CAPABILITY, clock_hz=clock_hz))
    told = capability_from_words(capability_words(CAPABILITY))
    assert told == CAPABILITY
    for offset in (0, 200):
        network, plan = planned(seed + offset)
        images = images_for(network, seed, 2)
        expected = oracle.run(network, images)
        accelerator, _, results = classify(
            transport, network, [image.tobytes() for image in images], timeout=60
        )
        assert accelerator.device.capability == CAPABILITY
        assert len(results) == 2
        for index, result in enumerate(results):
            np.testing.assert_array_equal(result.logits, expected.logits[index])
            assert result.decision == expected.decisions[index]
            assert result.cycles == plan.cycles
            assert result.seconds == plan.cycles / clock_hz
