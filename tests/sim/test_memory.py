"""Classical memories on the RTL: every record, logit and cycle, on the memory's own probes."""

from dataclasses import replace

import numpy as np
import pytest

from hw.boards import find_board
from hw.compile.plan import PlanError, make_plan
from hw.families import find_family
from model.integers import oracle
from model.memory import export, integers
from model.memory.patterns import ERASED, Parts, damage, random_vectors
from sim.model import compile_model
from sim.verify import Stimulus, expect, golden, verify_all

#: The iCEBreaker's hardware, its records' six bits divided otherwise: groups of up to 32, value 1.
MEMORY = replace(find_board("icebreaker").capability, activation_bits=1, winner_bits=5)


@pytest.fixture(scope="module")
def memory_model():
    return compile_model(MEMORY)


def probes_of(inputs, source, seed):
    """Stored vectors whole, in part, with wrong parts, and with nothing left; in any order."""
    rng = np.random.default_rng(seed)
    kinds = [(0, 0), (source.count // 2, 0), (0, 2), (1, 1), (source.count, 0)]
    probes = [
        damage(rng, inputs[rng.integers(0, len(inputs), 3)], source, erased=erased, wrong=wrong)
        for erased, wrong in kinds
    ]
    return rng.permutation(np.concatenate(probes))


def check(model, cases, directory):
    """Network = integers, RTL = network, on the probes and golden vectors of all (memory, …)."""
    stimuli, found = [], []
    for (inputs, outputs, source, target), probes, options in cases:
        network = export.to_network(inputs, outputs, source, target, **options)
        images = export.images(probes, source)
        answers = export.answers(oracle.run(network, images).records[-1])
        weights = integers.store(inputs, outputs, source, target)
        iterations = options.get("iterations", 1)
        expected = integers.retrieve(weights, probes, source, target, iterations)
        np.testing.assert_array_equal(answers, expected)
        plan = make_plan(network, model.capability)
        stimuli.append(Stimulus(plan=plan, expected=expect(network, images)))
        stimuli.append(Stimulus(plan=plan, expected=golden(network)))
        found.append(answers)
    for one, result in zip(stimuli, verify_all(model, stimuli, directory), strict=True):
        assert result.mismatch is None
        assert result.frames == len(one.expected.images) > 0
        records = sum(tensor.groups * tensor.pixels for tensor in one.plan.network.tensors[1:])
        assert result.records == result.frames * records
        assert max(result.cycles) <= one.plan.cycles
    return found


def test_example_on_the_board(ice40_model, tmp_path):
    """The small memory runs on the bitstream of the iCEBreaker as it is."""
    inputs, outputs, source, target = export.example()
    first = np.full((1, 4), ERASED)
    first[0, 0] = 0
    probes = np.concatenate([inputs, probes_of(inputs, source, 0), first])
    answers = check(ice40_model, [(export.example(), probes, {})], tmp_path)[0]
    np.testing.assert_array_equal(answers[:3], outputs)
    np.testing.assert_array_equal(answers[-1], [1, 0, 0])  # ties: the lowest index


def test_memory_of_eight_parts_of_32(memory_model, tmp_path):
    """c = 8, ℓ = 32, loaded until it errs: right or wrong, the hardware answers the same."""
    source = target = Parts(8, 32)
    rng = np.random.default_rng(1)
    inputs, outputs = random_vectors(rng, source, 300), random_vectors(rng, target, 300)
    network = export.to_network(inputs, outputs, source, target)
    plan = make_plan(network, MEMORY)
    assert plan.layers[1].multiplications == 8 * 256  # one for each part and output coordinate
    memory = inputs, outputs, source, target
    probes = np.concatenate([inputs[:6], probes_of(inputs, source, 2)])
    answers = check(memory_model, [(memory, probes, {})], tmp_path)[0]
    assert (answers == ERASED).any()  # of the probes with nothing left
    assert (answers[:6] == outputs[:6]).mean() > 0.9


def test_fed_back_and_other_shapes(memory_model, tmp_path):
    """Gripon and Berrou's network with three iterations; sizes that are no power of two; ones."""
    rng = np.random.default_rng(3)
    parts = Parts(8, 16)
    inputs = random_vectors(rng, parts, 80)
    probes = probes_of(inputs, parts, 4)
    options = {"iterations": 3, "readout": "patterns"}
    cases = [((inputs, inputs, parts, parts), probes, options)]
    for source, target in (
        (Parts(5, 3), Parts(3, 7)),
        (Parts(1, 32), Parts(2, 1)),
        (Parts(3, 31), Parts(1, 5)),
    ):
        inputs, outputs = random_vectors(rng, source, 9), random_vectors(rng, target, 9)
        probes = np.concatenate([inputs, np.full((1, source.count), ERASED)])
        cases.append(((inputs, outputs, source, target), probes, {}))
    check(memory_model, cases, tmp_path)


def test_board_as_it_is_refuses_large_groups():
    rng = np.random.default_rng(6)
    parts = Parts(8, 32)
    inputs = random_vectors(rng, parts, 10)
    network = export.to_network(inputs, inputs, parts, parts)
    with pytest.raises(PlanError, match="group size is 32, this hardware does at most 4"):
        make_plan(network, find_board("icebreaker").capability)


def test_memory_takes_the_blocks_of_the_board():
    """Hardware for memories is the board's own in size: no more DSPs, block RAMs and SPRAMs."""
    board = find_board("icebreaker")
    count = find_family(board.family).count_blocks
    assert count(MEMORY) == count(board.capability)
    assert all(need <= board.budget[name] for name, need in count(MEMORY).items())
