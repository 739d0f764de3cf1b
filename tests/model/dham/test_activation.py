"""The DHAM activation against its formula, written out group by group."""

import numpy as np
import pytest
import torch

from model.dham.activation import Temperature, dham, group_size_of, winner_takes_all


def ref_soft(z, group_size, t):
    """σ_t as in the paper, in float64, one group at a time."""
    out = np.zeros_like(z)
    for n, g, y, x in np.ndindex(z.shape[0], z.shape[1] // group_size, *z.shape[2:]):
        channels = slice(g * group_size, (g + 1) * group_size)
        value = np.maximum(z[n, channels, y, x], 0)
        weights = np.exp(t * value - np.max(t * value))
        softmax = weights / weights.sum()
        out[n, channels, y, x] = softmax / softmax.max() * value
    return out


def ref_winner(z, group_size):
    """σ_WTA: the first maximum of each group keeps its value."""
    out = np.zeros_like(z)
    for n, g, y, x in np.ndindex(z.shape[0], z.shape[1] // group_size, *z.shape[2:]):
        value = np.maximum(z[n, g * group_size : (g + 1) * group_size, y, x], 0)
        winner = int(np.argmax(value))
        out[n, g * group_size + winner, y, x] = value[winner]
    return out


@pytest.fixture
def z():
    return torch.randn(2, 12, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("group_size", [1, 2, 3, 4, 6, 12])
def test_value_of_winners(z, group_size):
    assert np.array_equal(dham(z, group_size).numpy(), ref_winner(z.numpy(), group_size))


@pytest.mark.parametrize("group_size", [1, 2, 3, 4, 12])
@pytest.mark.parametrize("t", [0.0, 0.1, 1.0, 10.0, 1e4])
def test_soft_equals_formula(z, group_size, t):
    np.testing.assert_allclose(
        dham(z, group_size, t).numpy(), ref_soft(z.numpy(), group_size, t), rtol=1e-12, atol=1e-12
    )


def test_limits(z):
    assert torch.equal(dham(z, 1), z.relu())
    assert torch.equal(dham(z, 4, 0.0), z.relu())
    assert torch.allclose(dham(z, 4, 1e9), dham(z, 4))


def test_huge_temperature_is_finite():
    assert dham(torch.full((1, 4, 1, 1), 1e4), 4, 1e30).isfinite().all()


def test_ties_go_to_the_lowest_index():
    rank = torch.tensor([3.0, 5, 5, 1, 0, 0, 0, 0, 2, 2, 2, 2]).view(1, 12, 1, 1)
    assert winner_takes_all(rank, 4).flatten().nonzero().flatten().tolist() == [1, 4, 8]


def test_many_ties_go_to_the_lowest_index():
    rank = torch.randint(0, 3, (8, 32, 16, 16), generator=torch.Generator().manual_seed(2))
    for group_size in (2, 3, 4, 8, 32):
        grouped = rank[:, : group_size * (32 // group_size)].numpy()
        winner = grouped.reshape(8, -1, group_size, 16, 16).argmax(2)
        found = winner_takes_all(torch.from_numpy(grouped), group_size).numpy()
        found = found.reshape(8, -1, group_size, 16, 16)
        assert (found.sum(2) == 1).all()
        assert np.array_equal(found.argmax(2), winner)


def test_binary(z):
    assert torch.equal(dham(z, 3, binary=True), (dham(z, 3) > 0).double())


def test_no_gradient_through_the_softmax(z):
    z.requires_grad_()
    dham(z, 4, 2.0).sum().backward()
    value = z.detach().relu()
    share = torch.where(value > 0, dham(z.detach(), 4, 2.0) / value, 0.0)
    assert torch.allclose(z.grad, share.nan_to_num())


def test_gradient_of_binary_is_that_of_the_value(z):
    z.requires_grad_()
    dham(z, 4, binary=True).sum().backward()
    assert torch.equal(z.grad, (dham(z.detach(), 4) > 0).double())


def test_temperature_grows_exponentially():
    t = Temperature(initial=1, final=1000, steps=4)
    assert [round(t(step), 6) for step in range(6)] == [1, 10, 100, 1000, 1000, 1000]
    assert Temperature(initial=1, final=10, steps=1)(0) == 10


def test_group_size_by_number_of_groups():
    assert group_size_of(64, groups=16) == 4
    assert group_size_of(64, group_size=8) == 8


@pytest.mark.parametrize(
    "call, error, text",
    [
        (
            lambda: group_size_of(16, group_size=0),
            ValueError,
            "Group size must be a positive integer, not 0",
        ),
        (
            lambda: group_size_of(16, group_size=2.0),
            TypeError,
            "Group size must be a positive integer, not 2.0",
        ),
        (
            lambda: group_size_of(16, group_size=3),
            ValueError,
            "Group size 3 does not divide 16 channels",
        ),
        (
            lambda: group_size_of(16, groups=5),
            ValueError,
            "Number of groups 5 does not divide 16 channels",
        ),
        (lambda: group_size_of(16), ValueError, "either the group size or the number of groups"),
        (
            lambda: dham(torch.zeros(1, 6, 1, 1), 4),
            ValueError,
            "Group size 4 does not divide 6 channels",
        ),
        (
            lambda: dham(torch.zeros(1, 4, 1, 1), 4, -1.0),
            ValueError,
            "Temperature must be a number from 0, not -1",
        ),
        (
            lambda: Temperature(initial=0, final=1, steps=1),
            ValueError,
            "Initial temperature must be positive, not 0",
        ),
        (
            lambda: Temperature(initial=2, final=1, steps=1),
            ValueError,
            "Initial temperature 2 exceeds the final one, 1",
        ),
        (
            lambda: Temperature(initial=1, final=2, steps=0),
            ValueError,
            "Number of steps must be a positive integer, not 0",
        ),
    ],
)
def test_wrong_parameters(call, error, text):
    with pytest.raises(error, match=text):
        call()
