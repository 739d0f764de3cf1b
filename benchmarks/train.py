"""Training speed and accuracy: this project's quantised layers against Brevitas' own.

``python benchmarks/train.py --data DIR [--steps N] [--json FILE]``

Both train the same ResNet-8 (w = 16, one ℓ) from the same seed for the same number of steps, with
4-bit weights and activations from the first step on and the winner-takes-all; then both are
measured on the same validation images. Brevitas' layers are used as its documentation shows them:
`QuantConv2d` with per-channel scales, batch normalisation, `QuantReLU` with a learned scale; the
winner-takes-all, which it does not have, is ours. The figures are in docs/training.md.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from brevitas.nn import QuantConv2d, QuantLinear, QuantReLU
from brevitas.quant import Int8WeightPerChannelFloat
from torch import Tensor, nn

from model.common.errors import Parser, UserError, run_cli
from model.common.terminal import Table, console
from model.data.cifar import Images, augment, pack, read_training, to_input
from model.dham import fused
from model.dham.activation import winner_takes_all
from model.dham.resnet import ResNet
from model.dham.shapes import shape_of
from model.training.trainer import reuse_memory

GROUP_SIZE = 4


class BrevitasLayer(nn.Module):
    """Convolution, batch normalisation, shortcut, quantised ReLU, winner-takes-all."""

    def __init__(self, inputs: int, channels: int, kernel: int, stride: int, activate: bool = True):
        super().__init__()
        self.conv = QuantConv2d(
            inputs,
            channels,
            kernel,
            stride=stride,
            padding=kernel // 2,
            bias=False,
            weight_bit_width=4,
            weight_quant=Int8WeightPerChannelFloat,
        )
        self.norm = nn.BatchNorm2d(channels)
        self.relu = QuantReLU(bit_width=4) if activate else None

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        z = self.norm(self.conv(x))
        if residual is not None:
            z = z + residual
        if self.relu is None:
            return z
        return self.relu(z) * winner_takes_all(z.detach(), GROUP_SIZE)


class BrevitasResNet8(nn.Module):
    """The same network of Brevitas' layers."""

    def __init__(self):
        super().__init__()
        self.stem = BrevitasLayer(3, 16, 3, 1)
        blocks, width = [], 16
        for channels, stride in ((16, 1), (32, 2), (64, 2)):
            shortcut = BrevitasLayer(width, channels, 1, stride, False) if stride > 1 else None
            blocks.append(
                nn.ModuleDict(
                    {
                        "conv1": BrevitasLayer(width, channels, 3, stride),
                        "conv2": BrevitasLayer(channels, channels, 3, 1),
                        **({"shortcut": shortcut} if shortcut else {}),
                    }
                )
            )
            width = channels
        self.blocks = nn.ModuleList(blocks)
        self.classifier = QuantLinear(64, 10, bias=True, weight_bit_width=8)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            shortcut = block["shortcut"](x) if "shortcut" in block else x
            x = block["conv2"](block["conv1"](x), shortcut)
        return self.classifier(x.mean((2, 3)))


def train(network: nn.Module, images: Images, steps: int, bf16: bool) -> float:
    """Train; returns milliseconds a step (median)."""
    packed, draw = pack(images.pixels), torch.Generator().manual_seed(0)
    matrices = [p for p in network.parameters() if p.dim() > 1]
    vectors = [p for p in network.parameters() if p.dim() <= 1]
    optimiser = torch.optim.SGD(
        [{"params": matrices, "weight_decay": 5e-4}, {"params": vectors}],
        lr=0.1,
        momentum=0.9,
        nesterov=True,
    )
    network.train()
    times = []
    for step in range(steps):
        start = time.perf_counter()
        for group in optimiser.param_groups:
            group["lr"] = 0.1 * min(1, (step + 1) / (0.1 * steps)) * (1 - step / steps)
        index = torch.randint(0, len(images), (128,), generator=draw)
        x = to_input(augment(packed, index, draw), torch.bfloat16 if bf16 else torch.float32)
        loss = F.cross_entropy(network(x).float(), images.labels[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        times.append(time.perf_counter() - start)
    return 1e3 * sorted(times)[len(times) // 2]


@torch.no_grad()
def accuracy(network: nn.Module, images: Images) -> float:
    network.eval()
    right = sum(
        int(
            (
                network(to_input(images.pixels[i : i + 250])).argmax(1)
                == images.labels[i : i + 250]
            ).sum()
        )
        for i in range(0, len(images), 250)
    )
    return 100 * right / len(images)


class Scaled(nn.Module):
    """Brevitas' network on pixels of 0 to 1."""

    def __init__(self, network: nn.Module, autocast: bool):
        super().__init__()
        self.network, self.autocast = network, autocast

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast and self.training):
            return self.network(x.float() / 255)


def ours(compiled: bool) -> nn.Module:
    network = ResNet(shape_of("resnet8", group_sizes=(GROUP_SIZE,)))
    network.mode.quantised = True
    return network


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=350, help="training steps of each (350)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args(arguments)
    if options.steps < 1:
        raise UserError(f"Steps must be a positive integer, not {options.steps}")
    reuse_memory()
    training, validation = read_training(options.data)
    table = Table("layers", "ms a step", "validation top-1, %")
    rows = []
    available = fused.available
    for name, make, bf16, steps in (
        ("ours, compiled", lambda: ours(True), True, options.steps),
        ("ours, plain torch", lambda: ours(False), True, max(3, options.steps // 20)),
        (
            "Brevitas, fp32",
            lambda: Scaled(BrevitasResNet8(), False),
            False,
            max(3, options.steps // 20),
        ),
        ("Brevitas, bf16 autocast", lambda: Scaled(BrevitasResNet8(), True), False, options.steps),
    ):
        torch.manual_seed(0)
        fused.available = available if "compiled" in name else lambda y, group_size: False
        network = make()
        milliseconds = train(network, training, steps, bf16)
        top1 = accuracy(network, validation) if steps == options.steps else None
        rows.append(
            {"layers": name, "steps": steps, "milliseconds": round(milliseconds, 1), "top1": top1}
        )
        table.add(name, f"{milliseconds:.1f}", "" if top1 is None else f"{top1:.2f}")
    table.show(console())
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    run_cli(main)()
