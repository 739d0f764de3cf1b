"""A build of a small stand-in design: its plan is a fake, the tools are the real ones."""

from pathlib import Path
from types import SimpleNamespace

from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import io

CYCLES = 1234


class Counter(Elaboratable):
    """A counter on an LED, `bits` long: the carry chain sets the clock that is reached."""

    def __init__(self, bits: int):
        self.bits = bits

    def elaborate(self, platform):
        m = Module()
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        count = Signal(self.bits)
        m.d.sync += count.eq(count + 1)
        m.d.comb += led.o.eq(count[-1])
        return m


class FakePlan(SimpleNamespace):
    def images(self):
        return {"weights": [1, 2, 3], "layers": [0xFFFF_FFFF]}


def fake_plan(network, capability):
    layers = [
        SimpleNamespace(
            name=layer.name,
            kind=layer.kind,
            input_shape=(1, 1, 1),
            output_shape=(4, 4, layer.channels),
            group_size=getattr(layer, "group_size", 1),
            weight_bits=layer.weight_bits,
            multiplications_dense=1000,
            multiplications=500,
            cycles=100,
            utilisation=0.5,
            weight_words=10,
            activation_words=20,
        )
        for layer in network.layers
    ]
    return FakePlan(
        layers=layers,
        cycles=CYCLES,
        utilisation=0.5,
        multiplications=500 * len(layers),
        memory={"weight words": (10, 100)},
    )


def out(tmp_path) -> Path:
    return tmp_path / "out"
