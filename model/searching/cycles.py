"""Cycles of one frame on a board, as `python -m hw.build --board NAME --plan --json` predicts them.

The plan is asked of that program: `model` does not import `hw`. One process of it plans all shapes.
What the program is given is an untrained network of the shape as a network file, by the export that
trained ones go through. Cycles and memory depend on the shape alone. Of the values only the width
of the accumulators does, and it is that of trained weights within a bit: both have the same
distribution of levels.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from model.common.errors import UserError
from model.common.lazy import torch
from model.common.repeated import Repeated
from model.dham.shapes import Shape
from model.network import Network, save
from model.searching.space import DoesNotFit
from model.training.export import export

__all__ = ["BoardCycles", "untrained"]

SMALLEST = Shape(stem=1, stages=(), group_sizes=(1,), size=4, classes=2)  # fits any board

_ROOT = Path(__file__).resolve().parents[2]  # of the packages
_BUILD = "hw.build"


def untrained(shape: Shape) -> Network:
    """A quantised network of `shape` with the same random weights each time."""
    from model.dham.resnet import ResNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = ResNet(shape).eval()
    network.mode.quantised = True
    return export(network, "untrained", [str(number) for number in range(shape.classes)])


class BoardCycles:
    """Cost of a shape for `model.search`: the most cycles that a frame takes on `board`; a call
    plans it.

    Attributes
    ----------
    unit : str
        Its name in a study.
    clock_hz : float
        The board's clock.

    Raises ``UserError`` for an unknown board or a plan that fails; a call also ``DoesNotFit``, with
    the plan's reason, for a network that does not fit the board.
    """

    def __init__(self, board: str):
        self.board, self.unit = board, f"cycles on {board}"
        # In that folder ours is the `hw` that is found, whatever the user's folder holds.
        self.build = Repeated(_BUILD, _ROOT)
        try:
            self.clock_hz = 1e6 * self.plan(SMALLEST)["clock_mhz"]
        except DoesNotFit as error:  # then it is not the network that is wrong
            raise UserError(str(error)) from None

    def __call__(self, shape: Shape) -> int:
        return self.plan(shape)["cycles_bound"]

    def plan(self, shape: Shape) -> dict:
        """The plan's report for a network of `shape`."""
        words = ["--board", self.board, "--plan", "--json"]
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.dham"
            save(untrained(shape), file)
            done = self.build([*words, "--network", str(file)])
        if done.returncode == 0:
            return json.loads(done.stdout)
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        reason = lines[-1].removeprefix("error: ")
        if done.returncode == 2:
            raise DoesNotFit(reason)
        raise UserError(f"python -m {' '.join([_BUILD, *words])} failed: {reason}")
