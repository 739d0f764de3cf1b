"""A network in training: schedules, the steps of an epoch, losses that stop it, checkpoints.

`model.training.loop` trains epoch by epoch, `model.training.recipe` has the numbers.
"""

from __future__ import annotations

import ctypes
import math
import platform
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.common import distributed
from model.common.errors import Terminated, UserError
from model.common.lazy import torch, without_gradients
from model.data.cifar import Images, augment, pack, to_input
from model.dham.activation import Temperature
from model.dham.shapes import Shape
from model.training import checkpoint
from model.training.distil import check_teacher, distillation_loss
from model.training.optimisers import optimisers
from model.training.recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from torch import Tensor

    from model.dham.resnet import ResNet

__all__ = ["RECIPES", "Epoch", "Recipe", "Trainer", "accuracy", "reuse_memory"]

STOPPING = (signal.SIGINT, signal.SIGTERM)  # signals that all processes answer alike
LOSSES_READ = {"cpu": 1, "cuda": 20}  # a GPU is waited for only once in so many steps


@dataclass(frozen=True)
class Epoch:
    """What is measured in an epoch; accuracies in percent."""

    epoch: int
    loss: float
    training: float
    validation: float
    rate: float
    temperature: float | None
    quantised: bool
    seconds: float


def reuse_memory() -> None:
    """Make glibc keep freed memory: activations of megabytes are otherwise mapped anew each step.

    Page faults are two thirds of a step without it.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((-3, 1 << 30), (-1, 2**31 - 1), (-2, 256 << 20)):
            mallopt(parameter, value)  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD


def accuracy(
    network: ResNet, images: Images, batch: int = 500, dtype: torch.dtype | None = None
) -> float:
    """Top-1 in percent: exported integers if the network's mode is quantised, else `dtype`.

    Processes that train together share the batches, and all have the result.
    """
    from model.dham.resnet import evaluating

    right = torch.zeros((), dtype=torch.int64, device=images.labels.device)
    with evaluating(network):
        for first in range(0, len(images), batch):
            if first // batch % distributed.size() == distributed.rank():
                x = to_input(images.pixels[first : first + batch], dtype)
                right += (network(x).argmax(1) == images.labels[first : first + batch]).sum()
    return 100 * int(distributed.total(right)) / len(images)


class Trainer:
    """A network in training.

    Parameters
    ----------
    shape, recipe, seed
        Together with the data and the teacher they determine the result on a given machine.
    training, validation : Images
    device : torch.device
    teacher : ResNet or None
        A trained network (`model.training.checkpoint.load_network`) from whose logits the student
        learns too, by the recipe's `distil` and `distil_temperature`.
    compiled : bool
        Normalisation and activation by `torch.compile` where `model.dham.fused` does not serve.

    Raises `UserError` for fewer images than a batch, a batch that does not split into equal parts
    for the processes (`model.common.distributed`), or a teacher of other classes.
    """

    def __init__(
        self,
        *,
        shape: Shape,
        recipe: Recipe,
        seed: int,
        training: Images,
        validation: Images,
        device: torch.device,
        teacher: ResNet | None = None,
        compiled: bool = False,
    ):
        from model.dham.resnet import ResNet

        self.shape, self.recipe, self.seed, self.device = shape, recipe, seed, device
        torch.manual_seed(seed)
        self.network = ResNet(shape).to(device)
        self.network.mode.compiled = compiled
        self.optimisers = optimisers(self.network, recipe)
        self.packed = pack(training.pixels).to(device)
        self.labels = training.labels.to(device)
        self.validation = validation.to(device)
        if len(self.labels) < recipe.batch:
            raise UserError(
                f"{len(self.labels)} training images are fewer than a batch of {recipe.batch}"
            )
        count = distributed.size()
        if recipe.batch % count:
            raise UserError(
                f"A batch of {recipe.batch} does not split into equal parts for {count} processes"
            )
        own = recipe.batch // count
        self.part = slice(distributed.rank() * own, (distributed.rank() + 1) * own)
        self.forward: torch.nn.Module = self.network
        if count > 1:  # the running statistics come from global sums: equal without a broadcast
            from torch.nn.parallel import DistributedDataParallel

            self.forward = DistributedDataParallel(self.network, forward_sync_buffers=False)
        self.teacher = teacher
        if teacher is not None:
            check_teacher(teacher, self.network)
            teacher.to(device).eval().requires_grad_(False)
        self.steps = len(self.labels) // recipe.batch  # an epoch; the incomplete batch is left
        self.total = self.steps * recipe.epochs
        soft = round(recipe.soft * self.total)
        self.temperature = (
            Temperature(initial=recipe.t_initial, final=recipe.t_final, steps=soft)
            if soft
            else None
        )
        self.history: list[Epoch] = []

    def set_mode(self, step: int) -> None:
        """Learning rate, temperature and mode of training step 0, 1, ..."""
        share, recipe, mode = step / self.total, self.recipe, self.network.mode
        soft = self.temperature is not None and step < self.temperature.steps
        mode.temperature = self.temperature(step) if soft else None
        mode.quantised = share >= recipe.quantise
        mode.frozen = share >= recipe.freeze
        for optimiser, rate in zip(self.optimisers, recipe.rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * recipe.rate(share)

    def inputs(self, index: Tensor, draw: torch.Generator) -> Tensor:
        """This process's part of a batch of augmented images: [B / processes, 3, 32, 32].

        The crops of the whole batch are drawn everywhere: one process sees what several see.
        """
        dtype = torch.bfloat16 if self.recipe.precision == "bf16" else torch.float32
        return to_input(augment(self.packed, index, draw)[self.part], dtype)

    def loss(self, logits: Tensor, x: Tensor, labels: Tensor) -> Tensor:
        """Mean over this process's images of the recipe's loss."""
        smoothing = self.recipe.label_smoothing
        if self.teacher is None:
            return torch.nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        with torch.no_grad():
            taught = self.teacher(x)
        return distillation_loss(
            logits,
            taught,
            labels,
            share=self.recipe.distil,
            temperature=self.recipe.distil_temperature,
            label_smoothing=smoothing,
        )

    def read_losses(self, losses: list[Tensor], number: int) -> list[float]:
        """Means over all processes of the losses since the last reading; `number` is the last step.

        Raises `UserError` where one is not a number, `KeyboardInterrupt` where a process was asked
        to stop: in all of them alike.
        """
        came = distributed.stopping()
        stop = torch.tensor([came == number for number in STOPPING], device=self.device).float()
        values = distributed.total(torch.cat([torch.stack(losses).float(), stop])).tolist()
        count = distributed.size()
        means = [value / count for value in values[: -len(STOPPING)]]
        for at, value in enumerate(means, number + 1 - len(means)):
            if not math.isfinite(value):
                raise UserError(
                    f"Loss is not a number at step {at + 1} of epoch {len(self.history) + 1}; "
                    f"try a learning rate below {self.recipe.learning_rate:g}"
                )
        if values[-1]:
            raise Terminated(signal.SIGTERM)
        if values[-2]:
            raise KeyboardInterrupt
        return means

    def train_epoch(self, advance: Callable[[float], object] = lambda loss: None) -> Epoch:
        """Train one more epoch; `advance` is called with the loss of every step.

        Raises `UserError` where the loss or a weight is not a number.
        """
        start, epoch, size = time.perf_counter(), len(self.history), self.recipe.batch
        draw = torch.Generator().manual_seed(self.seed * 100_003 + epoch)
        order = torch.randperm(len(self.labels), generator=draw).to(self.device)
        right = torch.zeros((), dtype=torch.int64, device=self.device)
        losses, unread, mode = 0.0, [], self.network.mode
        self.network.train()
        for number in range(self.steps):
            frozen = mode.frozen
            self.set_mode(epoch * self.steps + number)
            if mode.frozen and not frozen:
                self.measure_statistics()
            index = order[number * size : (number + 1) * size]
            x, labels = self.inputs(index, draw), self.labels[index[self.part]]
            logits = self.forward(x)
            loss = self.loss(logits, x, labels)
            unread.append(loss.detach())
            if len(unread) >= LOSSES_READ.get(self.device.type, 1) or number == self.steps - 1:
                for value in self.read_losses(unread, number):
                    losses += value
                    advance(value)
                unread = []
            self.network.zero_grad()
            loss.backward()
            for optimiser in self.optimisers:
                optimiser.step()
            if self.recipe.optimiser == "muon":
                for layer in self.network.layers:
                    layer.normalise()
            right += (logits.detach().argmax(1) == labels).sum()
        last = epoch + 1 == self.recipe.epochs  # measured in fp32, the others faster
        if last and not mode.frozen:
            self.measure_statistics()
        if not all(bool(p.isfinite().all()) for p in self.network.state_dict().values()):
            raise UserError(
                f"A weight is not a number after step {self.steps} of epoch {epoch + 1}; "
                f"try a learning rate below {self.recipe.learning_rate:g}"
            )
        dtype = torch.float32 if last or self.recipe.precision == "fp32" else torch.bfloat16
        result = Epoch(
            epoch + 1,
            losses / self.steps,
            100 * int(distributed.total(right)) / (self.steps * size),
            accuracy(self.network, self.validation, dtype=dtype),
            self.optimisers[0].param_groups[0]["lr"],
            mode.temperature,
            mode.quantised,
            time.perf_counter() - start,
        )
        self.history.append(result)
        return result

    @without_gradients
    def measure_statistics(self) -> None:
        """Replace the running statistics by their mean over the recipe's number of batches.

        With the winner-takes-all, whose statistics are needed from here on; 0 batches: unchanged.
        """
        from model.dham.quantise import MOMENTUM

        mode, size = self.network.mode, self.recipe.batch
        before = mode.frozen, mode.temperature
        mode.frozen, mode.temperature = False, None
        draw = torch.Generator().manual_seed(self.seed * 100_003 + 100_002)
        order = torch.randperm(len(self.labels), generator=draw).to(self.device)
        for number in range(min(self.recipe.statistics, self.steps)):
            mode.momentum = 1 / (number + 1)
            self.network(self.inputs(order[number * size : (number + 1) * size], draw))
        mode.momentum = MOMENTUM
        mode.frozen, mode.temperature = before

    def configuration(self) -> dict[str, Any]:
        """What a checkpoint must agree in, as plain values."""
        return {
            "shape": asdict(self.shape),
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "images": len(self.labels),
            "teacher": None if self.teacher is None else checkpoint.fingerprint(self.teacher),
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint; the first of several processes does it."""
        state = {
            "configuration": self.configuration(),
            "network": self.network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "history": [asdict(epoch) for epoch in self.history],
        }
        distributed.together(
            lambda: checkpoint.write(state, path) if distributed.rank() == 0 else None
        )

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same configuration; the first process reads it for all."""
        state = distributed.from_first(lambda: checkpoint.read(path))
        checkpoint.check_same(self.configuration(), state["configuration"], path)
        names = {field.name for field in fields(Epoch)}
        try:
            self.network.load_state_dict(state["network"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            self.history = [
                Epoch(**{key: value for key, value in epoch.items() if key in names})
                for epoch in state["history"]
            ]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise checkpoint.damaged(path, error) from None
        self.set_mode(max(0, len(self.history) * self.steps - 1))
