"""The command line of `hw.build`, on a small stand-in design (`tests.hw.builds`)."""

import json

from sim.networks import random_network
from tests.hw.builds import CYCLES, out


def test_json_is_all_that_stdout_has(run, tmp_path):
    status, stdout, _ = run("--json")
    assert status == 0
    assert json.loads(stdout) == json.loads((out(tmp_path) / "report.json").read_text())


def test_plan_prints_every_layer_and_builds_nothing(run, tmp_path, network_file):
    status, stdout, _ = run("--plan")
    assert status == 0
    for layer in random_network(1).layers:
        assert layer.name in stdout
    assert f"At most {CYCLES:,} cycles a frame" in stdout
    assert not out(tmp_path).exists()


def test_plan_as_json(run):
    status, stdout, _ = run("--plan", "--json")
    assert status == 0
    plan = json.loads(stdout)
    assert plan["cycles_bound"] == CYCLES
    assert len(plan["layers"]) == len(random_network(1).layers)


def test_output_that_is_a_file(run, tmp_path):
    out(tmp_path).write_text("mine")
    status, _, stderr = run()
    assert status == 2
    assert "--output must be a folder" in stderr
    assert out(tmp_path).read_text() == "mine"


def test_missing_tool_is_said_before_the_work(run, monkeypatch, tmp_path):
    monkeypatch.setenv("NEXTPNR_ICE40", "not-there")
    status, _, stderr = run()
    assert status == 2
    assert "NEXTPNR_ICE40 names 'not-there'" in stderr
    assert not out(tmp_path).exists()
