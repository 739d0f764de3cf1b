"""What the tests of simulation share: networks that fit, and what they must compute."""

from dataclasses import replace

import numpy as np

from hw.capability import Capability
from hw.compile.plan import PlanError, make_plan
from model.integers import oracle
from model.network import Golden, Network, record_digest
from sim.networks import Limits, images_for, random_network
from sim.verify import Stimulus, expect

__all__ = [
    "BOARD_LIMITS",
    "GENERIC",
    "LARGE",
    "LARGE_LIMITS",
    "LONG",
    "fitting",
    "small_network",
    "stimulus",
    "with_golden",
]

#: Memories large enough for every network that `tests.networks` draws.
GENERIC = Capability(
    family="generic", winner_bits=4, weight_words=16384, activation_words=4096,
    parameter_words=512, layer_entries=16,
)  # fmt: skip
#: The same engine with the long pipeline.
LONG = replace(GENERIC, pipeline=1)
#: Fewer lanes than a group is long, and memories for images and layers of real size.
LARGE = Capability(
    family="generic", lanes=8, winner_bits=4, accumulator_bits=26, size_bits=7,
    weight_words=32768, activation_words=16384, parameter_words=1024, image_bytes=3 * 64 * 64,
)  # fmt: skip
LARGE_LIMITS = Limits(
    winner_bits=4, accumulator_bits=26, min_pixels=40, max_pixels=64, channels=64, classes=100,
    kernel=3, layers=3, negative_factors=True,
)  # fmt: skip
#: What fits the boards' capability.
BOARD_LIMITS = Limits(winner_bits=2)


def stimulus(network: Network, capability: Capability, seed: int, frames: int = 3) -> Stimulus:
    """A network on images of every kind, with what the oracle makes of them."""
    plan = make_plan(network, capability)
    return Stimulus(plan=plan, expected=expect(network, images_for(network, seed, frames)))


def fitting(count: int, first: int, capability: Capability, limits: Limits | None = None):
    """(seed, network) of `count` random networks that fit; most of them must."""
    found, seed = [], first
    while len(found) < count:
        network = random_network(seed, limits)
        try:
            make_plan(network, capability)
            found.append((seed, network))
        except PlanError:
            pass
        seed += 1
        assert seed - first <= 2 * count + 10, "hardly any network fits"
    return found


def small_network(seed: int = 2) -> Network:
    """A network of few cycles and few weights."""
    return random_network(seed, Limits(channels=16, layers=2, max_pixels=8))


def with_golden(network: Network, frames: int = 2) -> Network:
    """The network with golden vectors from the oracle."""
    images = images_for(network, 7, frames)
    result = oracle.run(network, images)
    digests = tuple(
        tuple(record_digest(one.value[n], one.winner[n]) for one in result.records)
        for n in range(frames)
    )
    golden = Golden(images=images, digests=digests, logits=np.asarray(result.logits))
    return replace(network, golden=golden)
