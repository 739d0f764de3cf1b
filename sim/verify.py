"""Verification: the RTL, run on a network's golden vectors, equals them bit for bit.

Every layer's records, the logits, the class, the cycles of every layer and of the frame, for
several frames back to back. What is expected comes from the network file; no torch is needed.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hw.compile.plan import Plan
from model.common.errors import UserError
from model.integers import oracle
from model.network import Network, record_digest
from sim.compare import Expected, compare
from sim.model import DEFAULT_CLOCK_HZ, Model, compile_model
from sim.run import Job, simulate

__all__ = ["Stimulus", "VerificationResult", "expect", "expected_of", "verify", "verify_all"]


@dataclass(kw_only=True)
class VerificationResult:
    """What was compared, and whether it was equal.

    ``frames``, ``layers``, ``records`` count what was compared; ``cycles`` is what each frame took;
    ``layer_cycles``, frame by frame, from each layer's first word to the next one's;
    ``mismatch`` is the first difference (None: none); ``seconds`` maps each step to the time it
    took; ``waves`` is the waveform file, if one was asked for.
    """

    frames: int
    layers: int
    records: int
    cycles: tuple[int, ...]
    layer_cycles: tuple[tuple[int, ...], ...]
    mismatch: str | None
    seconds: dict[str, float] = field(default_factory=dict)
    waves: Path | None = None

    @property
    def ok(self) -> bool:
        return self.mismatch is None and self.frames > 0 and self.records > 0


@dataclass(frozen=True, kw_only=True)
class Stimulus:
    """A network's plan, for the capability of the model, and what it must make of some images.

    ``aborts``: before that, frames are aborted after such parts of the plan's bound.
    """

    plan: Plan
    expected: Expected
    aborts: tuple[float, ...] = (0.4,)


def expect(network: Network, images: np.ndarray, run=oracle.run) -> Expected:
    """What `network` makes of `images`, by an integer reference: our oracle, or torch's."""
    return expected_of(images, run(network, images))


def expected_of(images: np.ndarray, result: oracle.Result) -> Expected:
    """What a reference found, as it is compared."""
    digests = [
        [record_digest(layer.value[frame], layer.winner[frame]) for layer in result.records]
        for frame in range(len(images))
    ]
    return Expected(images=np.asarray(images), digests=digests, logits=result.logits)


def golden(network: Network, frames: int | None = None) -> Expected:
    """The golden vectors of a network's file, or the first `frames` of them."""
    if network.golden is None:
        raise UserError(
            f"Network {network.name!r} has no golden vectors, so nothing could be compared: make "
            "them with `python -m model.golden FILE --output FILE`",
            status=1,
        )
    if frames is not None and frames < 1:
        raise UserError(f"Frames must be a positive integer, not {frames}")
    vectors = network.golden
    images = vectors.images[:frames]
    return Expected(
        images=images, digests=vectors.digests[: len(images)], logits=vectors.logits[: len(images)]
    )


def verify(
    plan: Plan,
    frames: int | None = None,
    workdir: Path | None = None,
    progress: Callable[[str], None] | None = None,
    *,
    expected: Expected | None = None,
    clock_hz: int = DEFAULT_CLOCK_HZ,
    simulator: str = "verilator",
    waves: bool = False,
    model: Model | None = None,
    cache: Path | None = None,
) -> VerificationResult:
    """Run the RTL for a plan's capability on its network, and compare.

    Parameters
    ----------
    plan : Plan
        Of a network with golden vectors, unless `expected` is given.
    frames : int
        Compare only so many of the golden frames; default: all.
    workdir : Path
        Where the simulation leaves its files; default: a temporary folder.
    progress : callable
        Called with a line of text now and then.
    expected : Expected
        Other images and what the network must make of them (see `expect`).
    clock_hz, simulator, waves, cache
        As for `sim.model.compile_model`.
    model : Model
        A compiled model to use.

    A difference does not raise: it is the result's `mismatch`.

    Raises `UserError` if the network has no golden vectors, or if a tool fails.
    """
    expected = expected or golden(plan.network, frames)
    if len(expected.images) == 0:
        raise UserError("No frame to compare: a verification that compares nothing is none", 1)
    started = time.monotonic()
    if model is None:
        model = compile_model(
            plan.capability,
            clock_hz=clock_hz,
            simulator=simulator,
            waves=waves,
            cache=cache,
            progress=progress,
        )
    compiled = time.monotonic()
    count = len(expected.images)

    def report(done, frames):
        if progress:
            ran = count if done else frames
            progress(f"{ran} of {count} frames run, each of {plan.cycles:,} cycles at most")

    with tempfile.TemporaryDirectory(prefix="dham-sim-") as temporary:
        directory = Path(temporary) if workdir is None else Path(workdir)
        stimulus = Stimulus(plan=plan, expected=expected)
        result = verify_all(model, [stimulus], directory, report if progress else None)[0]
        if waves and workdir is not None:
            result.waves = directory / "dump.vcd"
    result.seconds["compile"] = compiled - started
    return result


def verify_all(
    model: Model,
    stimuli: Sequence[Stimulus],
    directory: Path,
    progress: Callable[[int, int], None] | None = None,
) -> list[VerificationResult]:
    """Run many networks, one after the other without a reset, on one compiled model.

    Each job begins with frames that are aborted midway (`Stimulus.aborts`): the frames that are
    compared must not feel them. `progress` is called with the jobs done, and the frames done of
    the next one.
    """
    jobs = [
        Job(
            plan=one.plan,
            images=one.expected.images,
            aborts=tuple(round(part * one.plan.cycles) for part in one.aborts),
        )
        for one in stimuli
    ]
    started = time.monotonic()
    logs = simulate(model, jobs, directory, progress=progress)
    simulated = time.monotonic()
    results = []
    for one, log in zip(stimuli, logs, strict=True):
        found = compare(one.plan, one.expected, log)
        results.append(
            VerificationResult(
                frames=found.frames,
                layers=found.layers,
                records=found.records,
                cycles=found.cycles,
                layer_cycles=found.layer_cycles,
                mismatch=found.mismatch or _nothing(found),
                seconds={"simulate": simulated - started},
            )
        )
    if results:
        results[0].seconds["compare"] = time.monotonic() - simulated
    return results


def _nothing(found):
    if found.frames < 1 or found.records < 1:
        return "nothing was compared"
    return None
