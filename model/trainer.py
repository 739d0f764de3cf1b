"""The training loop: recipe, schedules, one epoch at a time, checkpoints.

`model.train` is the program around it.
"""

import ctypes
import io
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F

from model.activation import Temperature
from model.cifar import Images, augment, pack, to_input
from model.errors import UserError
from model.resnet import ResNet, Shape

__all__ = ["RECIPES", "Epoch", "Recipe", "Trainer", "accuracy", "reuse_memory"]


OPTIMISERS = ("muon", "sgd")


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Shares are parts of all training steps, 0 to 1."""

    epochs: int = 60
    batch: int = 128
    optimiser: str = "muon"  # of the convolutions' weights; "sgd": of everything alike
    learning_rate: float = 0.01  # at its highest, of the convolutions' weights
    other_rate: float = 0.1  # of everything else, by stochastic gradient descent
    warmup: float = 0.05  # share in which it rises linearly; it then falls linearly to 0
    steps_down: tuple[float, ...] = ()  # instead: constant, and divided by 10 at these shares
    momentum: float = 0.95  # of the convolutions' weights, Nesterov's
    other_momentum: float = 0.9  # of the rest, Nesterov's
    weight_decay: float = 5e-4  # of the classifier's weights; by Muon the others are normalised
    label_smoothing: float = 0.0
    t_initial: float = 1.0  # temperature of σ_t at the first step
    t_final: float = 100.0  # and at the last one before the winner-takes-all
    soft: float = 0.4  # share of the training with σ_t; σ_WTA after it
    quantise: float = 0.4  # share after which weights and activations are rounded; 1: never
    freeze: float = 0.95  # share after which batch statistics stay as they are

    def __post_init__(self):
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"Optimiser must be {' or '.join(OPTIMISERS)}, not {self.optimiser}")
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name.capitalize()} must be a positive integer, not {getattr(self, name)}"
                )
        for name in ("warmup", "soft", "quantise", "freeze"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"{name.capitalize()} must be a share from 0 to 1, not {getattr(self, name):g}"
                )
        Temperature(initial=self.t_initial, final=self.t_final, steps=1)
        if self.soft > self.quantise:
            raise ValueError(
                f"The soft share {self.soft:g} must not exceed {self.quantise:g}, at "
                "which quantisation begins: it needs the winner-takes-all"
            )
        if self.learning_rate <= 0:
            raise ValueError(f"Learning rate must be positive, not {self.learning_rate:g}")

    def rate(self, share: float) -> float:
        """Learning rate at a share of the training, in parts of the highest."""
        if self.steps_down:
            return 0.1 ** sum(share >= at for at in self.steps_down)
        if share < self.warmup:
            return max(share / self.warmup, 1e-2)
        return max((1 - share) / max(1 - self.warmup, 1e-9), 1e-3)


FLOATING = {"t_final": 1000.0, "soft": 1.0, "quantise": 1.0, "freeze": 1.0}
RECIPES = {
    "default": Recipe(),
    # These stay in floating point and write no network file. `float` is a short one by Muon;
    # `paper` has the epochs, rates and temperatures of arXiv 2012.01509, section 5.
    "float": Recipe(epochs=10, learning_rate=0.02, **FLOATING),
    "paper": Recipe(
        epochs=300,
        optimiser="sgd",
        learning_rate=0.1,
        momentum=0.9,
        steps_down=(1 / 3, 2 / 3),
        warmup=0,
        **FLOATING,
    ),
}


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


@torch.no_grad()
def accuracy(network: ResNet, images: Images, batch: int = 500) -> float:
    """Top-1 in percent, in fp32; by the exported integers if the network's mode is quantised."""
    training = network.training
    network.eval()
    right = 0
    for first in range(0, len(images), batch):
        x = to_input(images.pixels[first : first + batch])
        right += int((network(x).argmax(1) == images.labels[first : first + batch]).sum())
    network.train(training)
    return 100 * right / len(images)


def optimisers(network: ResNet, recipe: Recipe) -> tuple[torch.optim.Optimizer, ...]:
    """Of the convolutions' weights, and of the rest."""
    matrices = [layer.weight for layer in network.layers]
    decayed = {"params": [network.classifier.weight], "weight_decay": recipe.weight_decay}
    vectors = {"params": [p for p in network.parameters() if p.dim() == 1]}
    keywords = {"lr": recipe.learning_rate, "momentum": recipe.momentum}
    if recipe.optimiser == "muon":
        first = torch.optim.Muon(matrices, weight_decay=0.0, **keywords)
    else:
        first = torch.optim.SGD(
            matrices, weight_decay=recipe.weight_decay, nesterov=True, **keywords
        )
    rest = torch.optim.SGD(
        [vectors, decayed], lr=recipe.other_rate, momentum=recipe.other_momentum, nesterov=True
    )
    return first, rest


class Trainer:
    """A network in training.

    Parameters
    ----------
    shape, recipe, seed
        Together with the data they determine the result on a given machine.
    training, validation : Images
    device : torch.device
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
    ):
        self.shape, self.recipe, self.seed, self.device = shape, recipe, seed, device
        torch.manual_seed(seed)
        self.network = ResNet(shape).to(device)
        self.optimisers = optimisers(self.network, recipe)
        self.packed = pack(training.pixels).to(device)
        self.labels = training.labels.to(device)
        self.validation = validation.to(device)
        if len(self.labels) < recipe.batch:
            raise UserError(
                f"{len(self.labels)} training images are fewer than a batch of {recipe.batch}"
            )
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
        for optimiser, rate in zip(
            self.optimisers, (recipe.learning_rate, recipe.other_rate), strict=True
        ):
            for group in optimiser.param_groups:
                group["lr"] = rate * recipe.rate(share)

    def train_epoch(self, advance: Callable[[float], None] = lambda loss: None) -> Epoch:
        """Train one more epoch; `advance` is called with the loss after every step.

        Raises `UserError` where the loss is not a number.
        """
        start, epoch, size = time.perf_counter(), len(self.history), self.recipe.batch
        draw = torch.Generator().manual_seed(self.seed * 100_003 + epoch)
        order = torch.randperm(len(self.labels), generator=draw).to(self.device)
        losses, right = 0.0, 0
        self.network.train()
        for number in range(self.steps):
            step = epoch * self.steps + number
            self.set_mode(step)
            index = order[number * size : (number + 1) * size]
            x = to_input(augment(self.packed, index, draw), torch.bfloat16)
            labels = self.labels[index]
            logits = self.network(x)
            loss = F.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
            value = loss.item()
            if value != value or value == float("inf"):
                raise UserError(
                    f"Loss is not a number at step {number + 1} of epoch {epoch + 1}; "
                    f"try a learning rate below {self.recipe.learning_rate:g}"
                )
            self.network.zero_grad()
            loss.backward()
            for optimiser in self.optimisers:
                optimiser.step()
            if self.recipe.optimiser == "muon":
                for layer in self.network.layers:
                    layer.normalise()
            losses += value
            right += int((logits.argmax(1) == labels).sum())
            advance(value)
        mode = self.network.mode
        result = Epoch(
            epoch + 1,
            losses / self.steps,
            100 * right / (self.steps * size),
            accuracy(self.network, self.validation),
            self.optimisers[0].param_groups[0]["lr"],
            mode.temperature,
            mode.quantised,
            time.perf_counter() - start,
        )
        self.history.append(result)
        return result

    def configuration(self) -> dict:
        """What a checkpoint must agree in, as plain values."""
        return {
            "shape": asdict(self.shape),
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "images": len(self.labels),
        }

    def save(self, path: Path) -> None:
        """Write a checkpoint to a temporary name, then rename it: no half-written one is left."""
        state = {
            "configuration": self.configuration(),
            "network": self.network.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "history": [asdict(epoch) for epoch in self.history],
        }
        data = io.BytesIO()  # torch itself reports a full disk with a traceback of its own
        torch.save(state, data)
        temporary = path.with_name(path.name + ".tmp")
        try:
            temporary.write_bytes(data.getbuffer())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same configuration."""
        if not path.is_file():
            raise UserError(f"No checkpoint {path} to resume from")
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            found = state["configuration"]
        except Exception as error:  # truncated, foreign: torch raises all kinds
            raise UserError(
                f"{path} is no checkpoint of this program, or is damaged: {type(error).__name__}"
            ) from None
        for part, mine in self.configuration().items():
            if found.get(part) != mine:
                raise UserError(
                    f"{path} is a checkpoint of another configuration: "
                    f"{difference(part, mine, found.get(part))}"
                )
        self.network.load_state_dict(state["network"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        names = {field.name for field in fields(Epoch)}
        self.history = [
            Epoch(**{k: v for k, v in epoch.items() if k in names}) for epoch in state["history"]
        ]
        self.set_mode(max(0, len(self.history) * self.steps - 1))


def difference(part: str, mine: object, other: object) -> str:
    """The first field in which two configurations differ, in words."""
    if isinstance(mine, dict) and isinstance(other, dict):
        for key, value in mine.items():
            if other.get(key) != value:
                return difference(key, value, other.get(key))
    return f"its {part.replace('_', ' ')} is {other}, not {mine}"
