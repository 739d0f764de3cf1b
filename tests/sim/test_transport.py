"""The host tool's own code against the RTL, through the UART's pins."""

import pytest

from firmware.accelerator import Accelerator
from firmware.program import make_program
from hw.regmap import IDENTITY, REGISTER_MAP
from model import oracle
from model.errors import UserError
from sim.transport import SimulatedTransport
from tests.networks import images_for
from tests.sim.helpers import GENERIC, small_network


def test_load_and_classify(generic_model, tmp_path):
    network = small_network()
    images = images_for(network, 5, 2)
    expected = oracle.run(network, images)
    with SimulatedTransport(generic_model, tmp_path) as transport:
        accelerator = Accelerator(transport)
        told = accelerator.device.capability
        assert told == GENERIC
        program = make_program(network, told)
        accelerator.load(program)  # written and read back, word by word
        assert accelerator.is_loaded(program)
        for frame, image in enumerate(images):
            result = accelerator.classify(program, image.tobytes())
            assert result.logits == expected.logits[frame].tolist()
            assert result.decision == expected.decisions[frame]
            assert result.cycles == program.cycles


def test_unmapped_address_and_silence(generic_model, tmp_path):
    transport = SimulatedTransport(generic_model, tmp_path)
    try:
        assert transport.read(REGISTER_MAP.register("ID").offset, 1) == [IDENTITY]
        assert transport.read(0x10_0000, 1) == [0xFFFF_FFFF]
        port = transport._port
        assert port.read(1) == b""  # nobody sent anything
    finally:
        transport.close()
    transport.close()  # twice does no harm
    with pytest.raises(UserError, match="^Port the simulation failed: "):
        transport.read(0, 1)
