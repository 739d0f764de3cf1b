"""The conformance set, run on the RTL: every field of the layer table, at its limits.

"A network is data": a bitstream that computes one network right may compute the next one wrong. The
set (`sim.conformance_networks`) is drawn for a capability, the same each time. Every build runs the
set beside its own network (`hw.build`). What of the hardware the set exercised is counted from its
plans and records (`sim.coverage`). A capability too small for a feature leaves it out, and
`Coverage.missing` says so.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hw.compile.plan import make_plan
from model.integers import oracle
from sim.conformance_networks import conformance_set
from sim.coverage import Coverage, coverage
from sim.model import Model
from sim.networks import images_for
from sim.verify import Stimulus, expected_of, verify_all

__all__ = ["ConformanceResult", "verify_conformance"]

_FRAMES = 2  # of each network


@dataclass(frozen=True, kw_only=True)
class ConformanceResult:
    """Networks and frames that ran, the first difference (None: none), what they exercised."""

    networks: int
    frames: int
    mismatch: str | None
    coverage: Coverage


def verify_conformance(
    model: Model,
    workdir: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> ConformanceResult:
    """Run the conformance set of a compiled model's capability; every record and cycle is compared.

    What is expected is the numpy oracle's. Raises `UserError` where the simulation fails.
    """
    networks = conformance_set(model.capability)
    plans = [make_plan(network, model.capability) for network in networks]
    stimuli, values = [], []
    for number, (network, plan) in enumerate(zip(networks, plans, strict=True)):
        images = images_for(network, number, _FRAMES)
        result = oracle.run(network, images)
        stimuli.append(Stimulus(plan=plan, expected=expected_of(images, result)))
        values.append([layer.value for layer in result.records])

    def report(done: int, frames: int) -> None:
        if progress:
            progress(f"{done} of {len(networks)} networks of the conformance set run")

    with tempfile.TemporaryDirectory(prefix="dham-conformance-") as temporary:
        results = verify_all(model, stimuli, workdir or Path(temporary), report)
    differences = [
        f"conformance network {network.name!r}: {result.mismatch}"
        for network, result in zip(networks, results, strict=True)
        if result.mismatch
    ]
    return ConformanceResult(
        networks=len(results),
        frames=sum(result.frames for result in results),
        mismatch=differences[0] if differences else None,
        coverage=coverage(plans, values),
    )
