"""What all tests share: hypothesis without deadlines, the wheels' tools in the environment, and a
state folder that is not the user's.
"""

import pytest
from hypothesis import settings

from hw.tools import Toolchain
from model.errors import UserError

# Simulations take as long as they take; a failure prints what reproduces it.
settings.register_profile("decisivenets", deadline=None, print_blob=True)
settings.load_profile("decisivenets")


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory):
    """What programs keep from run to run: nothing of the user's, and nothing for the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DECISIVENETS_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def tools_in_environment():
    """Amaranth finds yosys and cocotb finds Verilator, also where .venv/bin is not on PATH.

    Without them, the tests that need them fail by themselves.
    """
    try:
        exported = Toolchain().exported()
        exported.__enter__()
    except UserError:
        yield
        return
    yield
    exported.__exit__(None, None, None)
