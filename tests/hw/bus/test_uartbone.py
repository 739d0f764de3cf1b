# amaranth: UnusedElaboratable=no

import re

import pytest

from hw.bus.uartbone import UARTBone
from hw.bus.wishbone import UNMAPPED
from tests.hw.bus.helpers import (
    READ,
    READ_FIXED,
    WRITE,
    WRITE_FIXED,
    command,
    memory_subordinate,
    receive,
    seeded,
    send,
    simulate,
    words_of,
)

TIMEOUT = 64


def bridge():
    return UARTBone(addr_width=20, timeout=TIMEOUT)


async def ask(ctx, dut, address, length, *, kind=READ, **stalls):
    await send(ctx, dut.i_stream, command(kind, address, length), **stalls)
    return words_of(await receive(ctx, dut.o_stream, 4 * length, **stalls))


@pytest.mark.parametrize("seed", range(4))
def test_random_bursts(seed):
    rng = seeded(seed)
    dut, store, expected, log = bridge(), {}, {}, []

    async def host(ctx):
        stalls = {"stall": rng.choice([0.0, 0.3]), "rng": rng}
        for _ in range(30):
            kind = rng.choice([WRITE, READ, WRITE_FIXED, READ_FIXED])
            length = rng.choice([1, 2, 3, rng.randrange(1, 12)])
            address = rng.randrange(64)
            step = kind in (WRITE, READ)
            log.clear()
            if kind in (WRITE, WRITE_FIXED):
                words = [rng.randrange(1 << 32) for _ in range(length)]
                await send(ctx, dut.i_stream, command(kind, address, length, words), **stalls)
                for index, word in enumerate(words):
                    expected[address + index * step] = word
            else:
                read = await ask(ctx, dut, address, length, kind=kind, **stalls)
                assert read == [expected.get(address + i * step, 0) for i in range(length)]
            await ctx.tick().repeat(10)
            assert log == [
                (address + i * step, kind in (WRITE, WRITE_FIXED)) for i in range(length)
            ]
            assert not ctx.get(dut.o_stream.valid)
        assert store == expected

    simulate(
        dut,
        testbenches=[host],
        background=[memory_subordinate(dut.bus, store, rng=rng, log=log)],
    )


def test_longest_burst():
    rng = seeded(0)
    dut, store = bridge(), {}
    words = [rng.randrange(1 << 32) for _ in range(255)]

    async def host(ctx):
        await send(ctx, dut.i_stream, command(WRITE, 0x100, 255, words))
        assert await ask(ctx, dut, 0x100, 255) == words

    simulate(dut, testbenches=[host], background=[memory_subordinate(dut.bus, store, rng=rng)])
    assert store == {0x100 + i: word for i, word in enumerate(words)}


@pytest.mark.parametrize("seed", range(8))
def test_garbage_then_a_valid_command(seed):
    rng = seeded(seed)
    dut, store = bridge(), {}

    async def drain(ctx):
        ctx.set(dut.o_stream.ready, 1)
        while True:
            await ctx.tick()

    async def host(ctx):
        await send(ctx, dut.i_stream, command(WRITE, 5, 1, [0xCAFEBABE]))
        for _ in range(6):
            count = rng.randrange(60)
            garbage = [rng.choice([rng.randrange(256), rng.randrange(6)]) for _ in range(count)]
            # Addresses of garbage must not hit what is checked.
            await send(ctx, dut.i_stream, garbage, stall=0.2, rng=rng)
            # A read that the garbage asked for may still be under way, at most 255 words.
            await ctx.tick().repeat(255 * 12)
            await ctx.tick().repeat(2 * TIMEOUT)
            await send(ctx, dut.i_stream, command(WRITE, 7, 1, [0x01020304]))
            await ctx.tick().repeat(10)
            assert store[7] == 0x01020304
            store[7] = 0

    simulate(
        dut,
        testbenches=[host],
        background=[drain, memory_subordinate(dut.bus, store, rng=rng, stall=0)],
    )


@pytest.mark.parametrize(
    "kind, length", [(WRITE, length) for length in range(1, 10)] + [(READ, n) for n in range(1, 6)]
)
def test_unfinished_command_is_forgotten_after_the_timeout(kind, length):
    dut, store = bridge(), {3: 0x11223344}
    full = command(kind, 9, 1, [0xFFFFFFFF] if kind == WRITE else [])

    async def host(ctx):
        await send(ctx, dut.i_stream, full[:length])
        await ctx.tick().repeat(TIMEOUT + 2)
        assert await ask(ctx, dut, 3, 1) == [0x11223344]
        assert 9 not in store

    simulate(
        dut,
        testbenches=[host],
        background=[memory_subordinate(dut.bus, store, rng=seeded(length))],
    )


def test_silence_shorter_than_the_timeout_is_harmless():
    dut, store = bridge(), {}

    async def host(ctx):
        for value in command(WRITE, 9, 2, [0x01234567, 0x89ABCDEF]):
            await send(ctx, dut.i_stream, [value])
            await ctx.tick().repeat(TIMEOUT - 4)
        assert store == {9: 0x01234567, 10: 0x89ABCDEF}

    simulate(
        dut, testbenches=[host], background=[memory_subordinate(dut.bus, store, rng=seeded(0))]
    )


@pytest.mark.parametrize("first", [0, 5, 6, 0x7F, 0xFF])
def test_unknown_command_is_ignored(first):
    dut, store = bridge(), {3: 77}

    async def host(ctx):
        await send(ctx, dut.i_stream, [first])
        assert await ask(ctx, dut, 3, 1) == [77]

    simulate(
        dut, testbenches=[host], background=[memory_subordinate(dut.bus, store, rng=seeded(0))]
    )


@pytest.mark.parametrize("kind", [WRITE, READ, WRITE_FIXED, READ_FIXED])
def test_length_0_does_nothing(kind):
    dut, store = bridge(), {3: 77}

    async def host(ctx):
        await send(ctx, dut.i_stream, [kind, 0])
        assert await ask(ctx, dut, 3, 1) == [77]
        assert store == {3: 77}

    simulate(
        dut, testbenches=[host], background=[memory_subordinate(dut.bus, store, rng=seeded(0))]
    )


def test_bus_error_answers_reads_and_drops_writes():
    dut, store = bridge(), {2: 22, 5: 55}

    def mapped(address):
        return address not in (3, 4)

    async def host(ctx):
        assert await ask(ctx, dut, 2, 4) == [22, UNMAPPED, UNMAPPED, 55]
        await send(ctx, dut.i_stream, command(WRITE, 2, 4, [1, 2, 3, 4]))
        assert await ask(ctx, dut, 2, 4) == [1, UNMAPPED, UNMAPPED, 4]
        assert store == {2: 1, 5: 4}

    simulate(
        dut,
        testbenches=[host],
        background=[memory_subordinate(dut.bus, store, rng=seeded(0), mapped=mapped)],
    )


@pytest.mark.parametrize("address", [1 << 20, 1 << 27, 1 << 31, 0xFFF0_0000, 0xFFFF_FFFF])
def test_address_beyond_the_bus(address):
    dut, store, log = bridge(), {3: 77}, []

    async def host(ctx):
        assert await ask(ctx, dut, address, 2) == [UNMAPPED, UNMAPPED]
        await send(ctx, dut.i_stream, command(WRITE, address, 2, [1, 2]))
        assert log == []
        assert await ask(ctx, dut, 3, 1) == [77]
        assert store == {3: 77}

    simulate(
        dut,
        testbenches=[host],
        background=[memory_subordinate(dut.bus, store, rng=seeded(0), log=log)],
    )


def test_burst_over_the_end_does_not_wrap():
    dut, store = bridge(), {0: 1, (1 << 20) - 1: 2}

    async def host(ctx):
        assert await ask(ctx, dut, (1 << 20) - 1, 3) == [2, UNMAPPED, UNMAPPED]

    simulate(
        dut, testbenches=[host], background=[memory_subordinate(dut.bus, store, rng=seeded(0))]
    )


def test_silent_bus_times_out():
    dut = bridge()

    async def host(ctx):
        assert await ask(ctx, dut, 3, 2) == [UNMAPPED, UNMAPPED]
        await send(ctx, dut.i_stream, command(WRITE, 3, 2, [1, 2]))
        await ctx.tick().repeat(3 * TIMEOUT)
        assert await ask(ctx, dut, 3, 1) == [UNMAPPED]

    simulate(dut, testbenches=[host])


def test_heartbeat():
    dut = bridge()

    async def host(ctx):
        beats = []
        for _ in range(8 * TIMEOUT):
            beats.append(ctx.get(dut.heartbeat))
            await ctx.tick()
        assert beats == ([0] * TIMEOUT + [1] * TIMEOUT) * 4

    simulate(dut, testbenches=[host])


@pytest.mark.parametrize(
    "parameters, error, text",
    [
        ({"addr_width": "20"}, TypeError, "Address width must be an integer, not '20'"),
        ({"addr_width": 7}, ValueError, "Address width must be from 8 to 31 bits, not 7"),
        ({"addr_width": 32}, ValueError, "Address width must be from 8 to 31 bits, not 32"),
        ({"timeout": 1.0}, TypeError, "Time-out must be an integer, not 1.0"),
        ({"timeout": 1}, ValueError, "Time-out must be at least 2 cycles, not 1"),
    ],
)
def test_wrong_parameters(parameters, error, text):
    with pytest.raises(error, match=f"^{re.escape(text)}$"):
        UARTBone(**{"addr_width": 20, "timeout": TIMEOUT, **parameters})
