"""What tests/model/common/test_distributed.py lets every process do.

`curves` trains, saves, resumes, and writes the losses of every step; `program` is `python -m
model.train` on a generated data set, in which something happens to the last process alone in its
second epoch. As a program of its own (for torchrun): `train_in_processes.py OUT FAILURE
ARGUMENTS…`.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch

from model import train
from model.common import distributed, files
from model.common.errors import run_cli
from model.data import cifar
from model.dham.shapes import shape_of
from model.training.trainer import Recipe, Trainer
from tests.model.generated import coloured

# fp32: SGD (Muon orthogonalises in bf16), a temperature far from the winner-takes-all and a low
# rate, so that the sums' other order (about 1e-7 of each) is not amplified by winners that change.
# bf16: the compiled code, Muon, and every phase: soft, quantised, frozen after measured statistics.
RUNS = {
    "fp32": {
        "precision": "fp32",
        "optimiser": "sgd",
        "learning_rate": 0.02,
        "t_final": 2.0,
        "soft": 1.0,
        "quantise": 1.0,
        "freeze": 1.0,
    },
    "bf16": {"quantise": 0.5, "freeze": 0.75, "statistics": 2},
}


def trainer(name: str) -> Trainer:
    return Trainer(
        shape=shape_of("dham8", width=16),
        recipe=Recipe(epochs=2, batch=32, other_rate=0.02, **RUNS[name]),
        seed=3,
        training=coloured(160, 1),
        validation=coloured(64, 2),
        device=torch.device("cpu"),
    )


def curves(out: Path) -> None:
    """Losses of every step, also after resuming, and a sum over the weights at the end."""
    with distributed.processes():
        size = distributed.size()
        for name in RUNS:
            losses: list[float] = []
            run = trainer(name)
            run.train_epoch(losses.append)
            run.save(out / f"{name}-{size}.pt")
            run = trainer(name)
            run.load(out / f"{name}-{size}.pt")
            last = run.train_epoch(losses.append)
            found = {
                "losses": losses,
                "training": last.training,
                "validation": last.validation,
                "weights": [float(p.double().norm()) for p in run.network.state_dict().values()],
            }
            if distributed.rank() == 0:
                (out / f"losses-{size}-{name}.json").write_text(json.dumps(found))
            everyone: list[dict | None] = [None] * size
            if size > 1:
                torch.distributed.all_gather_object(everyone, found)
                assert all(other == everyone[0] for other in everyone)  # bit by bit


def program(out: Path, failure: str, arguments: list[str]) -> int:
    """The training program; `failure` is "nan", "interrupt", "die", "full" or "none"."""
    cifar.RECORDS = 64
    train.read_training = lambda *which: cifar.read_training(*which, validation=64)
    inputs, calls = Trainer.inputs, []

    def disturbed(self, index, draw):
        calls.append(1)
        x = inputs(self, index, draw)
        if len(calls) == self.steps + 3 and distributed.rank() == distributed.size() - 1:
            if failure == "nan":
                x = x * float("nan")
            elif failure == "interrupt":
                os.kill(os.getpid(), signal.SIGINT)
            elif failure == "die":
                os._exit(9)
        return x

    if failure == "full" and distributed.first():  # the disk of the first
        vars(files)["open"] = lambda *_: open("/dev/full", "wb")
    Trainer.inputs = disturbed
    return train.main(
        [*arguments, "--data", str(out / "data"), "--output", str(out), "--device", "cpu"]
    )


def child(rank: int, size: int, port: int, log: Path, action: str, *arguments: object) -> None:
    """One of `size` processes, with the variables that torchrun sets; stderr goes to `log`."""
    os.dup2(os.open(log, os.O_CREAT | os.O_WRONLY), 2)
    if size > 1:
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT")
        values = (rank, rank, size, port)
        os.environ.update(zip(names, map(str, values), strict=True))
        os.environ["MASTER_ADDR"] = "127.0.0.1"
    torch.set_num_threads(1)
    run_cli({"curves": curves, "program": program}[action])(*arguments)


if __name__ == "__main__":
    run_cli(program)(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
