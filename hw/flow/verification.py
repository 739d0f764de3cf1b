"""What the RTL was compared on, and what a build refuses of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hw.compile.plan import Plan
from model.common.errors import UserError

__all__ = ["ConformanceFound", "CoverageFound", "NetworkFound", "Verification", "check"]


class NetworkFound(Protocol):
    """A network's golden vectors: frames compared, cycles of each, the first difference."""

    @property
    def frames(self) -> int: ...
    @property
    def cycles(self) -> Sequence[int]: ...
    @property
    def mismatch(self) -> str | None: ...


class CoverageFound(Protocol):
    """What of the hardware the conformance set exercised, and what it has no room for."""

    @property
    def features(self) -> Sequence[str]: ...
    @property
    def missing(self) -> Sequence[str]: ...
    @property
    def fields(self) -> Mapping[str, Any]: ...


class ConformanceFound(Protocol):
    """The conformance set: networks and frames that ran, the first difference, the coverage."""

    @property
    def networks(self) -> int: ...
    @property
    def frames(self) -> int: ...
    @property
    def mismatch(self) -> str | None: ...
    @property
    def coverage(self) -> CoverageFound: ...


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What the RTL was compared on: the network's golden vectors, and the conformance set."""

    network: NetworkFound
    conformance: ConformanceFound


def check(verification: Verification, plan: Plan, name: str) -> None:
    """Raise `UserError`, exit status 1, if anything differs or if nothing was compared.

    `plan` bounds the cycles of a frame; `name` is the network's, for messages.
    """
    result, conformance = verification.network, verification.conformance
    if result.mismatch:
        raise UserError(f"Verification failed: {result.mismatch}", status=1)
    if result.frames < 1:
        raise UserError("Verification failed: it compared no frame", status=1)
    if len(result.cycles) != result.frames:
        raise UserError(
            f"Verification failed: it counted the cycles of {len(result.cycles)} of "
            f"{result.frames} frames",
            status=1,
        )
    if max(result.cycles) > plan.cycles:
        raise UserError(
            f"Verification failed: the plan allows {plan.cycles:,} cycles a frame, the RTL took "
            f"{max(result.cycles):,}",
            status=1,
        )
    if conformance.mismatch:
        raise UserError(
            f"Verification failed: {name} is computed right, but this bitstream is for "
            f"any network, and not all are: {conformance.mismatch}",
            status=1,
        )
    if conformance.frames < 1:
        raise UserError("Verification failed: the conformance set compared no frame", status=1)
