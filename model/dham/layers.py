"""Layers of a DHAM network in training: convolution, shortcut, normalisation, activation; output.

Three ways through a layer: training (bf16, batch statistics, straight-through gradients),
evaluation unquantised, and evaluation of the very integers that `model.training.export` writes.
Units are those of `model.dham.quantise`.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.common import distributed
from model.dham import fused
from model.dham.activation import dham, group_size_of, winner_takes_all
from model.dham.quantise import (
    NORMAL_STEP,
    Mode,
    NormaliseActivate,
    Sample,
    claim,
    gaussian_step,
    quantise_weights,
    straight_through,
)
from model.network.limits import BIAS_BITS, FACTOR_BITS, MULTIPLIER_BITS

__all__ = ["MULTIPLIER_SHIFT", "Folded", "Layer", "OutputLayer"]

EPSILON = 1e-2  # added to the variance, in squared units of the accumulator
MULTIPLIER_SHIFT = 16  # s of every layer: m = round(scale * 2^16)
# The least and the largest m; below 16 its rounding would be coarse.
MULTIPLIERS = (16, 2**MULTIPLIER_BITS - 1)
MAX_FACTOR = 2 ** (FACTOR_BITS - 1) - 1
BIAS_REACH = 2 ** (BIAS_BITS - 1)


def levels_in_one(activation_bits: int) -> float:
    """Levels in an activation of 1: 4 bits reach 15 / 4 = 3.75, where few winners are beyond."""
    return 2.0**activation_bits / 4


@dataclass
class Folded:
    """Integers of a layer, as float tensors: what `model.training.export` writes.

    Attributes
    ----------
    weights : Tensor
        [Cout, Cin, K, K].
    projection : Tensor or None
        [Cout, Cin, 1, 1], without its factor 2^exponent.
    bias, multiplier, residual : Tensor
        [Cout]: b, m (the shift is 16) and r.
    """

    weights: Tensor
    projection: Tensor | None
    exponent: int
    bias: Tensor
    multiplier: Tensor
    residual: Tensor


class Layer(nn.Module):
    """Convolution, with or without shortcut, normalisation, DHAM activation, quantiser.

    Parameters
    ----------
    inputs, channels : int
        Cin and Cout.
    kernel, stride : int
        Padding is (kernel - 1) // 2 on every side.
    group_size : int
        ℓ of the output.
    weight_bits, activation_bits : int
        Of the weights and of the output.
    order : str
        "before": the winner is the first maximum of S; "after": of Q.
    shortcut : int or None
        Channels of the shortcut's input, if there is one.
    shortcut_stride : int
        More than 1, or different channels: a 1x1 projection in the same sum; else the identity.
    mode : Mode
        Shared by the layers of a network.
    """

    def __init__(
        self,
        *,
        name: str,
        inputs: int,
        channels: int,
        kernel: int,
        stride: int,
        group_size: int,
        weight_bits: int,
        activation_bits: int,
        order: str,
        binary: bool,
        mode: Mode,
        shortcut: int | None = None,
        shortcut_stride: int = 1,
    ):
        super().__init__()
        group_size_of(channels, group_size=group_size)
        if order not in ("before", "after"):
            raise ValueError(f"Order must be before or after, not {order}")
        for what, bits in (("Weight", weight_bits), ("Activation", activation_bits)):
            if bits not in NORMAL_STEP:
                raise ValueError(f"{what} bits must be 1 to 8, not {bits}")
        self.name, self.stride, self.padding = name, stride, (kernel - 1) // 2
        self.group_size, self.weight_bits = group_size, weight_bits
        self.activation_bits, self.order, self.binary = activation_bits, order, binary
        self.mode, self.unit = mode, levels_in_one(activation_bits)
        self.top = 1 if binary else 2**activation_bits - 1
        self.tied = group_size if order == "before" else 1  # channels that share their scale
        self.projects = shortcut is not None and (shortcut_stride > 1 or shortcut != channels)
        self.identity = shortcut is not None and not self.projects
        self.shortcut_stride = shortcut_stride
        # One matrix, projection included: what is summed is trained, and normalised, together.
        self.window = (channels, inputs, kernel, kernel)
        own = inputs * kernel * kernel
        columns = own + (shortcut if self.projects else 0)
        self.weight = nn.Parameter(torch.randn(channels, columns))
        with torch.no_grad():  # the projection starts as strong as the convolution
            self.weight[:, own:] *= (own / max(1, columns - own)) ** 0.5
        self.normalise()
        self.gamma = nn.Parameter(torch.ones(channels // self.tied))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels // self.tied))
        self.register_buffer("exponent", torch.tensor(-1))

    def spread(self, values: Tensor) -> Tensor:
        """One value for each channel from one for each set of tied channels."""
        return values.repeat_interleave(self.tied)

    @torch.no_grad()
    def normalise(self) -> None:
        """Scale the weights to one per output channel; S is normalised, so z stays the same."""
        self.weight *= len(self.weight) ** 0.5 / self.weight.norm()

    def parts(self) -> tuple[Tensor, Tensor | None]:
        """Weights [Cout, Cin, K, K] and projection [Cout, Cin, 1, 1], unquantised."""
        own = self.window[1] * self.window[2] * self.window[3]
        weights = self.weight[:, :own].view(self.window)
        return weights, self.weight[:, own:, None, None] if self.projects else None

    def integer_weights(self) -> tuple[Tensor, Tensor | None]:
        """Weights [Cout, Cin, K, K] and projection [Cout, Cin, 1, 1] in the sum's units.

        The projection's step is the weights' step times 2^exponent: both add up in one sum.
        """
        quantised = self.mode.quantised
        weights, projection = self.parts()
        step = gaussian_step(weights, self.weight_bits, self.tied)
        weights = quantise_weights(weights, self.weight_bits, step, quantised)
        if not self.projects:
            return weights, None
        if quantised:
            self.choose_exponent(gaussian_step(projection, self.weight_bits, self.tied) / step)
        step = step * self.factor
        return weights, quantise_weights(projection, self.weight_bits, step, quantised)

    @torch.no_grad()
    def choose_exponent(self, ratio: Tensor) -> None:
        """Once, when quantisation begins, from the projection's step in units of the weights'."""
        best = torch.log2(ratio).mean().round().clamp(0, 8 - self.activation_bits)
        self.exponent.copy_(torch.where(self.exponent < 0, best, self.exponent))

    @property
    def factor(self) -> Tensor:
        """2^exponent, where the exponent is: a GPU is not waited for."""
        return torch.ones_like(self.exponent) << self.exponent.clamp(min=0)

    def accumulate(self, x: Tensor, shortcut: Tensor | None) -> Tensor:
        """A: sum of the convolution and of the projection, [N, Cout, H', W']."""
        weights, projection = (
            None if w is None else w.to(x.dtype, memory_format=torch.channels_last)
            for w in self.integer_weights()
        )
        y = F.conv2d(x, weights, stride=self.stride, padding=self.padding)
        if self.projects:
            node, stride = claim(shortcut), self.shortcut_stride
            if node is not None:
                shortcut, stride = Sample.apply(shortcut, node, stride), 1
            y += F.conv2d(shortcut, projection * self.factor, stride=stride)
        return y

    @property
    def rho(self) -> float:
        """Levels of z for each level of the identity's record: a binary one counts as 1."""
        return self.unit if self.binary else 1.0

    @property
    def limit(self) -> float:
        """z from which on no gradient passes: Q is saturated, or a binary z is 1."""
        return self.unit if self.binary else self.top + 0.5

    def statistics(self, moments: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel; the variance is pooled over tied channels."""
        mean = moments[0]
        variance = (moments[1] - mean * mean).clamp(min=0)
        variance = variance.view(-1, self.tied).mean(1)
        if self.training:
            momentum = self.mode.momentum
            with torch.no_grad():
                unbiased = variance.detach().float() * count / max(1, count - 1)
                self.mean.lerp_(mean.detach().float(), momentum)
                self.variance.lerp_(unbiased, momentum)
        return mean.float(), self.spread(variance.float())

    def activate(self, z: Tensor, temperature: float | Tensor | None) -> Tensor:
        """σ_t or σ_WTA of z [N, Cout, H, W] in levels, and the quantiser, in plain torch."""
        if not self.mode.quantised:
            return dham(z, self.group_size, temperature, binary=self.binary)
        level = (z.detach() + 0.5).floor().clamp(0, self.top)
        rank = z.detach() if self.order == "before" else level
        share = winner_takes_all(rank, self.group_size)
        return straight_through(level * share, z.relu() * (z < self.limit) * share)

    def forward(self, x: Tensor, shortcut: Tensor | None = None) -> Tensor:
        """Activations in levels, [N, Cout, H', W'], of inputs in levels (or raw pixels)."""
        if not self.training and self.mode.quantised:
            return self.evaluate_integers(x, shortcut)
        y = self.accumulate(x, shortcut)
        residual = shortcut if self.identity else None
        batch = self.training and not self.mode.frozen
        compiled = fused.available(y, self.group_size)  # bf16: also to evaluate quickly
        mean, variance = self.mean, self.spread(self.variance)
        if batch:
            moments = (
                fused.moments(y.detach())
                if compiled
                else torch.stack([y.float().mean((0, 2, 3)), y.float().square().mean((0, 2, 3))])
            )
            processes = distributed.size()  # all have equally many images
            moments = distributed.total(moments) / processes
            mean, variance = self.statistics(moments, processes * (y.numel() // y.shape[1]))
        scale, shift = self.affine(mean, variance)
        if self.mode.quantised and not batch:  # exactly what is exported
            folded = self.fold()
            rounded = (folded.multiplier * 2.0**-MULTIPLIER_SHIFT).float()
            scale = straight_through(rounded, scale)
            shift = straight_through(rounded * folded.bias.float(), shift)
        t = self.mode.temperature if self.training and not self.mode.quantised else None
        t = None if t is None else t / self.unit
        if compiled:
            quantised = self.mode.quantised
            keywords = {
                "group_size": self.group_size,
                "rho": self.rho,
                "binary": self.binary,
                "temperature": 0.0 if t is None else t,
                "top": float(self.top) if quantised else 0.0,
                "limit": self.limit,
                "before": self.order == "before",
            }
            return NormaliseActivate.apply(
                y,
                residual,
                scale,
                shift,
                mean,
                torch.rsqrt(variance + EPSILON),
                (keywords, self.tied, not batch),
                claim(residual),
            )
        if self.mode.compiled:
            if t is not None:  # as a tensor: a number would be compiled anew in every step
                t = torch.full((), t, device=y.device)
            return compiled_normalise()(self, y, residual, scale, shift, t)
        return normalise(self, y, residual, scale, shift, t)

    def affine(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Scale and shift [Cout] from S to z; the scale is at least the hardware's least."""
        deviation = (variance + EPSILON).sqrt()
        least = MULTIPLIERS[0] * 2.0**-MULTIPLIER_SHIFT * deviation.detach() / self.unit
        scale = self.unit * torch.maximum(self.spread(self.gamma), least) / deviation
        return scale, self.unit * self.beta - scale * mean

    @torch.no_grad()
    def fold(self) -> Folded:
        """Integers of the layer: weights, and normalisation as bias, multiplier and factor."""
        weights, projection = self.integer_weights()
        scale, shift = self.affine(self.mean.double(), self.spread(self.variance.double()))
        multiplier = (scale * 2**MULTIPLIER_SHIFT).round().clamp(*MULTIPLIERS)
        scale = multiplier * 2.0**-MULTIPLIER_SHIFT
        residual = (self.rho / scale).round().clamp(max=MAX_FACTOR) if self.identity else 0 * scale
        return Folded(
            weights,
            projection,
            max(0, int(self.exponent)),
            (shift / scale).round().clamp(-BIAS_REACH, BIAS_REACH - 1),
            multiplier,
            residual,
        )

    def evaluate_integers(self, x: Tensor, shortcut: Tensor | None) -> Tensor:
        """Levels by the exported integers; every sum is exact in fp32."""
        folded = self.fold()
        column = (-1, 1, 1)
        total = self.accumulate(x.float(), None if shortcut is None else shortcut.float())
        total = total + folded.bias.float().view(column)
        if self.identity:
            total = total + folded.residual.float().view(column) * shortcut
        scaled = total.double() * folded.multiplier.view(column) * 2.0**-MULTIPLIER_SHIFT
        level = (scaled + 0.5).floor().clamp(0, self.top).float()
        rank = total if self.order == "before" else level
        return level * winner_takes_all(rank, self.group_size)


def normalise(
    layer: Layer,
    y: Tensor,
    residual: Tensor | None,
    scale: Tensor,
    shift: Tensor,
    temperature: float | Tensor | None,
) -> Tensor:
    """Normalisation, residual and activation of the sums y [N, Cout, H, W], in plain torch."""
    z = y.float() * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
    if residual is not None:
        z = z + layer.rho * residual.float()
    return layer.activate(z, temperature).to(y.dtype)


@functools.cache
def compiled_normalise() -> Callable[..., Tensor]:
    """`normalise` by `torch.compile`: forward and backward are a few kernels each."""
    torch._dynamo.config.recompile_limit = 256  # one for each shape, group size and mode
    return torch.compile(normalise, dynamic=False)


class OutputLayer(nn.Module):
    """Average pool and classifier: logits of levels [N, C, H, W].

    As integers the pixels are summed, not averaged, and one step serves all classes, so that the
    largest logit stays the largest.
    """

    def __init__(
        self,
        *,
        inputs: int,
        classes: int,
        pixels: int,
        weight_bits: int,
        activation_bits: int,
        mode: Mode,
    ):
        super().__init__()
        self.weight_bits, self.mode, self.pixels = weight_bits, mode, pixels
        self.unit = levels_in_one(activation_bits)
        self.weight = nn.Parameter(torch.empty(classes, inputs).normal_(std=inputs**-0.5))
        self.bias = nn.Parameter(torch.zeros(classes))

    def step(self) -> Tensor:
        """The weights' common step."""
        step = self.weight.detach().square().mean().sqrt() * NORMAL_STEP[self.weight_bits]
        return step.clamp(min=1e-8)

    @torch.no_grad()
    def fold(self) -> tuple[Tensor, Tensor]:
        """Integer weights [classes, C] and bias [classes], as float tensors."""
        step = self.step()
        weights = quantise_weights(self.weight, self.weight_bits, step)
        return weights, (self.bias * (self.unit * self.pixels) / step).round()

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, classes], in real units."""
        step = self.step()
        unit = step / (self.unit * self.pixels)
        if not self.training and self.mode.quantised:
            weights, bias = self.fold()
            return (F.linear(x.float().sum((2, 3)), weights) + bias) * unit
        weights = quantise_weights(self.weight, self.weight_bits, step, self.mode.quantised)
        return F.linear(x.float().sum((2, 3)), weights) * unit + self.bias
