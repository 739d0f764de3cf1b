# amaranth: UnusedElaboratable=no
"""Fetch against what a word is: records of activation memory, or a byte of the image."""

from hw.engine.fetch import Fetch
from tests.hw.bus.helpers import seeded, simulate
from tests.hw.engine.helpers import CAPABILITY

WORDS = CAPABILITY.activation_words


def content(rng):
    words = [rng.getrandbits(CAPABILITY.word_bits) for _ in range(WORDS)]
    image = [rng.getrandbits(32) for _ in range(CAPABILITY.image_bytes // 4)]
    return words, image


def draw(rng):
    """A word, as the walker may want one: whether of the image, and its address."""
    if rng.randrange(2):
        return 1, rng.randrange(CAPABILITY.image_bytes)
    return 0, rng.randrange(WORDS) << CAPABILITY.sub_bits


def right(wanted, words, image):
    of_image, address = wanted
    if of_image:
        index, byte = divmod(address, 4)
        return image[index] >> 8 * byte & 0xFF
    return words[address >> CAPABILITY.sub_bits]


def test_what_was_addressed_comes_a_cycle_later():
    rng = seeded(1)
    dut = Fetch(CAPABILITY)
    words, image = content(rng)

    async def bench(ctx):
        for _ in range(500):
            wanted = draw(rng)
            ctx.set(dut.address, wanted[1])
            word, pixel = ctx.get(dut.word_addr), ctx.get(dut.image_addr)
            await ctx.tick()
            # As block RAM does, a cycle after the address.
            ctx.set(dut.word_data, words[word])
            ctx.set(dut.image_data, image[pixel % len(image)])
            ctx.set(dut.address, draw(rng)[1])
            ctx.set(dut.word, {"image": wanted[0], "address": wanted[1]})
            assert ctx.get(dut.data) == right(wanted, words, image)

    simulate(dut, testbenches=[bench])
