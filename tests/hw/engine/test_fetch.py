# amaranth: UnusedElaboratable=no
"""Fetch against what an issue means: its value, its weights' address, and when they come."""

from hw.engine.fetch import Fetch
from hw.pipeline import SOON_CYCLES
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import CAPABILITY

WORDS = CAPABILITY.activation_words
RECORD_BITS = CAPABILITY.record_bits
OPERAND_CYCLES = 3  # from an issue to its operand: word, value, weights


def content(rng):
    words = [rng.getrandbits(CAPABILITY.word_bits) for _ in range(WORDS)]
    image = [rng.getrandbits(32) for _ in range(CAPABILITY.image_bytes // 4)]
    return words, image


def memories(dut, words, image):
    """Answer a cycle after the address, as block RAM does."""

    async def process(ctx):
        while True:
            word, pixel = ctx.get(dut.word_addr), ctx.get(dut.image_addr)
            await ctx.tick()
            ctx.set(dut.word_data, words[word % WORDS])
            ctx.set(dut.image_data, image[pixel % len(image)])

    return process


def draw(rng):
    """An issue, as the walker may give one."""
    from_image = rng.randrange(2)
    per_word = 1 << CAPABILITY.sub_bits
    if from_image:
        address = rng.randrange(CAPABILITY.image_bytes)
    else:
        within = rng.randrange(CAPABILITY.records_per_word)
        address = rng.randrange(WORDS) * per_word + within
    return {
        "address": address,
        "weights": rng.randrange(CAPABILITY.weight_words // 2),
        "image": from_image,
        "exponent": 0 if from_image else rng.randrange(4),
        "last": rng.randrange(2),
        "last_tile": rng.randrange(2),
        "last_window": rng.randrange(2),
    }


def operand(issue, words, image):
    """Value before its exponent, and winner."""
    if issue["image"]:
        index, byte = divmod(issue["address"], 4)
        return image[index] >> 8 * byte & 0xFF, 0
    index, within = divmod(issue["address"], 1 << CAPABILITY.sub_bits)
    record = words[index] >> RECORD_BITS * within & (1 << RECORD_BITS) - 1
    return (
        record & (1 << CAPABILITY.activation_bits) - 1,
        record >> CAPABILITY.activation_bits,
    )


def test_operands_come_in_time():
    rng = seeded(1)
    dut = Fetch(CAPABILITY)
    words, image = content(rng)
    given = [(rng.randrange(2), draw(rng)) for _ in range(500)]

    async def bench(ctx):
        for cycle, (valid, issue) in enumerate(given):
            ctx.set(dut.valid, valid)
            ctx.set(dut.issue, issue)
            if cycle >= OPERAND_CYCLES:
                was_valid, before = given[cycle - OPERAND_CYCLES]
                value, _ = operand(before, words, image)
                assert ctx.get(dut.o_valid) == was_valid
                assert ctx.get(dut.o_last) == (was_valid and before["last"])
                assert ctx.get(dut.o_value) == value << before["exponent"] & 0xFF
                # A cycle before: the address of the weights that come beside the value.
                _, before = given[cycle - OPERAND_CYCLES + 1]
                _, winner = operand(before, words, image)
                assert ctx.get(dut.weights_addr) == before["weights"] + winner
            if cycle >= OPERAND_CYCLES + SOON_CYCLES:
                _, before = given[cycle - OPERAND_CYCLES - SOON_CYCLES]
                ends = ctx.get(dut.last_tile), ctx.get(dut.last_window)
                assert ends == (before["last_tile"], before["last_window"])
            await ctx.tick()

    simulate(dut, testbenches=[bench], background=[memories(dut, words, image)])


def test_while_no_frame_runs_the_hosts_addresses_are_taken():
    rng = seeded(2)
    dut = Fetch(CAPABILITY)
    words, image = content(rng)

    async def bench(ctx):
        ctx.set(dut.idle, 1)
        for _ in range(50):
            word, weights = rng.randrange(WORDS), rng.randrange(CAPABILITY.weight_words)
            ctx.set(dut.issue, draw(rng))
            ctx.set(dut.host_word, word)
            ctx.set(dut.host_weights, weights)
            assert ctx.get(dut.word_addr) == word
            await ctx.tick()
            assert ctx.get(dut.weights_addr) == weights

    simulate(dut, testbenches=[bench], background=[memories(dut, words, image)])


def test_the_sequencers_drain_ends_no_pixel():
    """The array copies its accumulators although nothing was issued."""
    dut = Fetch(CAPABILITY)

    async def bench(ctx):
        ctx.set(dut.issue, {"last_tile": 1, "last_window": 0})
        await ctx.tick().repeat(OPERAND_CYCLES + SOON_CYCLES)
        assert ctx.get(dut.last_tile) and not ctx.get(dut.o_last)
        ctx.set(dut.drain, 1)
        assert ctx.get(dut.o_last) and not ctx.get(dut.o_valid)
        await ctx.tick()
        ctx.set(dut.drain, 0)
        await ctx.tick().repeat(SOON_CYCLES - 1)
        assert not ctx.get(dut.last_tile)
        await ctx.tick()
        assert ctx.get(dut.last_tile)

    simulate(dut, testbenches=[bench])
