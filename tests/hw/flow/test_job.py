"""What is known before a build, and what is refused then: network, lanes, clock, seed, rate."""

import json

import pytest

from hw.boards import Board
from hw.flow import job
from model.common.errors import UserError
from tests.hw.builds import Counter


def test_the_rate_of_the_serial_line(run, monkeypatch):
    """It reaches the design and the report; a rate that cannot be is refused at once."""
    made = []

    def make_top(board, capability, clock_mhz, baud):
        made.append((clock_mhz, baud))
        return Counter(4)

    monkeypatch.setattr(Board, "make_top", make_top)
    assert json.loads(run("--plan", "--json")[1])["baud"] == 3_000_000
    assert json.loads(run("--baud", "1000000", "--json")[1])["baud"] == 1_000_000
    assert made == [(12, 1_000_000)]
    status, _, stderr = run("--baud", "115200")
    assert status == 2 and stderr.splitlines()[-1] == (
        "error: 1BitSquared iCEBreaker has no baud rate 115200 at 12 MHz; known: 3000000, 2000000, "
        "1000000"
    )


@pytest.mark.parametrize(
    ("arguments", "network", "message"),
    [
        (["--board", "icebraker"], None, "Unknown board 'icebraker': did you mean icebreaker?"),
        ([], "no-such-network", "Unknown network 'no-such-network': "),
        ([], "no/such/file.dham", "No network file no/such/file.dham"),
        (["--lanes", "3"], "", "Lanes must be a multiple of 8, not 3"),
        (["--lanes", "-8"], "", "Lanes must be a positive integer, not -8"),
        (["--clock", "0"], "", "Clock must be a positive number of MHz, not 0"),
        (["--clock", "1000"], "", "Clock of 1000 MHz is not reachable"),
        (["--clock", "nan"], "", "Clock must be a positive number of MHz, not nan"),
        (["--seed", "-1"], "", "Seed must be 0 to 2147483647, not -1"),
    ],
)
def test_bad_arguments(run, network_file, arguments, network, message):
    status, stdout, stderr = run(*arguments, network=network_file if network == "" else network)
    assert status == 2
    lines = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert message in lines[0]


def test_damaged_network_file(run, network_file):
    data = bytearray(network_file.read_bytes())
    data[-40] ^= 1
    network_file.write_bytes(data)
    status, _, stderr = run()
    assert status == 2
    assert f"error: Network file {network_file}" in stderr


def test_network_that_does_not_fit(run, monkeypatch):
    def too_large(network, capability):
        raise UserError("Weights need 20,000 words of 16,384")

    monkeypatch.setattr(job, "make_plan", too_large)
    status, _, stderr = run()
    assert status == 2
    assert "error: Weights need 20,000 words of 16,384" in stderr
