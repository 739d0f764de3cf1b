"""`model.common.errors.nearest`: a hint where a name is near, the known names always."""

import pytest

from firmware.decisivenets import COMMANDS
from hw.boards import BOARDS
from model import zoo
from model.common.errors import nearest
from model.dham.shapes import NETWORKS

COMMAND_NAMES = list(COMMANDS)


@pytest.mark.parametrize(
    "name, known, hint",
    [
        ("icebraker", list(BOARDS), "icebreaker"),
        ("ICEBREAKER", list(BOARDS), "icebreaker"),
        ("ice-breaker", list(BOARDS), "icebreaker"),
        ("resnet9", list(NETWORKS), "resnet8"),
        ("resnet8l4", zoo.names(), "resnet8-l4"),
        ("dham8_up5k", zoo.names(), "dham8-up5k"),
        ("bulid", COMMAND_NAMES, "build"),
        ("selftest", COMMAND_NAMES, "self-test"),
        ("experiment", COMMAND_NAMES, "experiments"),
        ("dgo", ["cat", "dog", "deer"], "dog"),
        ("yoSys", ["yosys", "icepack"], "yosys"),
    ],
)
def test_near(name, known, hint):
    assert nearest(name, known) == f"did you mean {hint}? (known: {', '.join(known)})"


@pytest.mark.parametrize(
    "name, known",
    [
        ("foo", COMMAND_NAMES),
        ("banana", COMMAND_NAMES),
        ("verify", COMMAND_NAMES),
        ("deploy", COMMAND_NAMES),
        ("train", ["test", "validation"]),
        ("icestick", list(BOARDS)),
        ("ecp5", list(BOARDS)),
        ("mobilenet", list(NETWORKS)),
        ("vgg", list(NETWORKS)),
        ("mnist", ["cifar10", "cifar100"]),
        ("truck", ["cat", "dog", "deer"]),
        ("", COMMAND_NAMES),
        ("x", ["a", "b"]),
    ],
)
def test_far(name, known):
    assert nearest(name, known) == f"known: {', '.join(known)}"


def test_nothing_is_known():
    assert nearest("a", []) == "known: "
