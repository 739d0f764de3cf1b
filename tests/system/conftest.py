"""Fixtures of the tests of the whole system: the firmware, small networks, one board for all."""

import pytest

from firmware.compile import compile_firmware
from hw.compile.heads import make_device_plan
from tests.system.helpers import (
    CAPABILITY,
    Session,
    coloured,
    colours,
    flash_image,
    wide,
    with_file,
)


@pytest.fixture(scope="session")
def firmware():
    """One copy of it."""
    return compile_firmware(CAPABILITY)


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """Boots within milliseconds; from its file."""
    return with_file(colours(), tmp_path_factory.mktemp("colours"))


@pytest.fixture(scope="session")
def wide_network(tmp_path_factory):
    """With many features; from its file."""
    return with_file(wide(), tmp_path_factory.mktemp("wide"))


@pytest.fixture(scope="session")
def plan(network):
    return make_device_plan(network, CAPABILITY)


@pytest.fixture(scope="session")
def image(network, firmware):
    """The flash image of `network`: every section has content."""
    return flash_image(network, firmware, demo=[coloured("green", 8), coloured("red", 9)])


@pytest.fixture(scope="session")
def one_board(image):
    session = Session(image)
    yield session
    session.stop()


@pytest.fixture
def board(one_board):
    """A board that runs already, for `restart`; all tests share it. At the end of each: no
    violation of the flash's or the UART's rules."""
    before = one_board.board.status()["violation_count"]
    yield one_board
    status = one_board.board.status()
    assert status["violation_count"] == before, status["violations"]
