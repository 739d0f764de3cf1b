"""Quantised layers: roundings, gradients, compiled code against plain torch, folding."""

import math

import numpy as np
import pytest
import torch

from model.dham import fused, layers
from model.dham.layers import Layer, OutputLayer
from model.dham.quantise import NORMAL_STEP, Mode, gaussian_step, quantise_weights


def make_layer(mode=None, **changes):
    keywords = {
        "name": "layer",
        "inputs": 16,
        "channels": 32,
        "kernel": 3,
        "stride": 1,
        "group_size": 4,
        "weight_bits": 4,
        "activation_bits": 4,
        "order": "before",
        "binary": False,
        "mode": mode or Mode(quantised=True),
        **changes,
    }
    torch.manual_seed(4)
    return Layer(**keywords)


def levels(*shape, top=15):
    draw = torch.Generator().manual_seed(6)
    x = torch.randint(0, top + 1, shape, generator=draw).float()
    return x.contiguous(memory_format=torch.channels_last)


def ref_integers(layer, x, shortcut=None):
    """The layer by integers alone, from its folded parameters, in numpy."""
    folded = layer.fold()
    weights = folded.weights.detach().numpy().astype(np.int64)
    x = x.numpy().astype(np.int64)
    pad = layer.padding
    padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    size = (padded.shape[2] - weights.shape[2]) // layer.stride + 1
    total = np.zeros((len(x), len(weights), size, size), np.int64)
    for ky, kx in np.ndindex(weights.shape[2:]):
        part = padded[
            :,
            :,
            ky : ky + (size - 1) * layer.stride + 1 : layer.stride,
            kx : kx + (size - 1) * layer.stride + 1 : layer.stride,
        ]
        total += np.einsum("ncyx,oc->noyx", part, weights[:, :, ky, kx])
    if layer.projects:
        projection = folded.projection.detach().numpy().astype(np.int64)[:, :, 0, 0]
        step = layer.shortcut_stride
        part = shortcut.numpy().astype(np.int64)[:, :, ::step, ::step]
        total += np.einsum("ncyx,oc->noyx", part, projection) << folded.exponent

    def column(values):
        return values.numpy().astype(np.int64)[:, None, None]

    total += column(folded.bias)
    if layer.identity:
        total += column(folded.residual) * shortcut.numpy().astype(np.int64)
    level = np.clip((total * column(folded.multiplier) + 2**15) >> 16, 0, layer.top)
    rank = total if layer.order == "before" else level
    grouped = rank.reshape(len(x), -1, layer.group_size, size, size)
    winner = np.arange(layer.group_size)[:, None, None] == grouped.argmax(2)[:, :, None]
    return level * winner.reshape(level.shape)


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_weights_are_integers_in_range(bits):
    weights = torch.randn(16, 144, generator=torch.Generator().manual_seed(0))
    found = quantise_weights(weights, bits, torch.tensor(NORMAL_STEP[bits]))
    assert torch.equal(found, found.round())
    assert found.min() >= -(2 ** (bits - 1)) and found.max() <= 2 ** (bits - 1) - 1
    assert len(found.unique()) == 2**bits or bits == 8


def test_weight_gradient_passes_inside_the_range_alone():
    weights = torch.tensor([-9.0, -8, -3.3, 0.2, 6.9, 7.4, 20], requires_grad=True)
    quantise_weights(weights, 4, torch.tensor(1.0)).sum().backward()
    assert weights.grad.tolist() == [0, 1, 1, 1, 1, 0, 0]


def test_step_is_shared_by_tied_channels():
    step = gaussian_step(torch.randn(8, 4, 3, 3), 4, 4).flatten()
    assert len(step[:4].unique()) == 1 and len(step[4:].unique()) == 1
    assert len(gaussian_step(torch.randn(8, 4, 3, 3), 4, 1).unique()) == 8


@pytest.mark.parametrize("group_size", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize(
    "quantised, temperature, frozen",
    [(True, None, False), (True, None, True), (False, None, False), (False, 2.0, False)],
)
def test_compiled_code_equals_plain_torch(
    group_size, order, quantised, temperature, frozen, monkeypatch
):
    """One layer, forward and backward, in bf16: equal up to that type's rounding."""
    if fused.compiled() is None:
        pytest.skip("g++ is missing: training uses plain torch here")
    mode = Mode(quantised, temperature, frozen)
    gradient = torch.randn(8, 32, 8, 8, generator=torch.Generator().manual_seed(1))
    found = []
    for plain in (False, True):
        if plain:
            monkeypatch.setattr(fused, "available", lambda y, group_size: False)
        layer = make_layer(mode, group_size=group_size, order=order, shortcut=32)
        layer.mean += 3
        layer.variance *= 3e3
        x, shortcut = levels(8, 16, 8, 8).bfloat16(), levels(8, 32, 8, 8).bfloat16()
        x.requires_grad_()
        shortcut.requires_grad_()
        out = layer(x, shortcut)
        (out.float() * gradient).sum().backward()
        found.append(
            [
                out,
                x.grad,
                shortcut.grad,
                layer.weight.grad,
                layer.gamma.grad,
                layer.beta.grad,
                layer.mean,
                layer.variance,
            ]
        )
    for mine, plain in zip(*found, strict=True):
        similarity = torch.nn.functional.cosine_similarity(
            mine.detach().double().flatten(), plain.detach().double().flatten(), 0
        )
        assert similarity > 0.995
        torch.testing.assert_close(mine.double().norm(), plain.double().norm(), rtol=0.02, atol=0)


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("stride", [1, 2])
def test_gradient_of_a_shortcut_is_added_on_the_way(size, stride, monkeypatch):
    """As autograd adds it: to the bit by the identity; by a projection but for its own rounding."""
    if fused.compiled() is None:
        pytest.skip("g++ is missing: training uses plain torch here")
    found = []
    for mine in (True, False):
        mode = Mode(quantised=False, temperature=2.0)
        first = make_layer(mode)
        keywords = {"inputs": 32, "shortcut": 32, "stride": stride, "shortcut_stride": stride}
        second, third = make_layer(mode, **keywords), make_layer(mode, **keywords)
        if not mine:
            monkeypatch.setattr(layers, "claim", lambda x: None)
        x = levels(4, 16, size, size).bfloat16().requires_grad_()
        middle = first(x)
        out = second(middle, middle).float()
        if stride == 2:  # two shortcuts of one tensor: the second one's gradient comes by autograd
            out = out + third(middle, middle).float()
        (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
        parameters = [*first.parameters(), *second.parameters(), *third.parameters()]
        grads = [p.grad for p in parameters if p.grad is not None]
        found.append([out.detach(), x.grad, *grads])
    for mine, plain in zip(*found, strict=True):
        if stride == 1:
            assert torch.equal(mine, plain)
        else:
            difference = (mine.float() - plain.float()).norm()
            assert difference < 0.01 * plain.float().norm()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of what it does itself
def test_torch_compile_equals_plain_torch():
    """In fp32, forward and backward; temperatures share one compiled function."""
    for quantised, temperature in ((False, 2.0), (False, 3.0), (True, None)):
        found = []
        for compiled in (True, False):
            mode = Mode(quantised, temperature, compiled=compiled)
            layer = make_layer(mode, shortcut=32)
            x, shortcut = levels(4, 16, 8, 8), levels(4, 32, 8, 8)
            x.requires_grad_()
            shortcut.requires_grad_()
            out = layer(x, shortcut)
            gradient = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
            (out * gradient).sum().backward()
            grads = [p.grad for p in layer.parameters()]
            found.append([out.detach(), x.grad, shortcut.grad, *grads])
        for mine, plain in zip(*found, strict=True):
            torch.testing.assert_close(mine, plain, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("group_size", [1, 4])
@pytest.mark.parametrize("quantised, temperature", [(True, None), (False, None), (False, 2.0)])
def test_compiled_code_passes_on_what_is_not_a_number(group_size, quantised, temperature):
    if fused.compiled() is None:
        pytest.skip("g++ is missing: training uses plain torch here")
    layer = make_layer(Mode(quantised, temperature), group_size=group_size)
    x = levels(2, 16, 8, 8).bfloat16()
    x[1, 3, 4, 4] = float("nan")
    assert layer(x).isnan().any()


@pytest.mark.parametrize("group_size", [1, 4])
def test_evaluation_in_bf16_is_near_that_in_fp32(group_size):
    layer = make_layer(Mode(temperature=2.0), group_size=group_size).eval()
    layer.variance *= 2e3
    x = levels(4, 16, 8, 8)
    with torch.no_grad():
        exact, quick = layer(x), layer(x.bfloat16())
    assert quick.dtype == torch.bfloat16
    different = (quick.float() - exact).abs() > 0.02 * exact.abs().max()
    assert different.float().mean() < 0.01  # a winner may change where two are nearly equal


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("group_size", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("shortcut", ["none", "identity", "projection"])
def test_evaluation_is_integer_arithmetic(order, group_size, shortcut):
    channels = 24 if shortcut != "projection" else 48
    layer = make_layer(
        group_size=group_size,
        order=order,
        channels=channels,
        shortcut=None if shortcut == "none" else 24,
        stride=2 if shortcut == "projection" else 1,
        shortcut_stride=2 if shortcut == "projection" else 1,
    )
    layer.train()
    if shortcut == "projection":
        layer.stride = 2
    x, residual = levels(4, 16, 8, 8), levels(4, 24, 8, 8)
    for _ in range(30):
        layer(x, residual)
    layer.eval()
    found = layer(x, residual)
    assert found.max() > 0
    assert np.array_equal(found.detach().numpy().astype(np.int64), ref_integers(layer, x, residual))


def test_training_at_frozen_statistics_gives_the_exported_levels():
    layer = make_layer(Mode(quantised=True, frozen=True))
    layer.variance *= 2e3
    x = levels(4, 16, 8, 8)
    trained = layer(x)
    assert np.array_equal(trained.detach().numpy(), ref_integers(layer, x))


def test_order_before_has_one_multiplier_a_group():
    layer = make_layer()
    layer(levels(4, 16, 8, 8))
    multipliers = layer.fold().multiplier.view(-1, 4)
    assert (multipliers == multipliers[:, :1]).all()


def test_multipliers_stay_within_the_hardware():
    layer = make_layer()
    with torch.no_grad():
        layer.gamma[:4] = 1e-6
        layer.gamma[4:] = 1e6
    folded = layer.fold()
    assert folded.multiplier.min() == 16 and folded.multiplier.max() == 65535


def test_exponent_is_chosen_once():
    layer = make_layer(shortcut=16, shortcut_stride=2, stride=2)
    assert layer.exponent == -1
    layer(levels(4, 16, 8, 8), levels(4, 16, 8, 8))
    chosen = int(layer.exponent)
    assert 0 <= chosen <= 4
    with torch.no_grad():
        layer.weight[:, 144:] *= 64
    layer(levels(4, 16, 8, 8), levels(4, 16, 8, 8))
    assert layer.exponent == chosen


def test_binary_levels():
    layer = make_layer(binary=True)
    out = layer(levels(4, 16, 8, 8, top=1))
    assert set(out.unique().tolist()) == {0.0, 1.0}


def test_output_layer_is_integer_in_evaluation():
    mode = Mode(quantised=True)
    layer = OutputLayer(
        inputs=16, classes=10, pixels=16, weight_bits=8, activation_bits=4, mode=mode
    )
    x = levels(4, 16, 4, 4)
    weights, bias = layer.fold()
    expected = x.sum((2, 3)) @ weights.T + bias
    found = layer.eval()(x)
    ratio = found / expected
    torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio[0, 0])))
    assert math.isclose(float(ratio[0, 0]), float(layer.step()) / 64, rel_tol=1e-5)


@pytest.mark.parametrize(
    "change, text",
    [
        ({"group_size": 5}, "Group size 5 does not divide 32 channels"),
        ({"order": "during"}, "Order must be before or after, not during"),
        ({"weight_bits": 9}, "Weight bits must be 1 to 8, not 9"),
        ({"activation_bits": 0}, "Activation bits must be 1 to 8, not 0"),
    ],
)
def test_wrong_parameters(change, text):
    with pytest.raises(ValueError, match=text):
        make_layer(**change)
