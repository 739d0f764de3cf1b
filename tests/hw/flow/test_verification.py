"""What a build refuses of what was compared, with status 1."""

from dataclasses import replace

import pytest

from tests.hw.builds import CYCLES, out


def test_failed_verification_is_status_1_and_keeps_the_earlier_build(run, tmp_path, verification):
    assert run()[0] == 0
    before = {path: path.read_bytes() for path in out(tmp_path).iterdir() if path.is_file()}
    verification.mismatch = "frame 2, layer conv1, position (3, 4), channel 5: expected 1, got 2"
    status, _, stderr = run("--seed", "2")
    assert status == 1
    assert f"error: Verification failed: {verification.mismatch}" in stderr
    after = {path: path.read_bytes() for path in out(tmp_path).iterdir() if path.is_file()}
    assert after == before
    verification.mismatch = None
    assert run()[0] == 0
    assert not (out(tmp_path) / "failed").exists()


@pytest.mark.parametrize(
    "changes, text",
    [
        (
            {"mismatch": "conformance network 'tall': frame 0"},
            "conformance network 'tall': frame 0",
        ),
        ({"frames": 0}, "Verification failed: the conformance set compared no frame"),
    ],
)
def test_conformance_set_fails(run, tmp_path, verification, changes, text):
    """The network itself is right: the bitstream is not."""
    verification.conformance = replace(verification.conformance, **changes)
    status, _, stderr = run()
    assert status == 1 and text in stderr and stderr.count("error:") == 1
    assert not (out(tmp_path) / "report.json").exists()


def test_verification_that_compared_nothing_fails(run, verification):
    verification.frames = 0
    status, _, stderr = run()
    assert status == 1
    assert "it compared no frame" in stderr


def test_no_frame_may_take_longer_than_the_plan_allows(run, verification):
    verification.cycles = (1, 2, CYCLES + 1, 3)
    status, _, stderr = run()
    assert status == 1
    assert "the plan allows 1,234 cycles a frame, the RTL took 1,235" in stderr


@pytest.mark.parametrize("cycles", [(1, 2, 3), ()])
def test_the_cycles_of_every_frame_are_counted(run, verification, cycles):
    verification.cycles = cycles
    status, _, stderr = run()
    assert status == 1
    assert f"it counted the cycles of {len(cycles)} of 4 frames" in stderr
