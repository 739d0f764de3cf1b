"""What to build: a network, its plan on a board, and how. All of it is known before a build."""

from dataclasses import dataclass, replace
from typing import Any

from hw.boards import Board
from hw.capability import Capability
from hw.compile.plan import Plan, make_plan
from hw.families import find_family
from hw.flow.report import make_plan_report
from model import zoo
from model.common.errors import UserError
from model.network import Network, load

__all__ = ["Job", "board_capability", "prepare"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to build: the network, its plan on the board, and how."""

    board: Board
    network: Network
    plan: Plan
    capability: Capability
    clock_mhz: float
    baud: int
    seed: int
    plan_report: dict[str, Any]


def board_capability(board: Board, lanes: int | None = None) -> Capability:
    """What the board is built for, with another number of lanes if `lanes` is given.

    Raises `UserError` for a number of lanes that cannot be, or that the board has no blocks for.
    """
    if lanes is None:
        return board.capability
    # The processor's memory has the same bytes, whatever the width of a weight word.
    depth = board.capability.weight_depth
    words = board.capability.processor_words * board.capability.lanes // max(lanes, 1)
    try:
        capability = replace(
            board.capability,
            lanes=lanes,
            weight_words=depth - min(words, depth - 1),
            processor_words=words,
        )
    except (TypeError, ValueError) as error:
        raise UserError(str(error)) from error
    family = find_family(board.family)
    for name, need in family.count_blocks(capability).items():
        if need > board.budget[name]:
            raise UserError(
                f"{lanes} lanes need {need} {family.resources[name].short}, {board.title} has "
                f"{board.budget[name]}; {board.capability.lanes} lanes fit"
            )
    return capability


def prepare(
    board: Board,
    network_name: str | None,
    lanes: int | None,
    clock: float | None,
    seed: int,
    baud: int | None = None,
) -> Job:
    """Read the network and plan it: everything that can be said before a build.

    Raises `UserError` for an unsound network, one that does not fit, or parameters out of range.
    """
    clock_mhz = board.default_clock_mhz if clock is None else clock
    if not 0 <= seed < 2**31:
        raise UserError(f"Seed must be 0 to {2**31 - 1}, not {seed}")
    baud = board.baud(board.clock_hz(clock_mhz), baud)
    capability = board_capability(board, lanes)
    network = load(zoo.find(network_name))
    plan = make_plan(network, capability)
    return Job(
        board=board,
        network=network,
        plan=plan,
        capability=capability,
        clock_mhz=clock_mhz,
        baud=baud,
        seed=seed,
        plan_report=make_plan_report(
            board=board, network=network, plan=plan, capability=capability, clock_mhz=clock_mhz
        )
        | {"baud": baud},
    )
