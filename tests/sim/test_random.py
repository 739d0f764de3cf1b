"""Random networks on one compiled model: records, logits, classes and cycles, frame by frame."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hw.compile.plan import PlanError, make_plan
from model.network import load
from sim.networks import Limits
from sim.verify import golden, verify, verify_all
from tests import independent_writer
from tests.networks import networks
from tests.sim.helpers import (
    BOARD_LIMITS,
    GENERIC,
    LARGE,
    LARGE_LIMITS,
    LONG,
    fitting,
    small_network,
    stimulus,
    with_golden,
)


def check(model, found, directory, frames=3):
    """Run and compare; every difference is shown."""
    stimuli = [stimulus(network, model.capability, seed, frames) for seed, network in found]
    results = verify_all(model, stimuli, directory)
    differences = [
        f"{one.plan.network.name}: {result.mismatch}"
        for one, result in zip(stimuli, results, strict=True)
        if result.mismatch
    ]
    assert not differences, "\n".join(differences)
    for one, result in zip(stimuli, results, strict=True):
        layers = len(one.plan.network.layers)
        records = sum(t.pixels * t.groups for t in one.plan.network.tensors[1:])
        assert result.ok
        assert result.frames == frames
        assert result.layers == frames * layers
        assert result.records == frames * records
        assert len(result.layer_cycles) == len(result.cycles) == frames
        for of_layers, cycles in zip(result.layer_cycles, result.cycles, strict=True):
            assert len(of_layers) == layers and sum(of_layers) == cycles


def test_random_networks(generic_model, tmp_path):
    check(generic_model, fitting(60, 0, GENERIC), tmp_path)


def test_random_networks_in_the_long_pipeline(long_model, tmp_path):
    check(long_model, fitting(40, 0, LONG), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 2000, 200))
def test_many_random_networks(generic_model, tmp_path, first):
    check(generic_model, fitting(100, first, GENERIC), tmp_path)


def test_large_networks(large_model, tmp_path):
    """Groups longer than the lanes, up to 100 classes and 64 pixels, negative factors."""
    found = fitting(5, 0, LARGE, LARGE_LIMITS)
    layers = [layer for _, network in found for layer in network.convs]
    assert any(layer.group_size > LARGE.lanes for layer in layers)
    assert any(layer.identity and layer.identity.factor.min() < 0 for layer in layers)
    assert max(network.classifier.channels for _, network in found) > 50
    # The device's own counter is read after the last one: more than 19 bits.
    assert make_plan(found[-1][1], LARGE).cycles > 2**19
    check(large_model, found, tmp_path, frames=2)


@pytest.mark.slow
def test_many_large_networks(large_model, tmp_path):
    check(large_model, fitting(30, 100, LARGE, LARGE_LIMITS), tmp_path, frames=2)


@settings(
    max_examples=6,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=st.lists(networks(Limits(layers=4, max_pixels=8)), min_size=3, max_size=6))
def test_drawn_networks(generic_model, tmp_path, drawn):
    found = []
    for number, network in enumerate(drawn):
        try:
            make_plan(network, GENERIC)
            found.append((number, network))
        except PlanError:
            pass
    if found:
        check(generic_model, found, tmp_path)


def test_frames_many_and_aborts_anywhere(generic_model, tmp_path):
    """After frames that are aborted at all kinds of times, ten are whole."""
    from dataclasses import replace

    aborts = (0.0, 0.01, 0.13, 0.29, 0.5, 0.73, 0.9, 0.99, 1.0, 1.37, 2.5)
    stimuli = [
        replace(stimulus(network, GENERIC, seed, 10), aborts=aborts)
        for seed, network in fitting(4, 80, GENERIC)
    ]
    for result in verify_all(generic_model, stimuli, tmp_path):
        assert result.mismatch is None
        assert result.frames == 10


@pytest.mark.parametrize("seed", [0, 1])
def test_independent_file(generic_model, tmp_path, seed):
    """A file by a program that knows the documents alone, compared with its own golden vectors."""
    path = tmp_path / "independent.dham"
    independent_writer.write(path, seed)
    network = load(path)
    result = verify(make_plan(network, GENERIC), workdir=tmp_path / "work", model=generic_model)
    assert result.mismatch is None
    assert result.frames == len(network.golden.images) == 4


def test_random_networks_on_ice40(ice40_model, tmp_path):
    """SPRAM and DSP models: networks that fit the board."""
    check(ice40_model, fitting(12, 0, ice40_model.capability, BOARD_LIMITS), tmp_path)


def test_golden_vectors_by_default(generic_model, tmp_path):
    network = with_golden(small_network(), frames=3)
    result = verify(make_plan(network, GENERIC), workdir=tmp_path, model=generic_model)
    assert result.ok and result.frames == 3
    assert len(result.cycles) == 3
    assert max(result.cycles) <= make_plan(network, GENERIC).cycles
    assert {"compile", "simulate", "compare"} <= set(result.seconds)
    first = verify(make_plan(network, GENERIC), frames=1, workdir=tmp_path, model=generic_model)
    assert first.ok and first.frames == 1
    assert len(golden(network, 2).images) == 2
