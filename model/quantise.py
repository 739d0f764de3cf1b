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

from model import fused

__all__ = [
    "NORMAL_STEP",
    "Mode",
    "NormaliseActivate",
    "gaussian_step",
    "quantise_weights",
    "straight_through",
]

# Step of the best uniform quantiser of a normal distribution, in its standard deviations, by bits
# (J. Max, Quantizing for minimum distortion, IRE Trans. Inf. Theory 6, 1960, table II).
NORMAL_STEP = {1: 1.596, 2: 0.996, 3: 0.586, 4: 0.335, 5: 0.188, 6: 0.104, 7: 0.0569, 8: 0.0308}


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
    """

    quantised: bool = False
    temperature: float | None = None
    frozen: bool = False


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


class NormaliseActivate(torch.autograd.Function):
    """Batch normalisation, residual, σ_t or σ_WTA and quantiser by the compiled code.

    Same values and gradients as `Layer.activate` in plain torch.
    """

    @staticmethod
    def forward(ctx, y, residual, scale, shift, mean, inverse, options):
        out, slope = fused.forward(y, residual, scale, shift, **options[0])
        ctx.save_for_backward(y, slope, scale, mean, inverse)
        ctx.options, ctx.residual = options, residual is not None
        return out

    @staticmethod
    def backward(ctx, gradient):
        y, slope, scale, mean, inverse = ctx.saved_tensors
        keywords, tied, frozen = ctx.options
        gradient = fused.last(gradient)
        total, product = fused.backward_sums(gradient, slope, y).float()
        factors = torch.zeros(3, len(scale))
        factors[0] = scale
        if not frozen:  # y moves its own mean and variance
            count = y.numel() // y.shape[1]
            correlation = inverse * (product - mean * total)  # sum of dz times normalised y
            shared = correlation.view(-1, tied).mean(1).repeat_interleave(tied) / count
            factors[1] = -scale * inverse * shared
            factors[2] = scale * (inverse * mean * shared - total / count)
        d_y, d_residual = fused.backward(gradient, slope, y, factors, keywords["rho"], ctx.residual)
        return d_y, d_residual, product, total, None, None, None
