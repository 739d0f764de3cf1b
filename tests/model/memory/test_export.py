"""Classical memories as network files, and the program that makes them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.common.errors import UserError
from model.integers import oracle, reference
from model.integers.golden import differences
from model.memory import export, integers
from model.memory.__main__ import main
from model.memory.patterns import ERASED, Parts, random_vectors
from model.network import load, validate
from model.network.count import multiplications

ROOT = Path(__file__).parents[3]
shapes = st.builds(Parts, st.integers(1, 7), st.integers(1, 9))


def pairs(seed, source, target, count):
    rng = np.random.default_rng(seed)
    return random_vectors(rng, source, count), random_vectors(rng, target, count)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**31), source=shapes, target=shapes, count=st.integers(1, 30),
    readout=st.sampled_from(export.READOUTS), steps=st.integers(1, 3),
)  # fmt: skip
def test_network_is_the_memory(seed, source, target, count, readout, steps):
    if steps > 1:
        target = source
    inputs, outputs = pairs(seed, source, target, count)
    network = export.to_network(
        inputs, outputs, source, target, iterations=steps, readout=readout, seed=seed
    )
    validate(network)
    assert differences(network) == []  # golden vectors by the oracle, checked by torch
    assert len(network.golden.images) == 8
    probes = np.random.default_rng(seed).integers(ERASED, source.size, (20, source.count))
    weights = integers.store(inputs, outputs, source, target)
    expected = integers.retrieve(weights, probes, source, target, steps)
    for run in (oracle.run, reference.run):
        result = run(network, export.images(probes, source))
        np.testing.assert_array_equal(export.answers(result.records[-1]), expected)
        given_back = np.array(result.records[0].value[:, :, 0, 0] > 0)
        np.testing.assert_array_equal(given_back, probes != ERASED)
        if readout == "parts":
            np.testing.assert_array_equal(result.logits, expected + 1)
        else:
            agree = (expected[:, None, :] == outputs[None]).sum(axis=2)
            np.testing.assert_array_equal(result.logits, agree)


def test_large_memory():
    """c = 8, ℓ = 32: what is counted, and what the file says of itself."""
    parts = Parts(8, 32)
    inputs, outputs = pairs(0, parts, parts, 300)
    network = export.to_network(inputs, outputs, parts, parts)
    assert network.input_shape == (8, 1, 32) and network.input_bits == 1
    memory = network.layers[1]
    assert memory.weight_bits == 1 and memory.binary and memory.group_size == 32
    assert multiplications(memory, network.tensors) == (256 * 256, 8 * 256)
    weights = integers.store(inputs, outputs, parts, parts)
    assert network.metadata["memory"] == {
        "source": [8, 32], "target": [8, 32], "pairs": 300, "iterations": 1, "readout": "parts",
        "density": round(integers.density(weights), 6),
    }  # fmt: skip
    result = oracle.run(network, export.images(inputs, parts))
    assert (result.logits - 1 == outputs).all(axis=1).mean() > 0.9


def test_example():
    """Figure and text of docs/memory.md: 35 ones; ties go to the lowest index."""
    inputs, outputs, source, target = export.example()
    weights = integers.store(inputs, outputs, source, target)
    assert weights.sum() == 35
    found = integers.retrieve(weights, inputs, source, target)
    np.testing.assert_array_equal(found, outputs)
    first = inputs.copy()
    first[:, 1:] = ERASED
    found = integers.retrieve(weights, first, source, target)
    np.testing.assert_array_equal(found, [[1, 0, 0], [1, 0, 0], outputs[2]])


def test_what_cannot_be_exported():
    parts, other = Parts(2, 3), Parts(2, 128)
    inputs, outputs = pairs(0, parts, other, 4)

    def make(*arguments, **options):
        with pytest.raises(ValueError) as caught:
            export.to_network(*arguments, **options)
        return str(caught.value)

    assert make(inputs[:0], outputs[:0], parts, other) == "A memory needs at least one pair"
    assert "at most 127 coordinates, not 128; use 'patterns'" in make(inputs, outputs, parts, other)
    assert "one of parts, patterns, not 'x'" in make(inputs, inputs, parts, parts, readout="x")
    assert "positive integer, not 0" in make(inputs, inputs, parts, parts, iterations=0)
    assert "cannot take its answer" in make(inputs, outputs, parts, other, iterations=2)
    assert "Frames must be 4 or more, not 3" in make(inputs, inputs, parts, parts, frames=3)


# --- the program --------------------------------------------------------------------------------


def test_program(tmp_path, capsys):
    path = tmp_path / "memory.dham"
    assert main(["--export", str(path), "--source", "4x8", "--target", "3x5", "--pairs", "20"]) == 0
    network = load(path)
    assert differences(network) == [] and network.name == "memory-4x8-3x5"
    assert network.metadata["memory"]["target"] == [3, 5]
    printed = capsys.readouterr().out
    assert "4x8 to 3x5, 20 pairs" in printed and "of random pairs 0.397" in printed
    assert printed.count(" of 20 right") == 3
    again = tmp_path / "again.dham"
    main(["--export", str(again), "--source", "4x8", "--target", "3x5", "--pairs", "20"])
    assert load(again).sha256 == network.sha256
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["again.dham", "memory.dham"]


def test_program_stores_the_patterns_of_a_file(tmp_path):
    inputs, outputs, source, target = export.example()
    file = tmp_path / "pairs.csv"
    rows = np.concatenate([inputs, outputs], axis=1)
    file.write_text("\n".join(",".join(map(str, row)) for row in rows), "utf-8")
    ours, theirs = tmp_path / "a.dham", tmp_path / "b.dham"
    shape = ["--source", "4x4", "--target", "3x4"]
    main(["--export", str(ours), "--patterns", str(file), *shape])
    main(["--export", str(theirs), "--example"])
    assert load(ours).sha256 == load(theirs).sha256
    file.write_text("0 1 2 3\n3 2 1 0\n", "utf-8")
    main(["--export", str(ours), "--patterns", str(file), "--source", "4x4", "--auto",
          "--iterations", "2", "--name", "own"])  # fmt: skip
    network = load(ours)
    assert network.name == "own" and len(network.convs) == 3
    result = oracle.run(network, export.images(np.array([[0, 1, -1, -1]]), source))
    np.testing.assert_array_equal(export.answers(result.records[-1]), [[0, 1, 2, 3]])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("--source 8", "'8' is not a shape such as 8x32"),
        ("--source 8x0", "'8x0' is not a shape such as 8x32"),
        ("--source 4x4x4", "'4x4x4' is not a shape such as 8x32"),
        ("--source 4x9999", "from 4x9999 to 4x9999 has 1,699,660,017 weights, at most 16,777,216"),
        ("--readout patterns --pairs 99999", "has 25,666,304 weights, at most 16,777,216 are made"),
        ("--source 65536x1", "does at most 65535 parts and coordinates, not 65536x1"),
        ("--pairs 0", "Pairs must be 1 to 1048576, not 0"),
        ("--seed -1", "Seed must be 0 to 2147483647, not -1"),
        ("--pairs many", "argument --pairs: invalid int value: 'many'"),
        ("--readout all", "argument --readout: invalid choice: 'all'"),
        ("--iterations 2", "--iterations feeds the answer back: it needs --auto"),
        ("--auto --iterations 0", "Iterations must be a positive integer, not 0"),
        ("--auto --target 4x4", "--auto stores vectors with themselves: 4x4 is not 8x32"),
        ("--example --pairs 3", "Give one of --patterns, --pairs and --example"),
        ("--example --source 4x4", "--example has its own shapes and pairs"),
        ("--target 2x128", "at most 127 coordinates, not 128; use 'patterns'"),
        ("--name= --example", "Network needs a name"),
        ("--patterns none.csv", "Cannot read patterns none.csv: No such file"),
    ],
)
def test_program_refuses(tmp_path, monkeypatch, options, text):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        main(["--export", "memory.dham", *options.split()])
    assert text in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("", "--export needs the name of a file, not ''"),
        (".", "--export needs the name of a file, not '.'"),
        ("no/x.dham", "--export no/x.dham: the folder no does not exist"),
        ("pairs.csv", "--export pairs.csv is the file that is read: give another name"),
    ],
)
def test_program_refuses_its_output(tmp_path, monkeypatch, output, text):
    """Before the work: the pairs are not even read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.csv").write_text("not pairs")
    with pytest.raises(UserError) as caught:
        main(["--export", output, "--patterns", "pairs.csv"])
    assert str(caught.value) == text
    assert (tmp_path / "pairs.csv").read_text() == "not pairs"


def test_program_from_the_command_line(tmp_path):
    """Wrong use is one line and status 2; nothing of torch is needed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*arguments):
        command = [sys.executable, "-X", "importtime", "-m", "model.memory", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    def said(finished):
        return [line for line in finished.stderr.splitlines() if not line.startswith("import time")]

    finished = run()
    assert finished.returncode == 2 and len(said(finished)) == 1
    assert said(finished)[0].startswith("error: the following arguments are required: --export")
    finished = run("--export", "folder/none/memory.dham", "--pairs", "3")
    assert finished.returncode == 2 and said(finished) == [
        "error: --export folder/none/memory.dham: the folder folder/none does not exist"
    ]
    finished = run("--export", "memory.dham", "--example")
    assert finished.returncode == 0 and said(finished) == []
    assert "torch" not in finished.stderr and "3 of 3 right" in finished.stdout
    assert load(tmp_path / "memory.dham").metadata["memory"]["pairs"] == 3
