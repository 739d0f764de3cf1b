"""Checkpoints of a training: written whole or not at all, read with one clear line if wrong.

A checkpoint (NAME.pt) holds the configuration, the network's weights, the optimisers' state and
the measurements of all epochs, as plain values and tensors: reading one executes nothing.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.common import files
from model.common.distributed import device_of
from model.common.errors import UserError
from model.common.lazy import torch
from model.data.cifar import classes_of, to_input
from model.dham.shapes import Shape, Stage
from model.training.recipe import Recipe

if TYPE_CHECKING:
    from model.dham.resnet import ResNet

__all__ = [
    "BATCH",
    "Trained",
    "check_same",
    "classify",
    "damaged",
    "digest",
    "fingerprint",
    "is_checkpoint",
    "load_network",
    "open_trained",
    "read",
    "write",
]

BATCH = 500  # images at once, where a checkpoint's network is measured
PARTS = ("configuration", "network", "optimisers", "history")


def write(state: dict[str, Any], path: Path) -> None:
    """Write to a temporary name, then rename it: the file before it lives until this is whole."""
    data = io.BytesIO()  # torch itself reports a full disk with a traceback of its own
    torch.save(state, data)
    files.write(path, data.getvalue(), durable=True)


def damaged(path: Path, error: Exception) -> UserError:
    """What to raise where a file cannot be a checkpoint of ours, whatever torch says of it."""
    return UserError(
        f"{path} is no checkpoint of this program, or is damaged: {type(error).__name__}"
    )


def read(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """A checkpoint's parts. Raises `UserError` where it is missing, foreign or damaged."""
    if not path.is_file():
        raise UserError(f"No checkpoint {path}")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        return {part: state[part] for part in PARTS}
    except Exception as error:  # truncated, foreign: torch raises all kinds
        raise damaged(path, error) from None


def with_defaults(part: str, found: object) -> object:
    """A part of a configuration, completed by the defaults of fields newer than its checkpoint."""
    kind = {"recipe": Recipe, "shape": Shape}.get(part)
    if kind is None or not isinstance(found, dict):
        return found
    return {f.name: f.default for f in fields(kind) if f.default is not MISSING} | found


def check_same(mine: dict[str, Any], found: dict[str, Any], path: Path) -> None:
    """Raise `UserError` where the checkpoint of `path` has another configuration than `mine`."""
    for part, value in mine.items():
        other = with_defaults(part, found.get(part))
        if other != value:
            raise UserError(
                f"{path} is a checkpoint of another configuration: {difference(part, value, other)}"
            )


def difference(part: str, mine: object, other: object) -> str:
    """The first field in which two configurations differ, in words."""
    if isinstance(mine, dict) and isinstance(other, dict):
        for key, value in mine.items():
            if other.get(key) != value:
                return difference(key, value, other.get(key))
    return f"its {part.replace('_', ' ')} is {other}, not {mine}"


def load_network(path: Path, device: torch.device | str = "cpu") -> ResNet:
    """The network of a checkpoint, in evaluation, on `device`; quantised if the training was."""
    from model.dham.resnet import ResNet

    state = read(path, device)
    try:
        shape = dict(state["configuration"]["shape"])
        shape["stages"] = tuple(Stage(**stage) for stage in shape["stages"])
        network = ResNet(Shape(**shape)).to(device)
        network.load_state_dict(state["network"])
        history = state["history"]
        network.mode.quantised = bool(history and history[-1]["quantised"])
    except Exception as error:  # of another version, or tampered with
        raise damaged(path, error) from None
    return network.eval()


def classify(network: ResNet, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """A function from pixels uint8 [N, 32, 32, 3] to classes int64 [N], by `network`."""

    @torch.no_grad()
    def decide(pixels: torch.Tensor) -> torch.Tensor:
        return network(to_input(pixels.to(device))).argmax(1)

    return decide


@dataclass(frozen=True)
class Trained:
    """A checkpoint's network, in evaluation, beside a `model.network.Network` of a network file.

    Attributes
    ----------
    name : str
        Of the training.
    sha256 : str
        Of the checkpoint's file.
    classes : tuple of str
        Those of the known data set with so many.
    integers : bool
        Whether it computes by the exported integers, since the training was quantised by then.
    """

    name: str
    sha256: str
    classes: tuple[str, ...]
    integers: bool
    network: ResNet
    device: torch.device


def is_checkpoint(file: str) -> bool:
    """Whether that is the name of a checkpoint, not of a network file."""
    return file.endswith(".pt")


def open_trained(file: str) -> Trained:
    """The network of a checkpoint, on a GPU where there is one, for a program that measures it."""
    path, device = Path(file), device_of("auto")
    network = load_network(path, device)
    classes = classes_of(network.shape.classes)
    return Trained(path.stem, digest(path), classes, network.mode.quantised, network, device)


def digest(path: Path) -> str:
    """SHA-256 of a checkpoint's file: 64 hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fingerprint(network: ResNet) -> str:
    """SHA-256 of the weights, by name, and of whether they are quantised: 16 hex digits."""
    found = hashlib.sha256(str(network.mode.quantised).encode())
    for name, tensor in network.state_dict().items():
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
