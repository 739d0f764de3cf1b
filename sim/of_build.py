"""The verification that a build is given: the RTL of a job, simulated by cocotb."""

from collections.abc import Callable
from pathlib import Path

from hw.flow.job import Job
from hw.flow.tools import Toolchain
from hw.flow.verification import Verification

__all__ = ["verify"]


def verify(
    job: Job, directory: Path, tools: Toolchain, progress: Callable[[str], None]
) -> Verification:
    """Run the RTL on the network's golden vectors, and on the conformance set of its capability.

    Simulations leave their files in `directory`; `progress` is called with a line of text now and
    then. A difference does not raise. Raises `UserError` if there are no golden vectors, or if a
    tool fails.
    """
    # Here, not above: cocotb is not needed before a build verifies.
    from sim.conformance import verify_conformance
    from sim.model import compile_model
    from sim.verify import verify as run

    clock_hz = job.board.clock_hz(job.clock_mhz)
    with tools.exported():
        model = compile_model(job.capability, clock_hz=clock_hz, progress=progress)
        network = run(job.plan, workdir=directory, progress=progress, model=model)
        conformance = verify_conformance(model, directory / "conformance", progress)
    return Verification(network=network, conformance=conformance)
