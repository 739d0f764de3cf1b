"""What to build: a network, its plan on a board, and how. All of it is known before a build."""

from dataclasses import dataclass
from typing import Any

from hw.boards import Board
from hw.capability import Capability
from hw.compile.plan import Plan, make_plan
from hw.flow import target
from hw.flow.capability import board_capability
from hw.flow.report import make_plan_report
from model import zoo
from model.common.errors import UserError
from model.network import Network, load

__all__ = ["Job", "prepare"]


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
    seeds: int = 1

    @property
    def all_seeds(self) -> range:
        """Seeds to try."""
        return range(self.seed, self.seed + self.seeds)


def prepare(
    board: Board,
    network_name: str | None,
    lanes: int | None,
    clock: float | None,
    seed: int,
    baud: int | None = None,
    *,
    seeds: int = 1,
    target_rate: float | None = None,
) -> Job:
    """Read the network and plan it: everything that can be said before a build.

    Seeds to try are `seeds`, from `seed` on. `target_rate`, inferences a second, chooses lanes and
    clock (`hw.flow.target.choose`).

    Raises `UserError` for an unsound network, one that does not fit, or parameters out of range.
    """
    if not 0 <= seed < 2**31:
        raise UserError(f"Seed must be 0 to {2**31 - 1}, not {seed}")
    if not 1 <= seeds <= 2**31 - seed:
        raise UserError(f"Seeds must be 1 to {2**31 - seed}, not {seeds}")
    if target_rate is None:
        clock_mhz = board.default_clock_mhz if clock is None else clock
        baud = board.baud(board.clock_hz(clock_mhz), baud)
        capability = board_capability(board, lanes)
        network = load(zoo.find(network_name or board.network))
    else:
        if (lanes, clock) != (None, None):
            raise UserError("--target-rate chooses lanes and clock: leave --lanes and --clock out")
        network = load(zoo.find(network_name or board.network))
        lanes, clock_mhz = target.choose(board, network, target_rate)
        baud = board.baud(board.clock_hz(clock_mhz), baud)
        capability = board_capability(board, lanes)
    try:
        plan = make_plan(network, capability)
    except UserError as error:
        if board.network is None or network_name == board.network:
            raise
        raise UserError(f"{error}; {board.network} of the zoo fits {board.title}") from error
    return Job(
        board=board,
        network=network,
        plan=plan,
        capability=capability,
        clock_mhz=clock_mhz,
        baud=baud,
        seed=seed,
        seeds=seeds,
        plan_report=make_plan_report(
            board=board, network=network, plan=plan, capability=capability, clock_mhz=clock_mhz
        )
        | {"baud": baud},
    )
