"""`python -m sim`: what it prints, and its exit status."""

import json
import re

import pytest

from model.network import save
from sim import __main__ as cli
from sim.networks import Limits, random_network
from tests.sim.helpers import with_golden


@pytest.fixture
def run(capfd):
    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            cli.main(list(map(str, arguments)))
        output = capfd.readouterr()
        return caught.value.code, output.out, output.err

    return run


@pytest.fixture
def network_file(tmp_path):
    network = random_network(2, Limits(channels=16, layers=2, max_pixels=8, winner_bits=2))
    path = tmp_path / "small.dham"
    save(with_golden(network), path)
    return path


def test_report(run, network_file, tmp_path, ice40_model):
    status, stdout, stderr = run(
        "--board", "icebreaker", "--network", network_file, "--images", 5, "--json",
        "--output", tmp_path / "out",
    )  # fmt: skip
    assert status == 0, stderr
    report = json.loads(stdout)
    assert report["frames"] == 5 and report["images"] == "2 golden and 3 random images"
    assert report["mismatch"] is None and report["records"] > 0
    assert len(report["cycles"]) == 5 and max(report["cycles"]) <= report["cycles_bound"]
    assert report["cycles_mean"] == pytest.approx(sum(report["cycles"]) / 5, abs=0.1)
    layers = report["layers_detail"]
    assert sum(layer["cycles_mean"] for layer in layers) == pytest.approx(
        report["cycles_mean"], abs=0.1 * len(layers)
    )
    assert report["reference"] in (
        "torch integer reference", "numpy oracle (torch is not installed)"
    )  # fmt: skip


def test_table_and_summary(run, network_file, tmp_path, ice40_model):
    status, stdout, _ = run(
        "--board", "icebreaker", "--network", network_file, "--output", tmp_path / "out"
    )
    assert status == 0
    assert re.search(r"Compared 2 frames \(2 golden images\), \d+ layers, [\d,]+ records", stdout)
    assert "Equal, bit for bit" in stdout


def test_difference_is_status_1(run, network_file, tmp_path, ice40_model, monkeypatch):
    real = cli.expect

    def wrong(network, images, run):
        expected = real(network, images, run=run)
        expected.logits[-1][0] += 1
        return expected

    monkeypatch.setattr(cli, "expect", wrong)
    monkeypatch.setattr(cli, "check_golden", lambda network, expected: None)
    status, stdout, stderr = run(
        "--board", "icebreaker", "--network", network_file, "--output", tmp_path / "out"
    )
    assert status == 1
    assert re.match(r"error: The RTL differs: frame 1, layer \d .*expected logit .*actual", stderr)


def test_wrong_golden_vectors_are_status_1(run, network_file, tmp_path, monkeypatch, ice40_model):
    real = cli.expect

    def wrong(network, images, run):
        expected = real(network, images, run=run)
        expected.logits[0][0] += 1
        return expected

    monkeypatch.setattr(cli, "expect", wrong)
    status, _, stderr = run("--board", "icebreaker", "--network", network_file)
    assert status == 1
    assert "error: Golden frame 0 of network" in stderr


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--board", "icebraker"], "error: Unknown board 'icebraker': did you mean icebreaker?"),
        (["--board", "icebreaker", "--network", "nope"], "error: Unknown network 'nope': "),
        (["--board", "icebreaker", "--network", "no.dham"], "error: No network file no.dham"),
        (["--board", "icebreaker", "--images", "0"], "error: --images must be positive, not 0"),
    ],
)
def test_bad_input_is_status_2(run, arguments, text):
    status, _, stderr = run(*arguments)
    assert status == 2
    assert stderr.startswith(text) and stderr.count("\n") == 1


def test_data_needs_a_fitting_network(run, network_file, tmp_path):
    status, _, stderr = run("--board", "icebreaker", "--network", network_file, "--data", tmp_path)
    assert status == 2
    assert stderr.startswith("error: --data is CIFAR-10, 32 x 32 x 3, but network 'random-2' takes")
