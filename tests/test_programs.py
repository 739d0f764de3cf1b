"""Every program without the extra `model`: --help works, and what cannot be done is one line."""

import subprocess
import sys
import tomllib

import pytest

from tests.programs import EXTRA, PROGRAMS, ROOT, run_without

# The first package of the extra that a program lacks, and words that it would run with.
NEEDS = {
    "model.evaluate": ("torch", "dham8-up5k --data DIR"),
    "model.experiments": ("torch", "table1 --data DIR"),
    "model.explain": ("torch", "cifar10:test:1 --data DIR"),
    "model.few_shot": ("torch", "dham8-up5k --data DIR"),
    "model.golden": ("torch", "dham8-up5k --output DIR/a.dham"),
    "model.noise": ("torch", "dham8-up5k --data DIR"),
    "model.onnx": ("onnx", "dham8-up5k"),
    "model.prune": ("torch", "dham8-up5k --data DIR"),
    "model.search": ("torch", "--budget 1e6 --data DIR --study DIR/a.study"),
    "model.train": ("torch", "--data DIR --output DIR"),
    "model.wins": ("torch", "dham8-up5k --data DIR --output DIR"),
}
# And those that need none of it, with words that they run with; others are started elsewhere.
NEED_NOTHING = {
    "firmware.header": "--board icebreaker",
    "hw.boards": "icebreaker",
    "hw.build": "--board icebreaker --plan",
    "hw.layer_table": "--board icebreaker",
    "hw.regmap": "--format csv",
    "model.memory": "--export DIR/a.dham --source 4x8 --pairs 5",
    "model.multiplications": "--network resnet18 --paper",
    "model.show": "dham8-up5k",
    "model.zoo": "--check",
}
STARTED_ELSEWHERE = {"firmware", "firmware.compile", "firmware.decisivenets", "sim", "sim.board"}


def words(text, folder):
    return [word.replace("DIR", str(folder)) for word in text.split()]


def test_every_program_is_here():
    """A new program is to be entered above, with what it needs."""
    assert len(PROGRAMS) >= 22
    assert set(PROGRAMS) == NEEDS.keys() | NEED_NOTHING.keys() | STARTED_ELSEWHERE


def test_every_package_of_the_extra_is_taken_away():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extra = project["optional-dependencies"]["model"]
    named = {
        line.split(">")[0].split("=")[0].replace("-py", "").replace("-", "_") for line in extra
    }
    assert named == set(EXTRA)


@pytest.mark.parametrize("module", PROGRAMS)
def test_help_without_the_extra(module, tmp_path):
    done = run_without(EXTRA, module, "--help", cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    name = "decisivenets" if module == "firmware.decisivenets" else f"python -m {module}"
    assert done.stdout.startswith(f"usage: {name} ")


@pytest.mark.parametrize("module", NEEDS)
def test_one_line_without_the_extra(module, tmp_path):
    package, text = NEEDS[module]
    done = run_without(EXTRA, module, *words(text, tmp_path), cwd=tmp_path)
    said = f"error: this program needs {package}: pip install 'decisivenets[model]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "module, absent",
    [
        ("model.train", "matplotlib"),
        ("model.search", "optuna"),
        ("model.search", "matplotlib"),
        ("model.wins", "matplotlib"),
        ("model.experiments", "markdown_it"),
        ("model.experiments", "matplotlib"),
    ],
)
def test_another_package_is_missing(module, absent, tmp_path):
    """It is asked for before the work, not after it."""
    done = run_without([absent], module, *words(NEEDS[module][1], tmp_path), cwd=tmp_path)
    assert done.stderr == f"error: this program needs {absent}: pip install 'decisivenets[model]'\n"
    assert done.returncode == 2 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("absent", ["onnxruntime", "torch"])
def test_the_check_of_an_export_needs_more(absent, tmp_path):
    done = run_without([absent], "model.onnx", "dham8-up5k", "--check", "1", cwd=tmp_path)
    assert done.stderr == f"error: this program needs {absent}: pip install 'decisivenets[model]'\n"
    assert done.returncode == 2 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", NEED_NOTHING)
def test_runs_without_the_extra(module, tmp_path):
    done = run_without(EXTRA, module, *words(NEED_NOTHING[module], tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


REFERENCE = "from sim.__main__ import reference; print(reference()[1], reference()[0].__module__)"


def test_a_simulation_compares_with_what_there_is(tmp_path):
    """torch's reference, or without torch the numpy oracle: a build needs no torch."""
    for absent, found in (
        ((), "torch integer reference model.integers.reference\n"),
        (EXTRA, "numpy oracle (torch is not installed) model.integers.oracle\n"),
    ):
        code = f"import sys; sys.modules |= dict.fromkeys({absent!r}); {REFERENCE}"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT, capture_output=True, encoding="utf-8", timeout=60,
        )  # fmt: skip
        assert done.stdout == found, done.stderr


def test_real_images_need_the_extra(tmp_path):
    done = run_without(EXTRA, "sim", "--board", "icebreaker", "--data", "x", cwd=tmp_path)
    assert done.stderr == (
        "error: --data needs torch: pip install 'decisivenets[model]', or leave it out for random "
        "images\n"
    )
    assert done.returncode == 2 and not list(tmp_path.iterdir())
