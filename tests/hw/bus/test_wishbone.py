# amaranth: UnusedElaboratable=no

import re

import pytest

from hw.bus.wishbone import UNMAPPED, Decoder, Signature
from tests.hw.bus.helpers import Bus, memory_subordinate, seeded, simulate

REGIONS = {"low": (0, 4), "middle": (8, 8), "high": (64, 64)}


def test_decoder():
    rng = seeded(1)
    dut = Decoder(addr_width=8, regions=REGIONS)
    stores = {name: {} for name in REGIONS}
    bus = Bus(dut.bus)

    async def host(ctx):
        expected = {}
        for _ in range(400):
            address = rng.choice([rng.randrange(256), rng.randrange(20)])
            owner = [name for name, (base, size) in REGIONS.items() if 0 <= address - base < size]
            word = rng.choice([None, rng.randrange(1 << 32)])
            data, error, cycles = await bus.transfer(ctx, address, word)
            assert error == (not owner)
            if not owner:
                assert data == UNMAPPED and cycles == 1
            elif word is None:
                assert data == expected.get(address, 0)
            else:
                expected[address] = word
        for name, (base, _) in REGIONS.items():
            for offset, word in stores[name].items():
                assert expected.pop(base + offset) == word
        assert not expected

    simulate(
        dut,
        testbenches=[host],
        background=[
            memory_subordinate(getattr(dut, name), stores[name], rng=rng) for name in REGIONS
        ],
    )


def test_subordinate_error_reads_as_unmapped():
    dut = Decoder(addr_width=8, regions=REGIONS)
    bus = Bus(dut.bus)

    async def host(ctx):
        assert (await bus.transfer(ctx, 9))[:2] == (UNMAPPED, True)

    simulate(
        dut,
        testbenches=[host],
        background=[
            memory_subordinate(dut.middle, {}, rng=seeded(0), mapped=lambda address: False)
        ],
    )


@pytest.mark.parametrize(
    "width, regions, error, text",
    [
        (8, {}, ValueError, "Decoder must have at least one region"),
        (0, REGIONS, ValueError, "Address width must be a positive integer, not 0"),
        (None, REGIONS, TypeError, "Address width must be an integer, not None"),
        (8, {"a": (0, "4")}, TypeError, "Size of region a must be an integer, not '4'"),
        (8, {"a": (0, 0)}, ValueError, "Size of region a must be a positive integer, not 0"),
        (
            8,
            {"a": (0, 6)},
            ValueError,
            "Size of region a must be a power of two of at least 2 words, not 6",
        ),
        (
            8,
            {"a": (2, 4)},
            ValueError,
            "Base of region a must be a multiple of its 4 words, not 0x2",
        ),
        (8, {"a": (256, 4)}, ValueError, "Region a at 0x100 must fit 8 bits of word address"),
        (
            8,
            {"a": (0, 8), "b": (4, 4)},
            ValueError,
            "Region b at 0x4 must not overlap region a",
        ),
    ],
)
def test_wrong_parameters(width, regions, error, text):
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        Decoder(addr_width=width, regions=regions)


def test_signature():
    signature = Signature(addr_width=20)
    assert signature.addr_width == 20
    assert repr(signature) == "wishbone.Signature(addr_width=20)"
    with pytest.raises(ValueError, match=r"^Address width must be a positive integer, not -1$"):
        Signature(addr_width=-1)
