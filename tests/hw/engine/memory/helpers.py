# amaranth: UnusedElaboratable=no
"""What the tests of the memories share: a small capability, and a model of an SPRAM."""

from dataclasses import replace

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.lib.memory import Memory

from hw.capability import Capability

SMALL = Capability(
    family="generic", weight_words=64, activation_words=64, parameter_words=32, layer_entries=4,
    image_bytes=64, logit_words=8,
)  # fmt: skip
#: The same with each pipeline, as parameters of a test.
BY_PIPELINE = [
    pytest.param(replace(SMALL, pipeline=number), id=name)
    for number, name in enumerate(("short", "long"))
]


class Spram(Elaboratable):
    """An SB_SPRAM256KA in place of `Instance`: Lattice TN1314, table 1 and section 3.

    A write-enable bit covers 4 bits. A cycle that writes reads nothing of use.
    """

    def __init__(self, name, **pins):
        assert name == "SB_SPRAM256KA"
        self.pins = pins

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = self.mem = content = Memory(shape=16, depth=16384, init=[])
        read, write = content.read_port(), content.write_port(granularity=4)
        pins = self.pins
        m.d.comb += [
            read.addr.eq(pins["i_ADDRESS"]),
            read.en.eq(~pins["i_WREN"]),
            write.addr.eq(pins["i_ADDRESS"]),
            write.data.eq(pins["i_DATAIN"]),
            write.en.eq(pins["i_MASKWREN"] & pins["i_WREN"].replicate(4)),
            pins["o_DATAOUT"].eq(read.data),
        ]
        return m
