import pytest

from firmware.accelerator import Accelerator
from firmware.program import make_program
from hw.capability import Capability
from hw.plan import make_plan
from hw.regmap import REGISTER_MAP
from model.errors import UserError
from tests.firmware.fake import FakeTransport
from tests.networks import Limits, random_network

CAPABILITY = Capability(
    family="generic",
    winner_bits=4,
    weight_words=65536,
    activation_words=8192,
    parameter_words=2048,
)


def planned_network():
    """A random network that fits; not every one does."""
    for seed in range(100):
        network = random_network(seed, Limits(max_pixels=8, both_shortcuts=False, layers=3))
        try:
            make_plan(network, CAPABILITY)
        except UserError:
            continue
        return network
    raise AssertionError("no random network fits")


def test_program_of_a_network_is_loaded_as_the_plan_says():
    network = planned_network()
    program = make_program(network, CAPABILITY)
    plan = make_plan(network, CAPABILITY)
    assert program.name == network.name and program.cycles == plan.cycles
    assert program.input_shape == network.input_shape and program.classes == network.classes
    assert set(program.regions) == {"WEIGHTS", "PARAMETERS", "LAYERS"}
    transport = FakeTransport(capability=CAPABILITY)
    accelerator = Accelerator(transport)
    # What the device tells of itself is what the plan needs.
    assert accelerator.device.capability == CAPABILITY
    accelerator.load(program)
    for name, words in plan.images().items():
        assert transport.memory[name.upper()] == dict(enumerate(words.tolist()))
        assert len(words) <= REGISTER_MAP.window(name.upper()).size // 4


def test_network_that_does_not_fit_the_device():
    network = planned_network()
    small = Capability(family="generic", winner_bits=4, weight_words=1)
    with pytest.raises(UserError, match="needs"):
        make_program(network, small)
