"""The benchmark of the activation runs, and its figures are those of its own measurements."""

import importlib.util
import json
from pathlib import Path

import pytest

from model.common.errors import UserError

PATH = Path(__file__).parents[2] / "benchmarks" / "activation.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("activation_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_runs(benchmark, tmp_path, capsys):
    small = ["--network", "dham8", "--width", "16", "--batch", "8", "--rounds", "2", "--steps", "1"]
    path = tmp_path / "figures.json"
    assert (
        benchmark.main([*small, "--group-size", "2", "--device", "cpu", "--json", str(path)]) == 0
    )
    rows = {row["layers"]: row for row in json.loads(path.read_text())}
    for name in (benchmark.RELU, "ReLU of torch, autocast", "DHAM ℓ = 2, σ_t", "DHAM ℓ = 2, σ_WTA"):
        row = rows[name]
        step, low, high = row["step_ms"]
        assert 0 < low <= step <= high
        assert row["images_per_second"] == pytest.approx(8e3 / step, rel=0.01)
        assert row["forward_ms"] > 0 and row["backward_ms"] > 0
    assert rows[benchmark.RELU]["overhead_percent"] == [0, 0, 0]
    assert "overhead" in capsys.readouterr().out


def test_figures(benchmark):
    relu = benchmark.Candidate(benchmark.RELU, None, [(0.1, 0.04, 0.05), (0.2, 0.08, 0.1)])
    dham = benchmark.Candidate("DHAM", None, [(0.11, 0.04, 0.05), (0.22, 0.08, 0.1)])
    row = benchmark.rows_of([relu, dham], batch=30)[1]
    assert row["overhead_percent"] == [10, 10, 10]  # of each round, whatever the machine did in it
    assert row["step_ms"][0] == 165 and row["images_per_second"] == pytest.approx(181.8)


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--rounds", "0"], "Rounds must be a positive integer, not 0"),
        (["--width", "-8"], "Width must be a positive integer, not -8"),
        (["--group-size", "3"], "Group size 3 does not divide 32 channels"),
        (["--group-size", "two"], "'two' is not a list of integers"),
    ],
)
def test_wrong_options(benchmark, arguments, text):
    with pytest.raises(UserError, match=text):
        benchmark.main([*arguments, "--device", "cpu"])
