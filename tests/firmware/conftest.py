"""What the tests of flashing share: USB libraries under which the real loader runs."""

import pytest

from tests.firmware.real_loader import libraries


@pytest.fixture(scope="session")
def usb_libraries(tmp_path_factory):
    """Their folder; compiled once."""
    return libraries(tmp_path_factory.mktemp("usb"))
