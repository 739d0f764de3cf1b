"""The program that makes golden vectors for a network file."""

import sys

import pytest

from model.common.errors import run_cli
from model.golden import main
from model.integers.golden import attach_golden, differences
from model.network import load, save
from sim.networks import random_network


@pytest.fixture(scope="module")
def network():
    return attach_golden(random_network(7))


def test_program(tmp_path, capsys):
    save(random_network(7), tmp_path / "bare.dham")
    main([str(tmp_path / "bare.dham"), "--output", str(tmp_path / "with.dham")])
    network = load(tmp_path / "with.dham")
    assert differences(network) == []
    groups = network.metadata["golden"]["coverage"]["groups"]
    assert f"{groups[0]} of {groups[1]} groups" in capsys.readouterr().out


def test_program_with_a_missing_file(tmp_path, capsys, monkeypatch):
    arguments = ["golden", str(tmp_path / "none"), "--output", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as caught:
        run_cli(main)()
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: Cannot read network file") and captured.out == ""
