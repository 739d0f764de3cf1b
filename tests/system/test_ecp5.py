"""The whole system of a board with an ECP5: everything in block RAM, the flash behind an offset."""

from firmware.compile import compile_firmware
from firmware.flash_image import make_flash_image, parse
from firmware.layout import LEARNED_SLOTS, flash_offset
from firmware.protocol import BootError
from hw.boards import find_board
from hw.compile.heads import Head, make_device_plan
from tests.system.helpers import (
    Learned,
    Session,
    coloured,
    cycles_of,
    features_of,
    logits_of,
    slots,
)

NAME = "ulx3s_25f"


def test_it_starts_classifies_learns_and_remembers(network):
    capability = find_board(NAME).capability
    plan = make_device_plan(network, capability)
    offset = flash_offset(capability)
    image = make_flash_image(
        bitstream=None, copy=compile_firmware(capability), network=network,
        capability=capability, demo=[],
    ).bytes  # fmt: skip
    assert offset and set(image[: offset + 0x2_0000]) == {0xFF}
    pictures = [coloured(name, seed) for seed, name in enumerate(("red", "green", "blue"))]
    sent = [one.tobytes() for one in pictures]

    with Session(image, board=NAME) as session:
        session.listen("self-test: 2 of 2 vectors equal")
        device = session.device()
        assert device.info.boot_error == BootError.NONE and device.info.boot_copy == 0
        assert device.info.network_hash == network.sha256
        decisions = list(device.classify(sent))
        assert [one.logits for one in decisions] == logits_of(network, pictures).tolist()
        assert [one.cycles for one in decisions] == cycles_of(plan, Head.CLASSES, pictures)
        assert [step.images for step in device.learn("warm", sent[:1])] == [1]
        content = session.board.flash()
        session.restart()
        assert session.device().class_names(learned=True) == ["warm"]

    learned = Learned().shown("warm", features_of(network, pictures[:1])[0])
    kept = slots(network, content[offset:])
    assert [one[1] for one in kept if one is not None] == [learned]
    assert content[: offset + LEARNED_SLOTS[0]] == image[: offset + LEARNED_SLOTS[0]].ljust(
        offset + LEARNED_SLOTS[0], b"\xff"
    )
    assert parse(content, capability).network_sha256 == network.sha256
