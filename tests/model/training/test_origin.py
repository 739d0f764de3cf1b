"""Where a training comes from: the source's commit, and its sidecar."""

import json
import subprocess

import pytest

from model.common.errors import UserError
from model.training import origin


def test_commit(tmp_path):
    assert origin.commit_of(tmp_path) == "unknown"

    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *words], check=True, text=True)

    git("init", "-q")
    assert origin.commit_of(tmp_path) == "unknown"  # nothing committed
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.py").write_text("1")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    clean = origin.commit_of(tmp_path)
    assert len(clean) >= 7 and int(clean, 16) >= 0
    (tmp_path / "model" / "a.py").write_text("2")
    assert origin.commit_of(tmp_path) == f"{clean} + changes"
    (tmp_path / "inside").mkdir()
    assert origin.commit_of(tmp_path / "inside") == "unknown"


def test_sessions_stand_one_after_the_other(tmp_path):
    path = tmp_path / "a.json"
    first = {"hardware": "a CPU", "commit": "abc1234", "command": "one"}
    origin.describe(path, begun=False, **first)
    assert origin.read(path) == first
    origin.describe(path, begun=True, **first | {"commit": "def5678"})
    assert origin.read(path) == first | {"commit": "abc1234; then def5678"}
    origin.describe(tmp_path / "old.json", begun=True, **first)  # begun before there were sidecars
    assert origin.read(tmp_path / "old.json")["commit"] == "unknown; then abc1234"


def test_measured_once_for_a_checkpoint_and_a_number_of_images(tmp_path):
    path, calls = tmp_path / "a.json", []

    def found(checkpoint, images):
        return origin.tested(
            path,
            checkpoint=checkpoint,
            images=images,
            hardware="a CPU",
            measure=lambda: calls.append(1) or 60.0,
        )

    assert found("00", 40) == {"right": 24, "images": 40, "accuracy": 60.0}
    assert found("00", 40) == {"right": 24, "images": 40, "accuracy": 60.0} and len(calls) == 1
    found("00", 20)
    found("11", 20)
    assert len(calls) == 3
    kept = {"right": 12, "images": 20, "accuracy": 60.0, "checkpoint": "11", "hardware": "a CPU"}
    assert json.loads(path.read_text()) == {"test": kept}


@pytest.mark.parametrize("text", ["{torn", "[1]"])
def test_damaged(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    for use in (lambda: origin.read(path), lambda: origin.note(path, commit="abc1234")):
        with pytest.raises(UserError, match=r"a\.json is damaged: mend it"):
            use()
    assert path.read_text() == text
    assert origin.read(tmp_path / "none.json") == {}
