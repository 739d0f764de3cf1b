"""Random capabilities: the RTL of each computes random networks, or is refused with the reason."""

import numpy as np
import pytest

from hw.capability import Capability
from sim.conformance_networks import limits_of
from sim.model import compile_model
from sim.verify import verify_all
from tests.hw.capabilities import draw_fields
from tests.sim.helpers import fitting, stimulus

_NETWORKS = 6


def capability_of(seed):
    """A capability that is not refused: the first of the stream of random parameters `seed`."""
    rng = np.random.default_rng([seed, 0xCAB])
    for _ in range(1000):
        parameters = draw_fields(rng)
        try:
            return Capability(**parameters)
        except ValueError as error:
            assert str(error), parameters
    raise AssertionError("hardly any capability is sound")


def check(seed, directory):
    capability = capability_of(seed)
    found = fitting(_NETWORKS, 100 * seed, capability, limits_of(capability))
    model = compile_model(capability, cache=directory / "cache")
    stimuli = [stimulus(network, capability, number) for number, network in found]
    results = verify_all(model, stimuli, directory / "work")
    differences = [result.mismatch for result in results if result.mismatch]
    assert not differences, f"{capability}: {len(differences)} differ: {differences[0]}"
    assert all(result.ok and result.frames == 3 for result in results)


@pytest.mark.parametrize("seed", range(4))
def test_capability(tmp_path, seed):
    check(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4, 64))
def test_many_capabilities(tmp_path, seed):
    check(seed, tmp_path)
