"""`memory`: the sparse hetero-associative memory and its relatives (`model.memory`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from model.common.errors import UserError, how_stopped
from model.common.lazy import torch
from model.experiments.session import Experiment, Session
from model.memory import experiment
from model.training.hardware import hardware

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MEMORY"]


def run(session: Session) -> None:
    quick = session.scale.name == "quick"
    keys = experiment.keys(quick, session.seeds)
    done = [key for key in keys if key in session.records]
    task = session.progress.add_task("all", total=len(keys), completed=len(done), state="")
    begun = time.perf_counter()
    try:
        with session.progress:
            for record in experiment.run(
                quick, session.seeds, lambda text: session.progress.update(task, state=text), done
            ):
                seconds, begun = time.perf_counter() - begun, time.perf_counter()
                more = {
                    "scale": session.scale.name,
                    "hardware": hardware(torch.device("cpu")),  # whatever trains networks
                    "commit": session.store.commit,
                    "seconds": round(seconds, 2),
                }
                session.records.append(record | more)
                session.progress.advance(task)
    except KeyboardInterrupt as error:
        word, status = how_stopped(error)
        raise UserError(
            f"{word.capitalize()}: all finished measurements are recorded; the same command goes "
            "on",
            status,
        ) from None


def tables(session: Session) -> str:
    records = session.records.all()
    where = {
        key: "; ".join(dict.fromkeys(str(r[key]) for r in records))
        for key in ("hardware", "commit")
    }
    seeds = ", ".join(map(str, sorted({r["seed"] for r in records if "seed" in r})))
    body = experiment.tables(records).replace("# ", "## ", 1)
    return (
        f"{body.strip()}\n\nSeeds {seeds}; hardware {where['hardware']}; commit {where['commit']}. "
        "The paper prints no numbers for these memories; the theory stands beside ours.\n"
    )


def figures(session: Session) -> dict[str, Figure]:
    return experiment.figures(session.records.all())


MEMORY = Experiment(
    name="memory",
    takes=("--seeds",),
    notes={
        "quick": "QUICK RUN: smaller memories, fewer loads and probes. It shows that everything "
        "runs; its numbers are no results."
    }
    | dict.fromkeys(
        ("cpu", "full"),
        "Patterns are stored, nothing is trained: one size for all scales but quick.",
    ),
    summary="retrieval error against load, and capacity, beside the theory",
    run=run,
    tables=tables,
    figures=figures,
)
