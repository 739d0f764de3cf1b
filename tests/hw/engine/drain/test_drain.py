# amaranth: UnusedElaboratable=no
"""The drain alone: sums in, records or logits out, against the oracle."""

from dataclasses import replace

import numpy as np
import pytest

from hw.engine.drain import Drain
from hw.pipeline import SHORT, pipeline_of
from model.integers import oracle
from sim.networks import images_for
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import BY_PIPELINE, CAPABILITY, load_entry, plans
from tests.hw.timelines import drawn, in_docs

MASK48 = (1 << 48) - 1


def tensors_of(network, image):
    value = image[None].astype(np.int64)
    result = oracle.run(network, image[None])
    return [oracle.Records(value, np.zeros_like(value)), *result.records], result


def sums_of(plan, index, tensors):
    """The accumulators of each pixel: all of S but bias and identity; [pixels, channels]."""
    layer = plan.network.layers[index]
    if layer.kind == "conv":
        bare = replace(layer, bias=np.zeros_like(layer.bias), identity=None)
        return oracle.accumulate(bare, tensors).reshape(-1, layer.channels)
    source = oracle.expand(tensors[layer.source], plan.network.tensors[layer.source].group_size)
    return (source.sum(axis=(1, 2)) @ layer.weights.astype(np.int64).T).reshape(1, -1)


def windows_of(plan, index, sums, rng):
    """The lanes of each window, in order: (lane values, last tile, last window)."""
    layer = plan.network.layers[index]
    slices = 1 if layer.weight_bits <= 4 else 2
    per_tile = CAPABILITY.lanes // slices
    windows = []
    for number, pixel in enumerate(sums.tolist()):
        for first in range(0, layer.channels, per_tile):
            lanes = []
            for total in pixel[first : first + per_tile]:
                if slices == 1:
                    lanes.append(total)
                else:  # low slice, high slice: their split does not matter
                    high = (total >> 4) + rng.randint(-20, 20)
                    lanes += [total - 16 * high, high]
            last_tile = first + per_tile >= layer.channels
            windows.append((lanes, last_tile, last_tile and number == len(sums) - 1))
    return windows


def pack(plan, index, records):
    """The words of a tensor as they lie in memory, from the place's first one on."""
    value, winner = (
        part[0].reshape(-1, part.shape[-1]) for part in (records.value, records.winner)
    )
    per_word = CAPABILITY.records_per_word
    words = []
    for pixel_value, pixel_winner in zip(value.tolist(), winner.tolist(), strict=True):
        found = [v | k << CAPABILITY.activation_bits
                 for v, k in zip(pixel_value, pixel_winner, strict=True)]  # fmt: skip
        found += [0] * (-len(found) % per_word)
        for first in range(0, len(found), per_word):
            word = found[first : first + per_word]
            words.append(sum(part << n * CAPABILITY.record_bits for n, part in enumerate(word)))
    return words


def wrapped(total):
    half = 1 << CAPABILITY.accumulator_bits - 1
    return (total + half) % (2 * half) - half


def run_layer(plan, index, tensors, result, rng, stall):
    """Feed a layer's windows; returns the constant part of its latency."""
    dut = Drain(plan.capability)
    pipeline = pipeline_of(plan.capability)
    network = plan.network
    layer, one = network.layers[index], plan.layers[index]
    entry = one.entry
    windows = windows_of(plan, index, sums_of(plan, index, tensors), rng)
    parameters = [low | high << 32 for low, high in plan.parameters.reshape(-1, 2).tolist()]
    memory = {}
    if layer.kind == "conv" and layer.identity is not None:
        source = layer.identity.source
        start = plan.word_address(plan.layers[source - 1].place)
        words = pack(plan, source - 1, tensors[source])
        memory |= {start + n: word for n, word in enumerate(words)}
    writes, done, seen = [], [], {}

    async def memories(ctx):
        shown = [(0, 0)] * (pipeline.drain_read_cycles - 1)
        while True:
            address, word = ctx.get(dut.parameter_addr), ctx.get(dut.identity_addr)
            if ctx.get(dut.write):
                writes.append((ctx.get(dut.write_addr), ctx.get(dut.write_data)))
                found = memory.get(word, 0x2AAAAA)  # a read beside a write gives the old word
                memory[writes[-1][0]] = writes[-1][1]
            else:
                found = memory.get(word, 0x2AAAAA)
            await ctx.tick()
            inside = address < len(parameters)
            shown.append((parameters[address] if inside else MASK48, found))
            parameter, identity = shown.pop(0)
            ctx.set(dut.parameter_data, parameter)
            ctx.set(dut.identity_data, identity)

    async def feed(ctx):
        cycle, lanes, coming = 0, iter(()), None
        running = [0] * CAPABILITY.lanes  # the array's accumulators run on
        await load_entry(ctx, [dut], entry)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)

        async def tick(following=None):
            """One cycle of the array; `following` are the lanes that it shows two cycles on."""
            nonlocal cycle, lanes, coming
            ctx.set(dut.soon, following is not None)
            load, coming = coming, following
            shift = ctx.get(dut.shift)
            if ctx.get(dut.done):
                done.append((cycle, ctx.get(dut.decision)))
            await ctx.tick()
            cycle += 1
            if load is not None:
                lanes = iter(load)
            if load is not None or shift:
                ctx.set(dut.i_lane, next(lanes, 12345))
            ctx.set(dut.last_tile, rng.randrange(2))  # without `soon` they must not matter
            ctx.set(dut.last_window, rng.randrange(2))

        for values, last_tile, last_window in windows:
            for _ in range(rng.randrange(8) if rng.random() < stall else 0):
                await tick()
            ctx.set(dut.last_tile, last_tile)
            ctx.set(dut.last_window, last_window)
            seen["soon"] = cycle
            for lane, value in enumerate(values):
                running[lane] = wrapped(running[lane] + value)
            await tick(list(running))
            for _ in range((entry.last_drain_cycles if last_tile else entry.drain_cycles) - 1):
                await tick()
        for _ in range(3 * pipeline.drain_latency):
            await tick()

    simulate(dut, testbenches=[feed], background=[memories], deadline=200_000)
    where = f"{network.name}, layer {index}"
    first = plan.word_address(one.place)
    assert [address for address, _ in writes] == list(range(first, first + one.place.words)), where
    words = np.array([word for _, word in writes])
    if layer.kind == "conv":
        value, winner = plan.unpack_records(index, words)
        right = result.records[index]
        different = np.argwhere((value != right.value[0]) | (winner != right.winner[0]))
        for y, x, group in different[:1].tolist():
            raise AssertionError(
                f"{where}, position ({y}, {x}), group {group}: expected "
                f"{right.value[0, y, x, group], right.winner[0, y, x, group]}, "
                f"actual {value[y, x, group], winner[y, x, group]}"
            )
    else:
        sign = 1 << CAPABILITY.word_bits - 1
        assert ((words ^ sign) - sign).tolist() == result.logits[0].tolist(), where
    assert len(done) == 1, f"{where}: done must come once"
    cycle, decision = done[0]
    if layer.kind == "classifier":
        assert decision == result.decisions[0], where
    return cycle - seen["soon"] - (entry.tile_lanes - 1) * entry.lane_cycles


@pytest.mark.parametrize("capability", BY_PIPELINE)
@pytest.mark.parametrize("stall", [0.0, 0.5])
@pytest.mark.parametrize("first", [0, 280])
def test_layers(first, stall, capability):
    rng = seeded(first)
    kinds, latencies = set(), set()
    for plan in plans(7, first, capability=capability):
        network = plan.network
        image = images_for(network, first, 1)[0]
        tensors, result = tensors_of(network, image)
        for index, layer in enumerate(network.layers):
            latencies.add(run_layer(plan, index, tensors, result, rng, stall))
            kinds.add(layer.kind)
            if layer.kind == "conv":
                kinds.add(layer.order)
                kinds.add("wide" if layer.weight_bits > 4 else "narrow")
                kinds |= {"identity"} if layer.identity is not None else set()
    assert latencies == {pipeline_of(capability).drain_latency}
    assert kinds >= {"conv", "classifier", "after", "before", "wide", "narrow", "identity"}


def test_clear_lets_nothing_out():
    """What was under way at a clear is neither written nor told as done."""
    dut = Drain(CAPABILITY)
    plan = plans(1)[0]

    async def bench(ctx):
        await load_entry(ctx, [dut], plan.layers[0].entry)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.soon, 1)
        await ctx.tick()
        ctx.set(dut.soon, 0)
        await ctx.tick().repeat(3)
        ctx.set(dut.clear, 1)
        await ctx.tick().repeat(4 * CAPABILITY.lanes + 4 * SHORT.drain_latency)
        for _ in range(200):
            assert not ctx.get(dut.write) and not ctx.get(dut.done) and not ctx.get(dut.shift)
            await ctx.tick()

    simulate(dut, testbenches=[bench])


def timeline(cycles):
    """Rows of the drain's ports: one window of four lanes, a group of four, order `before`."""
    dut = Drain(CAPABILITY)
    rows = {name: [] for name in ("soon", "shift", "sum", "channel", "value", "winner", "done")}
    sums = (3, 9, 4, 1)
    half = 1 << CAPABILITY.requantise_bits - 1  # multiplier of one half

    async def bench(ctx):
        ctx.set(dut.layer, {"before": 1, "maximum": 15, "tile_lanes": 3, "output_group": 3})
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.last_tile, 1)
        ctx.set(dut.last_window, 1)
        ctx.set(dut.parameter_data, half)
        shifted, coming = False, iter(sums)
        for cycle in range(cycles):
            ctx.set(dut.soon, cycle == 0)
            total = next(coming, None) if shifted else None
            if total is not None:
                ctx.set(dut.i_lane, total)
            write, word = ctx.get(dut.write), ctx.get(dut.write_data)
            bits = CAPABILITY.activation_bits
            rows["soon"].append("x" if cycle == 0 else None)
            rows["sum"].append(total)
            rows["channel"].append(ctx.get(dut.parameter_addr) if shifted else None)
            rows["value"].append(word & (1 << bits) - 1 if write else None)
            rows["winner"].append(word >> bits if write else None)
            rows["done"].append("x" if ctx.get(dut.done) else None)
            shifted = bool(ctx.get(dut.shift))
            rows["shift"].append("x" if shifted else None)
            await ctx.tick()

    simulate(dut, testbenches=[bench], deadline=cycles + 10)
    return rows


def test_the_timeline_in_the_docs():
    rows = timeline(18)
    assert drawn(rows) == in_docs("Drain")
    last = rows["sum"].index(1)  # of the window's lanes, two cycles behind its place
    assert rows["done"].index("x") == last - 2 + SHORT.drain_latency
