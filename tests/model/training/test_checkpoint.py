"""Checkpoints: written whole or not at all, old ones read, foreign ones refused."""

import hashlib
from dataclasses import replace

import pytest
import torch

from model.common.errors import UserError
from model.data.cifar import CLASSES
from model.dham.resnet import ResNet
from model.dham.shapes import shape_of
from model.network import NetworkError
from model.training import checkpoint
from model.training.trainer import Recipe, Trainer
from model.zoo.opening import open_network
from tests.model.generated import coloured

NEW = ("precision", "distil", "distil_temperature", "statistics")


def trainer(**changes):
    return Trainer(
        shape=shape_of("dham8", width=16),
        recipe=Recipe(**{"epochs": 2, "batch": 32, **changes}),
        seed=0,
        training=coloured(64, 1),
        validation=coloured(64, 2),
        device=torch.device("cpu"),
    )


@pytest.fixture
def saved(tmp_path):
    """A trainer after one epoch, and its checkpoint."""
    run = trainer()
    run.train_epoch()
    run.save(tmp_path / "a.pt")
    return run, tmp_path / "a.pt"


def test_network_of_a_checkpoint(saved):
    run, path = saved
    network = checkpoint.load_network(path)
    assert network.shape == run.shape and not network.training
    assert network.mode.quantised == run.history[-1].quantised
    assert checkpoint.fingerprint(network) == checkpoint.fingerprint(run.network)


def test_opened_for_a_measurement(saved):
    """With the names and the arithmetic that a network file has of its own."""
    run, path = saved
    assert checkpoint.is_checkpoint(str(path)) and not checkpoint.is_checkpoint("a.dham")
    found = checkpoint.open_trained(str(path))
    assert (found.name, found.classes, found.integers) == ("a", CLASSES, run.history[-1].quantised)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    images = coloured(16, 3)
    decided = checkpoint.classify(found.network, found.device)(images.pixels)
    expected = found.network(images.pixels.permute(0, 3, 1, 2).float().to(found.device)).argmax(1)
    assert torch.equal(decided, expected) and not decided.requires_grad
    state = torch.load(path, weights_only=True)
    state["configuration"]["shape"]["classes"] = 7
    state["network"] = ResNet(replace(run.shape, classes=7)).state_dict()
    torch.save(state, path)
    with pytest.raises(UserError, match="The 7 classes are not those of a known data set"):
        checkpoint.open_trained(str(path))


def test_a_checkpoint_is_no_network_file(saved):
    """Programs that read network files say so, whatever the checkpoint is called."""
    _, path = saved
    for name in ("a.pt", "a.dham"):
        with pytest.raises(NetworkError) as caught:
            open_network(str(path.rename(path.with_name(name))))
        assert str(caught.value) == (
            f"{path.with_name(name)} is a checkpoint of a training, not a network file: give the "
            "NAME.dham that a quantised training writes; model.evaluate, model.noise and "
            "model.few_shot read NAME.pt"
        )
        path = path.with_name(name)


def test_fingerprint_is_of_weights_and_mode():
    torch.manual_seed(0)
    network = ResNet(shape_of("dham8", width=16))
    found = {checkpoint.fingerprint(network)}
    network.mode.quantised = True
    found.add(checkpoint.fingerprint(network))
    with torch.no_grad():
        network.classifier.bias[3] += 1e-6
    found.add(checkpoint.fingerprint(network))
    assert len(found) == 3


def test_checkpoint_without_the_newer_fields(saved):
    """It counts as having their defaults, and those alone."""
    _, path = saved
    state = torch.load(path, weights_only=True)
    for name in NEW:
        del state["configuration"]["recipe"][name]
    del state["configuration"]["teacher"]
    checkpoint.write(state, path)
    run = trainer()
    run.load(path)
    assert len(run.history) == 1
    with pytest.raises(UserError, match="its statistics is 0, not 5"):
        trainer(statistics=5).load(path)


def test_a_full_disk_leaves_the_checkpoint_before(saved, monkeypatch):
    run, path = saved
    before = path.read_bytes()
    monkeypatch.setattr(
        "model.common.files.open", lambda *_: open("/dev/full", "wb"), raising=False
    )
    with pytest.raises(OSError, match="No space left on device"):
        run.save(path)
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir()] == ["a.pt"]


def damage(state):
    del state["network"]["layers.0.weight"]


def other_width(state):
    state["network"]["layers.0.weight"] = torch.zeros(2, 2)


def no_history(state):
    del state["history"]


@pytest.mark.parametrize("change", [damage, other_width, no_history])
def test_damaged(saved, change):
    _, path = saved
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    for call in (lambda: trainer().load(path), lambda: checkpoint.load_network(path)):
        with pytest.raises(UserError, match="a.pt is no checkpoint of this program, or is damaged"):
            call()


def test_truncated_and_missing(saved):
    _, path = saved
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match="is no checkpoint of this program, or is damaged"):
        checkpoint.load_network(path)
    with pytest.raises(UserError, match="No checkpoint .*b.pt"):
        checkpoint.load_network(path.with_name("b.pt"))
