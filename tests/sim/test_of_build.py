"""The verification of a build: one model for both comparisons, with the build's tools."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from hw.boards import find_board
from model.common.errors import UserError
from sim import conformance, model, of_build
from sim import verify as verification

BOARD = find_board("icebreaker")


class Tools:
    """A stand-in for `hw.flow.tools.Toolchain`, which says while its tools are exported."""

    def __init__(self):
        self.exports = False

    @contextmanager
    def exported(self):
        self.exports = True
        try:
            yield
        finally:
            self.exports = False


@pytest.fixture
def stages(monkeypatch):
    """What is called, with stand-ins for the simulations; `fail` makes one of them fail."""
    tools, calls = Tools(), []
    job = SimpleNamespace(
        board=BOARD, capability=BOARD.capability, clock_mhz=12.0, plan=SimpleNamespace(cycles=5)
    )
    found = SimpleNamespace(tools=tools, calls=calls, job=job, fail=None)

    def stage(name, result, **given):
        assert tools.exports, f"{name} without the tools"
        calls.append((name, given))
        given["progress"](name)
        if found.fail == name:
            raise UserError(f"{name} failed")
        return result

    def compile_model(capability, *, clock_hz, progress):
        return stage("compile", "the model", capability=capability, clock_hz=clock_hz,
                     progress=progress)  # fmt: skip

    def verify(plan, workdir=None, progress=None, model=None):
        return stage("network", "the network", plan=plan, workdir=workdir, progress=progress,
                     model=model)  # fmt: skip

    def verify_conformance(model, workdir=None, progress=None):
        return stage("set", "the set", model=model, workdir=workdir, progress=progress)

    monkeypatch.setattr(model, "compile_model", compile_model)
    monkeypatch.setattr(verification, "verify", verify)
    monkeypatch.setattr(conformance, "verify_conformance", verify_conformance)
    return found


def test_network_and_conformance_set_on_one_model(stages, tmp_path):
    said = []
    found = of_build.verify(stages.job, tmp_path, stages.tools, said.append)
    assert (found.network, found.conformance) == ("the network", "the set")
    names, given = zip(*stages.calls, strict=True)
    assert names == ("compile", "network", "set") and said == list(names)
    assert (given[0]["capability"], given[0]["clock_hz"]) == (BOARD.capability, 12_000_000)
    assert given[1]["model"] == given[2]["model"] == "the model"
    assert given[1]["plan"] is stages.job.plan  # the one that the job has
    assert (given[1]["workdir"], given[2]["workdir"]) == (tmp_path, tmp_path / "conformance")
    assert not stages.tools.exports


@pytest.mark.parametrize("name", ["compile", "network", "set"])
def test_failure_of_a_simulation(stages, tmp_path, name):
    stages.fail = name
    with pytest.raises(UserError, match=f"^{name} failed$"):
        of_build.verify(stages.job, tmp_path, stages.tools, lambda text: None)
    assert stages.calls[-1][0] == name and not stages.tools.exports
