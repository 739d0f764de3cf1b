"""A build's command line on a small stand-in design: `tests.hw.builds`."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hw import build
from hw.boards import Board
from hw.flow import job
from model.network import save
from sim.conformance import ConformanceResult
from sim.coverage import Coverage
from sim.networks import random_network
from tests.hw.builds import CYCLES, Counter, fake_plan


@pytest.fixture
def network_file(tmp_path) -> Path:
    path = tmp_path / "tiny.dham"
    network = random_network(1)
    network.metadata["top1"] = 85.5
    save(network, path)
    return path


@pytest.fixture
def verification(monkeypatch):
    """The result that the fake `sim.verify.verify` returns; tests change it."""
    result = SimpleNamespace(
        frames=4, cycles=(CYCLES - 400, CYCLES, 700, 701), mismatch=None, seconds=0.1,
        conformance=ConformanceResult(
            networks=3, frames=6, mismatch=None,
            coverage=Coverage(
                features=("binary layer",), missing=("largest stride",), fields={"stride": (1, 2)}
            ),
        ),
    )  # fmt: skip

    def compile_model(capability, *, clock_hz, progress):
        assert clock_hz == 12_000_000

    def verify_conformance(model, workdir, progress):
        return result.conformance

    def verify(plan, frames=None, workdir=None, progress=None, model=None):
        assert plan.cycles == CYCLES, "the plan that the job has"
        progress("4 of 4 frames")
        (workdir / "run.log").write_text("simulated\n")
        return result

    fake_model = SimpleNamespace(compile_model=compile_model)
    monkeypatch.setitem(sys.modules, "sim.model", fake_model)
    monkeypatch.setitem(sys.modules, "sim.verify", SimpleNamespace(verify=verify))
    fake_conformance = SimpleNamespace(verify_conformance=verify_conformance)
    monkeypatch.setitem(sys.modules, "sim.conformance", fake_conformance)
    return result


@pytest.fixture
def run(tmp_path, monkeypatch, network_file, verification, capfd):
    """Run the command line; returns its exit status, stdout and stderr."""
    monkeypatch.setattr(job, "make_plan", fake_plan)
    monkeypatch.setattr(Board, "make_top", lambda *_: Counter(4))

    def run(*arguments: str, network: Path | str | None = network_file, clock: str | None = "12"):
        argv = ["--board", "icebreaker", "--output", str(tmp_path / "out")]
        argv += ["--clock", clock] if clock else []
        argv += ["--network", str(network)] if network else []
        with pytest.raises(SystemExit) as caught:
            build.main([*argv, *arguments])
        stdout, stderr = capfd.readouterr()
        return caught.value.code, stdout, stderr

    return run
