"""What the DHAM activation costs in training: images per second, and overhead over a ReLU.

``python benchmarks/activation.py [--network resnet8 --width 32 --group-size 2,4] [--device cuda]``

Every candidate trains the same network on the same random images (time does not depend on them)
by the same optimiser, SGD, in bf16, channels last, in one process, in turn: a round is a few steps
of each, and the table has the median over the rounds and their spread (10 to 90 %). A step is
augmentation, forward, loss, backward and optimiser.

- ReLU: ℓ = 1, through the same code as the DHAM: the overhead is against this one.
- ReLU of torch: `nn.Conv2d`, `nn.BatchNorm2d` and `relu` under autocast to bf16, to be honest.
- DHAM σ_t, σ_WTA: the two kinds of activation while training in floating point; quantised: σ_WTA
  with 4-bit weights and activations.
- "plain torch": without the code that g++ compiles; "torch.compile": the same by `--compile`
  (always on a GPU).

On a CPU the time is that of the processor in this process (other programs on the machine count
less), on a GPU that of the wall clock. The figures are in docs/training.md.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.common.distributed import device_of
from model.common.errors import Parser, UserError, run_cli
from model.common.terminal import Table, console
from model.data.cifar import Images, augment, pack, to_input
from model.dham import fused
from model.dham.shapes import NETWORKS, Shape, shape_of
from model.training.options import numbers
from model.training.trainer import Recipe, Trainer, reuse_memory

RELU = "ReLU (ℓ = 1), same code"


class TorchResNet(nn.Module):
    """The same convolutions with batch normalisation and ReLU, of torch's own layers."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.plan = shape.convolutions()
        self.convolutions, self.shortcuts, self.norms = (nn.ModuleList() for _ in range(3))
        for c in self.plan:
            self.convolutions.append(
                nn.Conv2d(c.inputs, c.channels, c.kernel, c.stride, c.kernel // 2, bias=False)
            )
            self.norms.append(nn.BatchNorm2d(c.channels))
            self.shortcuts.append(
                nn.Conv2d(c.shortcut_channels, c.channels, 1, c.shortcut_stride, bias=False)
                if c.projects
                else nn.Identity()
            )
        self.classifier = nn.Linear(self.plan[-1].channels, shape.classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        tensors = [x]
        with torch.autocast(x.device.type, torch.bfloat16):
            for c, convolution, shortcut, norm in zip(
                self.plan, self.convolutions, self.shortcuts, self.norms, strict=True
            ):
                y = convolution(tensors[c.source])
                if c.projects:  # added before the normalisation, as in the DHAM networks
                    y = y + shortcut(tensors[c.shortcut])
                z = norm(y)
                if c.shortcut is not None and not c.projects:
                    z = z + tensors[c.shortcut]
                tensors.append(z.relu())
            return self.classifier(tensors[-1].mean((2, 3))).float()


@dataclass
class Candidate:
    """One row: how to train a step, and what was measured, in seconds a step, one a round."""

    name: str
    step: Callable[[], tuple[float, float, float]]  # seconds of the step, its forward, its backward
    rounds: list[tuple[float, float, float]] = field(default_factory=list)


class Bench:
    """Images and clock that the candidates share."""

    def __init__(self, options: argparse.Namespace):
        self.options, self.device = options, device_of(options.device)
        draw = torch.Generator().manual_seed(0)
        count = max(256, options.batch)
        pixels = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=draw)
        self.images = Images(pixels, torch.randint(0, 10, (count,), generator=draw))

    def clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
            return time.perf_counter()
        return time.process_time()

    def shape(self, group_size: int) -> Shape:
        options = self.options
        return shape_of(options.network, width=options.width, group_sizes=(group_size,))

    def timed(
        self,
        inputs: Callable[[], tuple[Tensor, Tensor]],
        network: Callable[[Tensor], Tensor],
        finish: Callable[[], None],
        clear: Callable[[], None],
    ) -> tuple[float, float, float]:
        start = self.clock()
        x, labels = inputs()
        before = self.clock()
        loss = F.cross_entropy(network(x), labels)
        middle = self.clock()
        clear()
        loss.backward()
        after = self.clock()
        finish()
        return self.clock() - start, middle - before, after - middle

    def ours(
        self,
        name: str,
        group_size: int,
        *,
        soft=False,
        quantised=False,
        plain=False,
        compiled=False,
    ) -> Candidate:
        recipe = Recipe(
            epochs=1000,
            batch=self.options.batch,
            optimiser="sgd",
            learning_rate=1e-3,
            soft=1.0 if soft else 0.0,
            quantise=0.0 if quantised else 1.0,
            freeze=1.0,
        )
        trainer = Trainer(
            shape=self.shape(group_size),
            recipe=recipe,
            seed=0,
            training=self.images,
            validation=self.images,
            device=self.device,
            compiled=compiled,
        )
        draw = torch.Generator().manual_seed(0)
        trainer.set_mode(trainer.total // 2)
        trainer.network.train()

        def inputs():
            index = torch.randint(0, len(self.images), (recipe.batch,), generator=draw)
            index = index.to(self.device)
            return trainer.inputs(index, draw), trainer.labels[index]

        def finish():
            for optimiser in trainer.optimisers:
                optimiser.step()

        def step():
            available = fused.available
            if plain or compiled:
                fused.available = lambda y, size: False
            try:
                return self.timed(inputs, trainer.network, finish, trainer.network.zero_grad)
            finally:
                fused.available = available

        return Candidate(name, step)

    def torch_relu(self) -> Candidate:
        torch.manual_seed(0)
        network = TorchResNet(self.shape(1)).to(self.device).train()
        optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
        draw = torch.Generator().manual_seed(0)
        packed, labels = pack(self.images.pixels).to(self.device), self.images.labels
        labels = labels.to(self.device)

        def inputs():
            index = torch.randint(0, len(labels), (self.options.batch,), generator=draw)
            index = index.to(self.device)
            return to_input(augment(packed, index, draw)) / 255, labels[index]

        return Candidate(
            "ReLU of torch, autocast",
            lambda: self.timed(inputs, network, optimiser.step, network.zero_grad),
        )

    def candidates(self) -> list[Candidate]:
        found = [self.ours(RELU, 1), self.torch_relu()]
        for size in self.options.group_size:
            found.append(self.ours(f"DHAM ℓ = {size}, σ_t", size, soft=True))
            found.append(self.ours(f"DHAM ℓ = {size}, σ_WTA", size))
            found.append(self.ours(f"DHAM ℓ = {size}, quantised", size, quantised=True))
        size = self.options.group_size[0]
        on_cpu = self.device.type == "cpu"
        if on_cpu and fused.compiled() is not None:
            found.append(self.ours("ReLU (ℓ = 1), plain torch", 1, plain=True))
            found.append(
                self.ours(f"DHAM ℓ = {size}, σ_t, plain torch", size, soft=True, plain=True)
            )
        if self.options.compile or not on_cpu:
            found.append(self.ours("ReLU (ℓ = 1), torch.compile", 1, compiled=True))
            found.append(
                self.ours(f"DHAM ℓ = {size}, σ_t, torch.compile", size, soft=True, compiled=True)
            )
        return found


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, and the 10th and 90th percentile."""
    cuts = statistics.quantiles(values, n=10, method="inclusive") if len(values) > 1 else values * 9
    return statistics.median(values), cuts[0], cuts[-1]


def rows_of(candidates: list[Candidate], batch: int) -> list[dict]:
    """Figures of each candidate: milliseconds a step, images a second, overhead over the ReLU.

    The overhead is the median over the rounds of the quotient within a round.
    """
    base = next(c for c in candidates if c.name == RELU)
    rows = []
    for candidate in candidates:
        step, low, high = spread([total for total, _, _ in candidate.rounds])
        quotients = [
            mine[0] / other[0] - 1
            for mine, other in zip(candidate.rounds, base.rounds, strict=True)
        ]
        overhead, least, most = spread(quotients)
        rows.append(
            {
                "layers": candidate.name,
                "images_per_second": round(batch / step, 1),
                "step_ms": [round(1e3 * value, 2) for value in (step, low, high)],
                "forward_ms": round(1e3 * statistics.median(f for _, f, _ in candidate.rounds), 2),
                "backward_ms": round(1e3 * statistics.median(b for _, _, b in candidate.rounds), 2),
                "overhead_percent": [round(100 * v, 1) for v in (overhead, least, most)],
            }
        )
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--network", default="resnet8", choices=tuple(NETWORKS))
    add("--width", type=int, default=32)
    add("--group-size", type=numbers, default=(2, 4), help="ℓ of the candidates (2,4)")
    add("--batch", type=int, default=128)
    add("--rounds", type=int, default=9, help="repetitions, side by side (9)")
    add("--steps", type=int, default=3, help="steps of each in a round; their median counts (3)")
    add("--threads", type=int, default=1, help="of a CPU (1)")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"))
    add("--compile", action="store_true", help="torch.compile too, on a CPU")
    add("--json", type=Path, help="write the figures here too")
    options = parser.parse_args(arguments)
    for name in ("width", "batch", "rounds", "steps", "threads"):
        if getattr(options, name) < 1:
            raise UserError(
                f"{name.capitalize()} must be a positive integer, not {getattr(options, name)}"
            )
    torch.set_num_threads(options.threads)
    reuse_memory()
    try:
        bench = Bench(options)
        candidates = bench.candidates()
    except (ValueError, TypeError) as error:
        raise UserError(str(error)) from None
    for candidate in candidates:  # the first steps compile, and fill the allocator
        candidate.step(), candidate.step()
    for _ in range(options.rounds):
        for candidate in candidates:
            times = sorted(candidate.step() for _ in range(options.steps))
            candidate.rounds.append(times[len(times) // 2])
    rows = rows_of(candidates, options.batch)
    table = Table("layers", "images/s", "ms a step (10–90 %)", "forward", "backward", "overhead, %")
    for row in rows:
        step, low, high = row["step_ms"]
        overhead, least, most = row["overhead_percent"]
        table.add(
            row["layers"],
            f"{row['images_per_second']:.0f}",
            f"{step:.1f} ({low:.1f}–{high:.1f})",
            f"{row['forward_ms']:.1f}",
            f"{row['backward_ms']:.1f}",
            "" if row["layers"] == RELU else f"{overhead:+.1f} ({least:+.1f} to {most:+.1f})",
        )
    table.show(console())
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    run_cli(main)()
