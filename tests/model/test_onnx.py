"""The program that exports a network file as ONNX."""

import os
import subprocess
import sys

import numpy as np
import onnx
import onnx.reference
import pytest

from model import zoo
from model.common.errors import UserError
from model.data import cifar
from model.integers.onnx_export import export, write
from model.measure.onnx_check import images_for
from model.network import load, save
from model.onnx import main
from sim.networks import random_network
from tests.model.programs import refusal


def test_same_bytes(tmp_path):
    path = zoo.find(zoo.DEFAULT)
    first = write(export(load(path)), tmp_path / "one.onnx")
    code = (
        "from model.network import load\nfrom model.integers.onnx_export import export, write\n"
        f"write(export(load({str(path)!r})), {str(tmp_path / 'two.onnx')!r})"
    )
    environment = os.environ | {"PYTHONHASHSEED": "5"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120, env=environment)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes() == first
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_zoo_on_1000_generated_images(name, tmp_path, capsys):
    assert main([name, "--output", str(tmp_path / "z.onnx"), "--check", "1000"]) == 0
    assert "equals the reference: 1000 images, " in capsys.readouterr().out


def program(*arguments, cwd=None):
    root = os.getcwd()
    command = [sys.executable, "-W", "error", "-m", "model.onnx", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": root}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=cwd, env=environment
    )


def test_program(tmp_path):
    """By its name, from elsewhere: `import onnx` finds the package, not the module."""
    done = program(zoo.DEFAULT, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    path = tmp_path / "build" / "onnx" / f"{zoo.DEFAULT}.onnx"
    network = load(zoo.find(zoo.DEFAULT))
    assert done.stdout == (
        f"{path.relative_to(tmp_path)}: {path.stat().st_size} bytes, 8 layers, "
        f"sha256 of the network file {network.sha256}\n"
    )
    onnx.checker.check_model(str(path), full_check=True)


def test_program_checks(tmp_path, capsys):
    save(random_network(4), tmp_path / "some.dham")
    path = tmp_path / "some.onnx"
    assert main([str(tmp_path / "some.dham"), "--output", str(path), "--check", "9"]) == 0
    out = capsys.readouterr().out
    assert f"onnxruntime {__import__('onnxruntime').__version__} equals the reference: 9 im" in out


def test_program_on_cifar(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cifar, "RECORDS", 20)
    rng = np.random.default_rng(1)
    raw = rng.integers(0, 256, (20, 3073)).astype(np.uint8)
    raw[:, 0] %= 10
    raw.tofile(tmp_path / "test_batch.bin")
    arguments = [zoo.DEFAULT, "--output", str(tmp_path / "z.onnx"), "--data", str(tmp_path)]
    assert main([*arguments, "--check", "6"]) == 0
    assert "equals the reference: 6 images, " in capsys.readouterr().out
    planes = raw[:6, 1:].reshape(6, 3, 32, 32).transpose(0, 2, 3, 1)
    network = load(zoo.find(zoo.DEFAULT))
    np.testing.assert_array_equal(images_for(network, 6, tmp_path), planes)
    with pytest.raises(UserError, match="--check 21: CIFAR-10 has 20 test images"):
        main([*arguments, "--check", "21"])


def test_bad_input(tmp_path, monkeypatch, capsys):
    def run(*arguments):
        return refusal(main, arguments, monkeypatch, capsys)

    path = tmp_path / "some.dham"
    save(random_network(4), path)
    before = path.read_bytes()
    assert "--check must be a positive integer, not 0" in run(path, "--check", 0)
    assert "--data is for --check: give --check N as well" in run(path, "--data", tmp_path)
    assert f"--output {path} is the file that is read: give another name" in run(
        path, "--output", path
    )
    assert path.read_bytes() == before
    assert "Cannot read network file" in run(tmp_path / "x.dham")
    assert "Unknown network 'defualt'" in run("defualt")
    missing = tmp_path / "no" / "x.onnx"
    text = f"--output {missing}: the folder {missing.parent} does not exist"
    assert text in run(path, "--output", missing)
    assert "--output needs the name of a file, not ''" in run(path, "--output", "")
    assert "is a folder: give the name of a file" in run(path, "--output", tmp_path)
    assert "is the file that is read" in run(zoo.DEFAULT, "--output", zoo.find(zoo.DEFAULT))
    output = ["--output", tmp_path / "x.onnx"]
    text = run(path, *output, "--check", 5, "--data", tmp_path)
    assert "CIFAR's are 32x32x3, 8 bits: leave --data out" in text
    assert "Data folder" in run(zoo.DEFAULT, *output, "--check", 5, "--data", tmp_path / "none")
    assert not (tmp_path / "x.onnx").exists()


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_missing_package_is_one_line(package, tmp_path):
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"import model.onnx; model.onnx.main([{zoo.DEFAULT!r}, '--output', "
        f"{str(tmp_path / 'x.onnx')!r}, '--check', '1'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    said = f"error: this program needs {package}: pip install 'decisivenets[model]'\n"
    assert done.stderr == said


def test_export_needs_no_torch(tmp_path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"import model.onnx; model.onnx.main([{zoo.DEFAULT!r}, '--output', "
        f"{str(tmp_path / 'x.onnx')!r}])"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)
    assert (tmp_path / "x.onnx").exists()
