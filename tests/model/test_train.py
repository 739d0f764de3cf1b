"""The training program on a small generated data set: it learns, resumes, and refuses clearly."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from model import train
from model.common import files
from model.common.errors import UserError
from model.data import cifar
from model.integers.reference import logits
from model.network import load
from model.training.checkpoint import load_network
from model.training.origin import commit_of
from model.training.trainer import RECIPES, Recipe, Trainer
from tests.model.generated import write_coloured

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with a generated data set of 64 images a file, and a split of 256 and 64."""
    folder = tmp_path / "data"
    write_coloured(folder)
    monkeypatch.setattr(cifar, "RECORDS", 64)
    monkeypatch.setattr(
        train, "read_training", lambda *which: cifar.read_training(*which, validation=64)
    )
    monkeypatch.setitem(RECIPES, "default", Recipe(epochs=4, batch=32, other_rate=0.05))
    return folder


def small(data, out, *more):
    """Arguments of a training that is as short as possible."""
    folders = ["--data", str(data), "--output", str(out), "--device", "cpu", "--name", "x"]
    return ["--network", "dham8", "--width", "16", "--epochs", "2", *folders, *more]


def test_program_writes_everything(data, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [
        "--network",
        "dham8",
        "--data",
        str(data),
        "--output",
        str(out),
        "--name",
        "x",
        "--device",
        "cpu",
    ]
    assert train.main(arguments) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "x.dham",
        "x.float.pt",
        "x.json",
        "x.jsonl",
        "x.png",
        "x.pt",
    ]
    lines = [json.loads(line) for line in (out / "x.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    network = load(out / "x.dham")
    facts = network.metadata
    assert facts["command"] == "python -m model.train --network dham8 --name x"
    assert facts["seed"] == 0 and facts["epochs"] == 4 and facts["agreement"] >= 99.9
    assert 0 < facts["float_top1"] <= 100
    origin = json.loads((out / "x.json").read_text())
    assert origin == {key: facts[key] for key in ("hardware", "commit", "command")}
    assert facts["commit"] == commit_of()
    assert str(tmp_path) not in json.dumps(facts)
    test = cifar.read_test(data)
    right = logits(network, test.pixels.numpy()).argmax(1) == test.labels.numpy()
    assert facts["top1"] == pytest.approx(100 * right.mean(), abs=1e-3)
    assert network.golden is not None

    before = (out / "x.dham").read_bytes()
    assert train.main([*arguments, "--resume"]) == 0  # nothing left to train: the same file
    assert (out / "x.dham").read_bytes() == before
    with pytest.raises(UserError, match="another configuration: its seed is 0, not 5"):
        train.main([*arguments, "--resume", "--seed", "5"])
    with pytest.raises(UserError, match="another configuration: its t final is 100.0, not 50.0"):
        train.main([*arguments, "--resume", "--t-final", "50"])


def test_recipe_that_does_not_quantise(data, tmp_path, monkeypatch, capsys):
    """One checkpoint; its accuracy on the test images is said, and kept beside it."""
    out = tmp_path / "out"
    arguments = small(data, out, "--recipe", "float", "--batch", "32")
    assert train.main(arguments) == 0
    names = ["x.json", "x.jsonl", "x.png", "x.pt"]
    assert sorted(os.listdir(out)) == names
    kept = json.loads((out / "x.json").read_text())
    test, network = cifar.read_test(data), load_network(out / "x.pt")
    right = int((network(cifar.to_input(test.pixels)).argmax(1) == test.labels).sum())
    assert kept["test"] == {
        "right": right,
        "images": 64,
        "accuracy": 100 * right / 64,
        "checkpoint": hashlib.sha256((out / "x.pt").read_bytes()).hexdigest(),
        "hardware": kept["hardware"],
    }
    assert (kept["commit"], kept["command"]) == (commit_of(), train.command_line(arguments))
    line = f"{out}/x.pt: {100 * right / 64:.2f} % top-1 in floating point on 64 test images"
    assert f"{line}, kept in x.json; not quantised: no network file\n" in capsys.readouterr().err

    monkeypatch.setattr(train, "accuracy", lambda *_: pytest.fail("measured again"))
    assert train.main([*arguments, "--resume"]) == 0
    assert line in capsys.readouterr().err


def test_interrupted(data, tmp_path, monkeypatch):
    """Status 130; resumed by another commit, the file names both."""
    out, epochs = tmp_path / "out", []
    arguments = small(data, out)
    monkeypatch.setattr("model.training.origin.commit_of", lambda: "abc1234")
    train_epoch = Trainer.train_epoch

    def interrupted(self, advance=lambda loss: None):
        if epochs:
            raise KeyboardInterrupt
        epochs.append(1)
        return train_epoch(self, advance)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", interrupted)
        with pytest.raises(
            UserError,
            match=r"Interrupted in epoch 2: the checkpoint after epoch 1 is "
            r"kept; go on with: python -m model.train .*--resume",
        ) as caught:
            train.main(arguments)
    assert caught.value.status == 130
    assert sorted(os.listdir(out)) == ["x.json", "x.jsonl", "x.png", "x.pt"]
    monkeypatch.setattr("model.training.origin.commit_of", lambda: "def5678")
    assert train.main([*arguments, "--resume"]) == 0
    assert load(out / "x.dham").metadata["commit"] == "abc1234; then def5678"


@pytest.mark.parametrize(
    "arguments, text",
    [
        (["--network", "resnet9"], "Unknown network resnet9: did you mean resnet8?"),
        (["--recipe", "papers"], "Unknown recipe papers: did you mean paper?"),
        (["--group-size", "3"], "Group size 3 does not divide 16 channels"),
        (["--group-size", "0"], "Group size must be a positive integer, not 0"),
        (["--group-size", "four"], "'four' is not a list of integers such as 4"),
        (["--group-size", "2", "--groups", "2"], "Give either --group-size or --groups"),
        (["--width", "-16"], "Width must be a positive integer, not -16"),
        (["--epochs", "0"], "Epochs must be a positive integer, not 0"),
        (["--bits", "4,4"], r"Give four numbers of bits"),
        (["--bits", "9,4,4,8"], "Weight bits must be 2 to 8, not 9"),
        (["--t-init", "0"], "Initial temperature must be positive, not 0"),
        (["--t-init", "200"], "Initial temperature 200 exceeds the final one, 100"),
        (["--learning-rate", "0"], "Learning rate must be positive, not 0"),
        (["--seed", "-1"], "Seed must be 0 to 2147483647, not -1"),
        (["--learning-rate", "nan"], "Learning rate must be positive, not nan"),
        (["--t-init", "nan"], "Initial temperature must be positive, not nan"),
        (["--t-final", "inf"], "Final temperature must be positive, not inf"),
        (["--weight-decay", "-1"], "Weight decay must be at least 0, not -1"),
        (["--batch", "1000"], "256 training images are fewer than a batch of 1000"),
        (["--precision", "fp64"], "invalid choice: 'fp64'"),
        (["--distil", "0.3"], "--distil and --distil-temperature need a --teacher"),
        (["--teacher", "none.pt"], "No checkpoint none.pt"),
        (["--name", "a/b"], "Name 'a/b' must be that of a file, without a folder: use --output"),
        (["--dat", "x"], "unrecognized arguments: --dat x"),
        (["--resume"], "No checkpoint .*resnet8-l4.pt to resume from"),
        (["--speed", "9"], "unrecognized arguments: --speed 9"),
    ],
)
def test_wrong_options(data, tmp_path, arguments, text):
    with pytest.raises(UserError, match=text):
        train.main([*arguments, "--data", str(data), "--output", str(tmp_path / "out")])
    assert os.listdir(tmp_path) == ["data"]  # neither a lock nor an empty folder is left


def test_no_gpu(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="No CUDA device is available: use --device cpu"):
        train.main(["--device", "cuda", "--data", str(data), "--output", str(tmp_path / "out")])


def test_output_folder_that_cannot_be_written(data, tmp_path):
    """Said before the first epoch, not after it."""
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "under"):
        with pytest.raises(
            UserError, match=r"--output: nothing can be written into the folder .*: "
        ):
            train.main(small(data, place))


HOLDER = """
import sys
from pathlib import Path
from model.common.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_name_that_another_process_trains(data, tmp_path):
    """With and without --resume, before anything is written; free as soon as that one ends."""
    out = tmp_path / "out"
    out.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, out / "x.lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        for more in ([], ["--resume"]):
            with pytest.raises(UserError) as caught:
                train.main(small(data, out, *more))
            assert str(caught.value) == (
                f"Another process trains x in {out}: wait, or give another --name"
            )
        assert os.listdir(out) == ["x.lock"]
        assert train.main([*small(data, out, "--quick"), "--name", "y"]) == 0
        other.stdin.close()
    assert train.main(small(data, out, "--quick")) == 0
    assert not (out / "x.lock").exists()


def test_the_name_is_held_until_the_network_file_is_written(data, tmp_path, monkeypatch):
    """Two runs with one name: the second is refused in the first's every phase."""
    out, refusals = tmp_path / "out", []

    def second():
        with pytest.raises(UserError, match="Another process trains x in "):
            train.main(small(data, out))
        refusals.append(1)

    train_epoch, write_file = Trainer.train_epoch, train.save

    def epoch(self, advance):
        second()
        return train_epoch(self, advance)

    def save(network, path):
        second()
        return write_file(network, path)

    monkeypatch.setattr(Trainer, "train_epoch", epoch)
    monkeypatch.setattr(train, "save", save)
    assert train.main(small(data, out)) == 0
    assert len(refusals) == 3
    with pytest.raises(UserError, match="x.pt is there already: go on with --resume"):
        train.main(small(data, out))


def test_truncated_data(data, tmp_path):
    path = data / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"data_batch_3.bin is truncated: .* instead of"):
        train.main(small(data, tmp_path / "out"))
    path.unlink()
    with pytest.raises(UserError, match=r"data_batch_3.bin is missing: get "):
        train.main(small(data, tmp_path / "out"))


def test_test_images_that_cannot_be_read(data, tmp_path, monkeypatch):
    """They are read after the last epoch; said before the first."""
    monkeypatch.setattr(Trainer, "train_epoch", lambda *_: pytest.fail("an epoch began"))
    (data / "test_batch.bin").write_bytes(b"short")
    with pytest.raises(UserError, match=r"test_batch.bin is truncated: 5 bytes instead of"):
        train.main(small(data, tmp_path / "out"))
    (data / "test_batch.bin").unlink()
    with pytest.raises(UserError, match=r"test_batch.bin is missing: get "):
        train.main(small(data, tmp_path / "out"))


def test_damaged_sidecar_is_said_before_the_first_step(data, tmp_path, monkeypatch):
    monkeypatch.setattr(Trainer, "train_epoch", lambda *_: pytest.fail("an epoch began"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x.json").write_text("{torn")
    with pytest.raises(UserError, match=r"x\.json is damaged: mend it"):
        train.main(small(data, tmp_path / "out"))
    assert os.listdir(tmp_path / "out") == ["x.json"]


def test_full_disk_keeps_the_last_checkpoint(data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    train_epoch = Trainer.train_epoch

    def fill(self, advance):
        if self.history:
            monkeypatch.setattr(files, "open", lambda *_: open("/dev/full", "wb"), raising=False)
        return train_epoch(self, advance)

    monkeypatch.setattr(Trainer, "train_epoch", fill)
    with pytest.raises(UserError) as caught:
        train.main(small(data, out))
    assert str(caught.value) == (
        f"No space left on device: {out}/x.pt; last good checkpoint: {out}/x.pt, after epoch 1"
    )
    assert len(torch.load(out / "x.pt", weights_only=True)["history"]) == 1
    assert not list(out.glob("*.tmp"))


@pytest.mark.parametrize("what", ["loss", "weight"])
def test_nan_keeps_the_last_checkpoint(data, tmp_path, monkeypatch, what):
    out, inputs, calls = tmp_path / "out", Trainer.inputs, []

    def poisoned(self, index, draw):
        calls.append(1)
        if len(calls) == self.steps + 3 and what == "loss":
            return inputs(self, index, draw) * float("nan")
        if len(calls) == 2 * self.steps and what == "weight":  # in the last step of an epoch
            self.network.classifier.bias.register_hook(lambda gradient: gradient * float("nan"))
        return inputs(self, index, draw)

    monkeypatch.setattr(Trainer, "inputs", poisoned)
    with pytest.raises(UserError) as caught:
        train.main(small(data, out))
    expected = {
        "loss": "Loss is not a number at step 3 of epoch 2",
        "weight": "A weight is not a number after step 8 of epoch 2",
    }
    assert str(caught.value) == (
        f"{expected[what]}; try a learning rate below 0.01; "
        f"last good checkpoint: {out}/x.pt, after epoch 1"
    )
    state = torch.load(out / "x.pt", weights_only=True)
    assert len(state["history"]) == 1
    assert all(tensor.isfinite().all() for tensor in state["network"].values())


def test_teacher_by_the_program(data, tmp_path):
    out = tmp_path / "out"
    assert train.main([*small(data, out), "--quick", "--group-size", "1"]) == 0
    teacher = str(out / "x.pt")
    taught = ["--teacher", teacher, "--distil", "0.7", "--distil-temperature", "2", "--quick"]
    assert train.main([*small(data, out), *taught, "--name", "y"]) == 0
    facts = load(out / "y.dham").metadata
    assert facts["command"].endswith(
        "--teacher x.pt --distil 0.7 --distil-temperature 2 --quick --name y"
    )
    configuration = torch.load(out / "y.pt", weights_only=True)["configuration"]
    assert configuration["teacher"] == facts["teacher"]
    assert (configuration["recipe"]["distil"], configuration["recipe"]["distil_temperature"]) == (
        0.7,
        2,
    )
    assert str(tmp_path) not in json.dumps(facts)


def test_damaged_checkpoint(data, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "resnet8-l4.pt").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(UserError, match="no checkpoint of this program, or is damaged"):
        train.main(["--resume", "--data", str(data), "--output", str(out)])


def test_one_line_and_status_2(tmp_path):
    found = subprocess.run(
        [sys.executable, "-m", "model.train", "--data", str(tmp_path / "none")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("error: Data folder ")
    assert len(found.stderr.splitlines()) == 1
