"""`python -m model.show`: tables and JSON of any network, one line of error for bad input."""

import io
import json
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from model.integers.golden import attach_golden
from model.network import save
from model.network.count import total_multiplications
from model.show import describe, main, print_tables
from sim.networks import random_network


def printed(network):
    console = Console(file=io.StringIO(), width=250)
    print_tables(network, console)
    return console.file.getvalue()


@pytest.mark.parametrize("seed", range(20))
def test_any_network(seed):
    network = random_network(seed)
    text = printed(network)
    facts = describe(network)
    total = total_multiplications(network)
    assert f"{total.dense:,} multiplications dense, {total.dham:,} as a DHAM" in text
    assert facts["multiplications"] == {"dense": total.dense, "dham": total.dham}
    assert f"accumulator {network.accumulator_bits} bits" in text
    assert "No golden vectors" in text
    for layer, entry in zip(network.layers, facts["layers"], strict=True):
        (row,) = (line for line in text.splitlines() if line.strip().startswith(layer.name))
        assert f"{entry['multiplications']['dham']:,}" in row
        assert f"w{layer.weight_bits}" in row
        if layer.kind == "conv":
            output = layer.output(network.tensors[layer.source])
            assert entry["output"] == [output.height, output.width, output.channels]
            assert f"{output.height}x{output.width}x{output.channels}" in row
            assert layer.order in row
            assert ("projection" in row) == (layer.projection is not None)
            assert ("identity" in row) == (layer.identity is not None)
            assert ("binary" in row) == layer.binary


def test_golden_and_metadata():
    network = attach_golden(random_network(7))
    network = replace(network, metadata=network.metadata | {"top1": 85.25, "[red]": ["a", "b"]})
    text = printed(network)
    groups, channels = (network.metadata["golden"]["coverage"][k] for k in ("groups", "channels"))
    assert f"golden vectors: {len(network.golden.images)} frames of" in text
    assert f"{groups[0]} of {groups[1]} groups and {channels[0]} of {channels[1]} channels" in text
    assert "85.25" in text and "[red]" in text and "a b" in text


@pytest.mark.parametrize("other", [5, {}, {"coverage": 3}, {"coverage": {"groups": [1]}}])
def test_metadata_of_another_writer(other):
    network = attach_golden(random_network(7))
    text = printed(replace(network, metadata={"golden": other}))
    assert "golden vectors:" in text and "win somewhere" not in text


def test_json(tmp_path, capsys):
    network = save(attach_golden(random_network(4)), tmp_path / "some.dham")
    main([str(tmp_path / "some.dham"), "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts == json.loads(json.dumps(describe(network)))
    assert facts["sha256"] == network.sha256
    assert facts["golden"]["frames"] == len(network.golden.images)


def program(*arguments):
    command = [sys.executable, "-W", "error", "-m", "model.show", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_program(tmp_path):
    save(random_network(4), tmp_path / "some.dham")
    done = program(tmp_path / "some.dham")
    assert (done.returncode, done.stderr) == (0, "")
    assert "random-4" in done.stdout


def test_unknown_name_of_the_zoo():
    done = program("defualt")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: Unknown network 'defualt': ")
    assert done.stderr.count("\n") == 1


def test_bad_input_is_one_line_and_status_2(tmp_path):
    (tmp_path / "some.dham").write_bytes(b"something else")
    done = program(tmp_path / "some.dham")
    expected = f"error: Network file {tmp_path}/some.dham: not a DHAM network file (magic)\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)
    done = program(tmp_path / "same.dham")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "did you mean some.dham?" in done.stderr
