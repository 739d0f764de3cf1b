"""Quantisers of a DHAM network in training, and the normalisation that goes with them.

Everything is computed in the units of the integer arithmetic (docs/arithmetic.md): activations are
levels 0 to 15, weights are integers -8 to 7, and the accumulator S is their exact sum. The batch
normalisation after it is what folds into bias, multiplier and shift:

    z = γ (S - mean) / sqrt(variance) + β   in levels, then Q = clamp(floor(z + 1/2), 0, 15)

so that scales of weights and activations need no parameters of their own. In the order `before`,
where a group's sums S are compared with one another, the channels of a group share the scale of
their weights, γ and the variance.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.common import distributed
from model.dham import fused

__all__ = [
    "MOMENTUM",
    "NORMAL_STEP",
    "Mode",
    "NormaliseActivate",
    "Sample",
    "claim",
    "gaussian_step",
    "quantise_weights",
    "straight_through",
]

# Step of the best uniform quantiser of a normal distribution, in its standard deviations, by bits
# (J. Max, Quantizing for minimum distortion, IRE Trans. Inf. Theory 6, 1960, table II).
NORMAL_STEP = {1: 1.596, 2: 0.996, 3: 0.586, 4: 0.335, 5: 0.188, 6: 0.104, 7: 0.0569, 8: 0.0308}
MOMENTUM = 0.1  # part of a new batch in the running statistics


@dataclass
class Mode:
    """What all layers of a network do at the moment; one object that they share.

    Attributes
    ----------
    quantised : bool
        Weights and activations are rounded to their levels.
    temperature : float or None
        t of σ_t in training, in units of the activation; None is the winner-takes-all, which
        alone is used once quantised.
    frozen : bool
        Batch statistics are no longer used nor updated.
    momentum : float
        Part of a batch's statistics in the running ones.
    compiled : bool
        Normalisation and activation by `torch.compile`, where `model.dham.fused` does not serve.
    """

    quantised: bool = False
    temperature: float | None = None
    frozen: bool = False
    momentum: float = MOMENTUM
    compiled: bool = False


def straight_through(rounded: Tensor, value: Tensor) -> Tensor:
    """`rounded`, with the gradient of `value`."""
    return value + (rounded - value).detach()


def quantise_weights(weights: Tensor, bits: int, step: Tensor, quantised: bool = True) -> Tensor:
    """Weights in units of `step`; if quantised, rounded and clamped to `bits` bits, signed."""
    scaled = weights / step
    if not quantised:
        return scaled
    limit = 2 ** (bits - 1)
    scaled = scaled.clamp(-limit, limit - 1)
    return straight_through(scaled.round(), scaled)


def gaussian_step(weights: Tensor, bits: int, group_size: int) -> Tensor:
    """Step of the quantiser for each output channel, shared within groups: [Cout, 1, 1, 1]."""
    square = weights.detach().square().flatten(1).mean(1)
    square = square.view(-1, group_size).mean(1).repeat_interleave(group_size)
    return (square.sqrt() * NORMAL_STEP[bits]).clamp(min=1e-8).view(-1, 1, 1, 1)


def claim(x: Tensor | None) -> object | None:
    """The backward node that made x, if it can add a second gradient and none is promised yet."""
    node = None if x is None else x.grad_fn
    if node is None or not getattr(node, "adds_second", False):
        return None
    node.adds_second = False  # one alone
    return node


class Sample(torch.autograd.Function):
    """Every `stride`-th pixel of x, in both directions: what a strided 1x1 convolution reads.

    Its gradient is left with `node` (of `claim`), which adds it on its own way over x. Through
    autograd it would be spread over all pixels, then added: two sweeps over memory more.
    """

    @staticmethod
    def forward(ctx, x, node, stride):
        ctx.node, ctx.stride = node, stride
        return x[:, :, ::stride, ::stride].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx, gradient):
        ctx.node.second = fused.last(gradient), ctx.stride
        return None, None, None


class NormaliseActivate(torch.autograd.Function):
    """Batch normalisation, residual, σ_t or σ_WTA and quantiser by the compiled code.

    Same values and gradients as `Layer.activate` in plain torch. `node` made the residual, and
    is given its gradient (see `Sample`), or is None.
    """

    @staticmethod
    def forward(ctx, y, residual, scale, shift, mean, inverse, options, node):
        needed = any(ctx.needs_input_grad)
        out, slope = fused.forward(y, residual, scale, shift, slopes=needed, **options[0])
        ctx.save_for_backward(y, slope, scale, mean, inverse)
        ctx.options, ctx.residual, ctx.node = options, residual is not None, node
        ctx.adds_second, ctx.second = True, (None, 1)
        return out

    @staticmethod
    def backward(ctx, gradient):
        y, slope, scale, mean, inverse = ctx.saved_tensors
        keywords, tied, frozen = ctx.options
        (sampled, stride), ctx.second = ctx.second, (None, 1)
        gradient = fused.last(gradient)
        sums = fused.backward_sums(gradient, slope, y, sampled, stride)
        total, product = sums.float()
        factors = torch.zeros(3, len(scale))
        factors[0] = scale
        if not frozen:  # y moves its own mean and variance, in all processes
            count = distributed.size() * (y.numel() // y.shape[1])
            every, other = distributed.total(sums).float()
            correlation = inverse * (other - mean * every)  # sum of dz times normalised y
            shared = correlation.view(-1, tied).mean(1).repeat_interleave(tied) / count
            factors[1] = -scale * inverse * shared
            factors[2] = scale * (inverse * mean * shared - every / count)
        d_y, d_residual = fused.backward(
            gradient, slope, y, factors, keywords["rho"], ctx.residual, sampled, stride
        )
        if ctx.node is not None:
            ctx.node.second, d_residual = (d_residual, 1), None
        return d_y, d_residual, product, total, None, None, None, None
