"""`hw.build`: its command line, its stages and what it leaves behind, on a small stand-in design.

Plan and verification are fakes here, so that failures of every kind can be made; yosys, nextpnr
and icepack are the real ones.
"""

import errno
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from amaranth.hdl import Cat, Elaboratable, Instance, Module, Signal
from amaranth.lib import io

from hw import build
from hw.boards import Board, find_board
from hw.flow import job
from hw.flow import steps as flow
from hw.flow.tools import Toolchain
from hw.soc import boot
from model.common.errors import UserError
from model.network import save
from sim.conformance import ConformanceResult
from sim.coverage import Coverage
from sim.networks import random_network

CYCLES = 1234


class Counter(Elaboratable):
    """A counter on an LED, `bits` long: the carry chain sets the clock that is reached."""

    def __init__(self, bits: int):
        self.bits = bits

    def elaborate(self, platform):
        m = Module()
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        count = Signal(self.bits)
        m.d.sync += count.eq(count + 1)
        m.d.comb += led.o.eq(count[-1])
        return m


class FakePlan(SimpleNamespace):
    def images(self):
        return {"weights": [1, 2, 3], "layers": [0xFFFF_FFFF]}


def fake_plan(network, capability):
    layers = [
        SimpleNamespace(
            name=layer.name,
            kind=layer.kind,
            input_shape=(1, 1, 1),
            output_shape=(4, 4, layer.channels),
            group_size=getattr(layer, "group_size", 1),
            weight_bits=layer.weight_bits,
            multiplications_dense=1000,
            multiplications=500,
            cycles=100,
            utilisation=0.5,
            weight_words=10,
            activation_words=20,
        )
        for layer in network.layers
    ]
    return FakePlan(
        layers=layers,
        cycles=CYCLES,
        utilisation=0.5,
        multiplications=500 * len(layers),
        memory={"weight words": (10, 100)},
    )


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
        frames=4, cycles=CYCLES, mismatch=None, seconds=0.1,
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

    def run(*arguments: str, network: Path | str | None = network_file):
        argv = ["--board", "icebreaker", "--output", str(tmp_path / "out"), "--clock", "12"]
        argv += ["--network", str(network)] if network else []
        with pytest.raises(SystemExit) as caught:
            build.main([*argv, *arguments])
        stdout, stderr = capfd.readouterr()
        return caught.value.code, stdout, stderr

    return run


def out(tmp_path) -> Path:
    return tmp_path / "out"


def test_whole_build(run, tmp_path, network_file):
    status, stdout, stderr = run()
    assert status == 0, stderr
    assert "SKIPPED" not in stdout + stderr
    assert "Placing and routing" in stderr
    report = json.loads((out(tmp_path) / "report.json").read_text())
    assert report["network"]["top1"] == 85.5
    assert report["clock_mhz"] == 12
    assert report["fmax_mhz"] > 12
    assert len(report["design_sha256"]) == 64
    assert report["cycles_predicted"] == report["cycles_rtl"] == CYCLES
    assert report["verified"] == 4
    assert report["verification"]["conformance"] == {
        "networks": 3, "frames": 6, "features": ["binary layer"], "missing": ["largest stride"],
        "fields": {"stride": [1, 2]},
    }  # fmt: skip
    assert "conformance set: 3 networks, 1 features, without largest stride" in stdout
    assert report["inferences_per_second"] == pytest.approx(12e6 / CYCLES)
    assert report["array_utilisation"] == 0.5
    assert set(report["resources"]) == {"lc", "dsp", "ebr", "spram"}
    assert report["resources"]["lc"] > 4
    assert {"plan", "rtl", "verification", "synthesis", "place_and_route"} <= set(report["seconds"])
    names = {path.name for path in out(tmp_path).iterdir()}
    assert {"top.bin", "top.v", "report.html", "logs"} <= names
    assert not [name for name in names if name.startswith(".") or name == "failed"]
    logs = {path.name for path in (out(tmp_path) / "logs").iterdir()}
    assert {"synthesis.log", "nextpnr.log", "icepack.log", "verification-run.log"} <= logs


def test_the_rate_of_the_serial_line(run, monkeypatch):
    """It reaches the design and the report; a rate that cannot be is refused at once."""
    made = []

    def make_top(board, capability, clock_mhz, baud):
        made.append((clock_mhz, baud))
        return Counter(4)

    monkeypatch.setattr(Board, "make_top", make_top)
    assert json.loads(run("--plan", "--json")[1])["baud"] == 3_000_000
    assert json.loads(run("--baud", "1000000", "--json")[1])["baud"] == 1_000_000
    assert made == [(12, 1_000_000)]
    status, _, stderr = run("--baud", "115200")
    assert status == 2 and stderr.splitlines()[-1] == (
        "error: 1BitSquared iCEBreaker has no baud rate 115200 at 12 MHz; known: 3000000, 2000000, "
        "1000000"
    )


def test_json_is_all_that_stdout_has(run, tmp_path):
    status, stdout, _ = run("--json")
    assert status == 0
    assert json.loads(stdout) == json.loads((out(tmp_path) / "report.json").read_text())


def test_skipped_verification_is_shouted(run, tmp_path):
    status, stdout, stderr = run("--skip-verification")
    assert status == 0
    assert "VERIFICATION IS SKIPPED" in stderr
    assert "VERIFICATION WAS SKIPPED" in stdout
    report = json.loads((out(tmp_path) / "report.json").read_text())
    assert report["verified"] == 0
    assert report["cycles_rtl"] is None
    assert "VERIFICATION WAS SKIPPED" in (out(tmp_path) / "report.html").read_text()


def test_plan_prints_every_layer_and_builds_nothing(run, tmp_path, network_file):
    status, stdout, _ = run("--plan")
    assert status == 0
    for layer in random_network(1).layers:
        assert layer.name in stdout
    assert f"{CYCLES:,} cycles a frame" in stdout
    assert not out(tmp_path).exists()


def test_plan_as_json(run):
    status, stdout, _ = run("--plan", "--json")
    assert status == 0
    plan = json.loads(stdout)
    assert plan["cycles_predicted"] == CYCLES
    assert len(plan["layers"]) == len(random_network(1).layers)


def test_clock_not_met_fails_and_leaves_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(Board, "make_top", lambda *_: Counter(400))
    status, stdout, stderr = run("--seed", "3")
    assert status == 2
    assert "error: Clock not met:" in stderr
    assert "MHz of 12.00 MHz with seed 3 on the way from " in stderr
    assert "; try another --seed; log: " in stderr
    assert {path.name for path in out(tmp_path).iterdir()} == {"failed"}
    assert (out(tmp_path) / "failed" / "logs" / "nextpnr.log").exists()


def test_failed_verification_is_status_1_and_keeps_the_earlier_build(run, tmp_path, verification):
    assert run()[0] == 0
    before = {path: path.read_bytes() for path in out(tmp_path).iterdir() if path.is_file()}
    verification.mismatch = "frame 2, layer conv1, position (3, 4), channel 5: expected 1, got 2"
    status, _, stderr = run("--seed", "2")
    assert status == 1
    assert f"error: Verification failed: {verification.mismatch}" in stderr
    after = {path: path.read_bytes() for path in out(tmp_path).iterdir() if path.is_file()}
    assert after == before
    verification.mismatch = None
    assert run()[0] == 0
    assert not (out(tmp_path) / "failed").exists()


@pytest.mark.parametrize(
    "changes, text",
    [
        (
            {"mismatch": "conformance network 'tall': frame 0"},
            "conformance network 'tall': frame 0",
        ),
        ({"frames": 0}, "Verification failed: the conformance set compared no frame"),
    ],
)
def test_conformance_set_fails(run, tmp_path, verification, changes, text):
    """The network itself is right: the bitstream is not."""
    verification.conformance = replace(verification.conformance, **changes)
    status, _, stderr = run()
    assert status == 1 and text in stderr and stderr.count("error:") == 1
    assert not (out(tmp_path) / "report.json").exists()


def test_verification_that_compared_nothing_fails(run, verification):
    verification.frames = 0
    status, _, stderr = run()
    assert status == 1
    assert "it compared no frame" in stderr


def test_cycles_must_be_those_of_the_plan(run, verification):
    verification.cycles = CYCLES + 1
    status, _, stderr = run()
    assert status == 1
    assert "the plan predicts 1,234 cycles a frame, the RTL took 1,235" in stderr


def test_same_seed_same_bitstream(tmp_path):
    """Whatever the folder is called; another seed gives another layout."""
    board = find_board("icebreaker")

    def bitstream(name: str, seed: int) -> bytes:
        work = flow.Workspace(directory=tmp_path / name)
        work.directory.mkdir()
        flow.elaborate(board, Counter(20), work)
        flow.synthesise(Toolchain(), board, work)
        flow.place_and_route(Toolchain(), board, work, seed=seed, clock_mhz=12)
        flow.pack(Toolchain(), board, work)
        return (work.directory / "top.bin").read_bytes()

    first = bitstream("a", 1)
    assert first == bitstream("a-folder-with-a-longer-name", 1)
    assert first != bitstream("b", 2)


def test_digest_of_a_design(monkeypatch):
    """The same for the same hardware; another one for whatever else, with no version number
    changed: a bit of the watchdog, the clock, the engine."""
    board = find_board("icebreaker")

    def digest(clock_mhz=36.0, **changes):
        capability = replace(board.capability, **changes)
        return flow.design_sha256(board, board.make_top(capability, clock_mhz))

    ours = digest()
    others = {digest(), digest(30.0), digest(layer_entries=board.capability.layer_entries // 2)}
    monkeypatch.setattr(boot, "SILENCE_BIT", boot.SILENCE_BIT - 1)
    others.add(digest())
    assert ours in others and len(others) == 4


def test_design_that_is_too_large(tmp_path):
    class Large(Elaboratable):
        def elaborate(self, platform):
            m = Module()
            m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
            count, products = Signal(16), []
            m.d.sync += count.eq(count + 1)
            for index in range(9):
                products.append(Signal(32, name=f"product{index}"))
                m.submodules += Instance(
                    "SB_MAC16", i_A=count, i_B=count ^ index, o_O=products[index]
                )
            m.d.comb += led.o.eq(Cat(products).xor())
            return m

    work = flow.Workspace(directory=tmp_path)
    board = find_board("icebreaker")
    flow.elaborate(board, Large(), work)
    flow.synthesise(Toolchain(), board, work)
    with pytest.raises(UserError, match="does not fit iCE40UP5K: it needs 9 DSP blocks of 8;"):
        flow.place_and_route(Toolchain(), board, work, seed=1, clock_mhz=12)


def test_clock_that_nothing_runs_at_is_no_success(tmp_path):
    work = flow.Workspace(directory=tmp_path)
    board = find_board("icebreaker")
    flow.elaborate(board, Counter(4), work)
    flow.synthesise(Toolchain(), board, work)
    with pytest.raises(UserError, match="No clock of the placed design is constrained to 36 MHz"):
        flow.place_and_route(Toolchain(), board, work, seed=1, clock_mhz=36)


@pytest.mark.parametrize(
    ("arguments", "network", "message"),
    [
        (["--board", "icebraker"], None, "Unknown board 'icebraker': did you mean icebreaker?"),
        ([], "no-such-network", "Unknown network 'no-such-network': "),
        ([], "no/such/file.dham", "No network file no/such/file.dham"),
        (["--lanes", "3"], "", "Lanes must be a multiple of 8, not 3"),
        (["--lanes", "-8"], "", "Lanes must be a positive integer, not -8"),
        (["--clock", "0"], "", "Clock must be a positive number of MHz, not 0"),
        (["--clock", "1000"], "", "Clock of 1000 MHz is not reachable"),
        (["--clock", "nan"], "", "Clock must be a positive number of MHz, not nan"),
        (["--seed", "-1"], "", "Seed must be 0 to 2147483647, not -1"),
    ],
)
def test_bad_arguments(run, network_file, arguments, network, message):
    status, stdout, stderr = run(*arguments, network=network_file if network == "" else network)
    assert status == 2
    lines = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert message in lines[0]


def test_damaged_network_file(run, network_file):
    data = bytearray(network_file.read_bytes())
    data[-40] ^= 1
    network_file.write_bytes(data)
    status, _, stderr = run()
    assert status == 2
    assert f"error: Network file {network_file}" in stderr


def test_network_that_does_not_fit(run, monkeypatch):
    def too_large(network, capability):
        raise UserError("Weights need 20,000 words of 16,384")

    monkeypatch.setattr(job, "make_plan", too_large)
    status, _, stderr = run()
    assert status == 2
    assert "error: Weights need 20,000 words of 16,384" in stderr


def test_output_that_is_a_file(run, tmp_path):
    out(tmp_path).write_text("mine")
    status, _, stderr = run()
    assert status == 2
    assert "--output must be a folder" in stderr
    assert out(tmp_path).read_text() == "mine"


def test_missing_tool_is_said_before_the_work(run, monkeypatch, tmp_path):
    monkeypatch.setenv("NEXTPNR_ICE40", "not-there")
    status, _, stderr = run()
    assert status == 2
    assert "NEXTPNR_ICE40 names 'not-there'" in stderr
    assert not out(tmp_path).exists()


def test_failing_tool_names_a_log_that_exists(run, tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "synthesise", lambda tools, board, work: work.run(
        tools, "yosys", ["no-such-script.ys"], "synthesis.log"
    ))  # fmt: skip
    status, _, stderr = run()
    assert status == 2
    log = out(tmp_path) / "failed" / "logs" / "synthesis.log"
    assert f"log: {log};" in stderr
    assert "no-such-script.ys" in log.read_text()


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
def test_interrupt_and_full_disk_leave_nothing(run, tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(flow, "pack", fail)
    status, _, stderr = run()
    assert status == (130 if isinstance(error, KeyboardInterrupt) else 2)
    assert "Traceback" not in stderr
    assert ("interrupted" if status == 130 else "No space left") in stderr
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".dham"]
    assert all("failed" in path.parts for path in left)
