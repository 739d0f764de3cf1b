"""Trainings are made once, go on where they stopped, and say where they come from."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from model import train
from model.common.errors import UserError
from model.data import cifar
from model.data.cifar import few_shot_classes
from model.experiments import store as module
from model.experiments.scales import SCALES
from model.experiments.session import show_progress
from model.experiments.store import Store
from model.training import trainer as training_loop
from tests.model.experiments.conftest import RECORDS

QUIET = show_progress(Console(quiet=True))


@pytest.fixture
def store(data, tmp_path):
    return opened(data, tmp_path / "trainings")


def opened(data, folder, **more):
    given = {"device": torch.device("cpu"), "commit": "abc1234", "command": "python -m x"}
    return Store(folder, data, **(given | more))


def wanted(seed=0, epochs=3, size=2, **more):
    scale = SCALES["quick"]
    setting = replace(scale.settings[0], epochs=epochs, **more)
    return scale.training(setting, setting.shape(group_size=size), setting.of_recipe(), seed)


def weights(finished):
    return finished.network.state_dict()


def same(one, two):
    """Whether two trainings ended with the same weights, to the bit."""
    pairs = zip(weights(one).items(), weights(two).items(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


def stop_at(monkeypatch, epoch, error=KeyboardInterrupt):
    """The training ends by `error` within this epoch."""
    train_epoch = training_loop.Trainer.train_epoch

    def stopped(self, advance=lambda loss: None):
        def check(loss):
            advance(loss)
            if len(self.history) == epoch - 1:
                raise error

        return train_epoch(self, check)

    monkeypatch.setattr(training_loop.Trainer, "train_epoch", stopped)


def test_made_once_and_read_again(store, data, monkeypatch):
    one = store.finish(wanted(), QUIET)
    assert not one.network.training and len(one.history) == 3
    lines = store.path(one.training, ".jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    facts = one.facts()
    assert facts["commit"] == "abc1234" and "CPU" in facts["hardware"]
    assert (facts["epochs"], facts["seed"], facts["group_sizes"]) == (3, 0, [2] * 7)
    assert facts["checkpoint"] == one.checkpoint and len(one.checkpoint) == 64
    stop_at(monkeypatch, 1, AssertionError("trained again"))
    two = opened(data, store.folder, commit="other").finish(wanted(), QUIET)
    assert two.facts() == facts
    assert same(one, two)


def test_interrupted_training_goes_on_and_ends_the_same(store, data, tmp_path, monkeypatch):
    whole = opened(data, tmp_path / "whole").finish(wanted(), QUIET)
    with monkeypatch.context() as context:
        stop_at(context, 2)
        text = r"Interrupted in epoch 2 of resnet8-.*-s0: the checkpoint of epoch 1 is kept"
        with pytest.raises(UserError, match=text) as found:
            store.finish(wanted(), QUIET)
    assert found.value.status == 130
    assert len(store.path(wanted(), ".jsonl").read_text().splitlines()) == 1
    again = opened(data, store.folder, commit="def5678").finish(wanted(), QUIET)
    assert same(whole, again)
    assert again.facts()["commit"] == "abc1234; then def5678"


def test_interrupted_before_any_epoch(store, monkeypatch):
    stop_at(monkeypatch, 1)
    with pytest.raises(
        UserError, match="Interrupted in epoch 1 of .*: no epoch of it was complete"
    ):
        store.finish(wanted(), QUIET)
    assert not store.path(wanted()).exists()


def test_loss_that_is_no_number(store, monkeypatch):
    stop_at(monkeypatch, 3, UserError("Loss is not a number at step 1 of epoch 3"))
    text = (
        r"^resnet8-.*: Loss is not a number at step 1 of epoch 3; the checkpoint of epoch 2 is kept"
    )
    with pytest.raises(UserError, match=text):
        store.finish(wanted(), QUIET)
    assert store.path(wanted()).exists()


def test_log_that_lags_behind_its_checkpoint_is_written_again(store):
    """A kill may come between the two."""
    store.finish(wanted(), QUIET)
    path = store.path(wanted(), ".jsonl")
    lines = path.read_text()
    path.write_text("".join(lines.splitlines(keepends=True)[:2]))
    store.finish(wanted(), QUIET)
    assert path.read_text() == lines


def test_checkpoint_of_another_configuration(store):
    one = wanted()
    store.finish(one, QUIET)
    before = store.path(one).read_bytes()
    other = wanted(batch=16)
    store.path(one).rename(store.path(other))
    with pytest.raises(UserError, match="another configuration: its batch is 32, not 16"):
        store.finish(other, QUIET)
    assert store.path(other).read_bytes() == before
    store.path(one).write_bytes(before[:1000])
    text = (
        r"no checkpoint of this program, or is damaged: \w+: remove it, its training begins anew$"
    )
    for use in (lambda: store.finish(one, QUIET), lambda: store.complete(one)):
        with pytest.raises(UserError, match=text):
            use()
    assert store.path(one).read_bytes() == before[:1000]


def test_files_of_another_program_without_sidecar(store):
    one = wanted(epochs=1)
    trainer = store.trainer(one)
    trainer.train_epoch()
    store.folder.mkdir(parents=True)
    trainer.save(store.path(one))
    facts = store.finish(one, QUIET).facts()
    assert {facts[key] for key in ("hardware", "commit", "command")} == {"unknown"}
    # A sidecar that comes later is believed, in records of before as well.
    known = {"hardware": "a CPU", "commit": "87e13a2", "command": "python -m model.train"}
    store.path(one, ".json").write_text(json.dumps(known))
    assert store.finish(one, QUIET).facts()["commit"] == "87e13a2"
    assert store.with_origin(facts)["hardware"] == "a CPU"
    assert store.with_origin(facts | {"hardware": "mine"})["hardware"] == "mine"


@pytest.mark.parametrize("text", ["{torn", "[1]"])
def test_damaged_sidecar(store, text):
    one = wanted(epochs=1)
    store.finish(one, QUIET)
    store.path(one, ".json").write_text(text)
    with pytest.raises(UserError, match=r"\.json is damaged: mend it"):
        store.finish(one, QUIET)


def test_test_images_are_read_once_for_a_checkpoint(store, data, monkeypatch):
    one = store.finish(wanted(epochs=1), QUIET)
    found = store.tested(one, 40)
    test = store.test("cifar10", 40)
    expected = sum(
        int(one.network(image[None].permute(0, 3, 1, 2).float()).argmax() == label)
        for image, label in zip(test.pixels, test.labels, strict=True)
    )
    assert found == {"right": expected, "images": 40, "accuracy": 100 * expected / 40}
    assert not one.network.training
    calls = []
    monkeypatch.setattr(module, "accuracy", lambda *_: calls.append(1) or 50.0)
    assert opened(data, store.folder).tested(store.finish(one.training, QUIET), 40) == found
    assert not calls
    assert store.tested(one, 20) == {"right": 10, "images": 20, "accuracy": 50.0} and calls == [1]
    replaced = replace(one, checkpoint="0" * 64)
    store.tested(replaced, 20)
    assert calls == [1, 1]


def test_few_shot_trains_on_the_base_classes(store):
    setting = replace(SCALES["quick"].settings[0], data_set="cifar-fs")
    shape = setting.shape(group_size=2)
    assert shape.classes == len(few_shot_classes("train")) == 64
    one = SCALES["quick"].training(setting, shape, setting.of_recipe(), 0, images=None)
    images, held = store.images(replace(one, held_out=None))
    assert len(held) == (len(images) + len(held)) // 10
    assert int(images.labels.max()) == 63


def test_student_has_its_teacher(store):
    teacher = wanted(epochs=1, size=1)
    one = replace(wanted(epochs=1), teacher=teacher)
    finished = store.finish(one, QUIET)
    assert store.path(teacher).exists() and finished.facts()["teacher"] == teacher.name
    alone = store.finish(wanted(epochs=1), QUIET)
    assert not torch.equal(
        weights(finished)["classifier.weight"], weights(alone)["classifier.weight"]
    )


def test_two_processes_do_not_train_one_network(store):
    import fcntl

    one = wanted()
    store.folder.mkdir(parents=True)
    with store.alone(one, QUIET), (store.folder / "locks" / one.name).open("w") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (store.folder / "locks" / one.name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_complete(store, monkeypatch):
    assert not store.complete(wanted())
    with monkeypatch.context() as context, pytest.raises(UserError, match="Interrupted in epoch 3"):
        stop_at(context, 3)
        store.finish(wanted(), QUIET)
    assert not store.complete(wanted())
    store.finish(wanted(), QUIET)
    assert store.complete(wanted())


def test_all_files_of_the_data_sets_are_checked_before_a_training(store, data, tmp_path):
    """Those that are read after it too, and those of data sets that come later."""
    copy = tmp_path / "data"
    shutil.copytree(data, copy)
    store.check_data(["cifar10", "cifar100", "cifar-fs"])
    (copy / "cifar-10-batches-bin" / "test_batch.bin").unlink()
    (copy / "cifar-100-binary" / "test.bin").write_bytes(b"short")
    damaged = opened(copy, store.folder)
    damaged.check_data([])
    for data_sets in (["cifar100"], ["cifar-fs"]):
        with pytest.raises(UserError, match="CIFAR-100 file .*test.bin is truncated: 5 bytes"):
            damaged.check_data(data_sets)
    for use in (
        lambda: damaged.check_data(["cifar10", "cifar100"]),
        lambda: damaged.finish(wanted(epochs=1), QUIET),
    ):
        with pytest.raises(UserError, match="test_batch.bin is missing: get https"):
            use()
    assert not damaged.path(wanted(epochs=1)).exists()


def test_training_of_the_other_program(store, data, tmp_path, monkeypatch):
    """Put into the folder with its sidecar, its origin is known and nothing is measured again."""
    one = wanted(epochs=1, size=1, batch=RECORDS)
    one = replace(one, images=None, held_out=None, shape=replace(one.shape, order="before"))
    monkeypatch.setattr(
        train, "read_training", lambda *which: cifar.read_training(*which, validation=RECORDS)
    )
    options = ["--network", one.network, "--width", str(one.width), "--group-size", "1"]
    options += ["--recipe", "float", "--epochs", "1", "--batch", str(RECORDS), "--device", "cpu"]
    folders = ["--data", str(data), "--output", str(store.folder)]
    assert train.main([*options, *folders, "--name", one.name]) == 0
    finished = store.finish(one, QUIET)
    assert finished.facts()["command"].startswith("python -m model.train --network resnet8 ")
    assert "unknown" not in (finished.facts()["commit"], finished.facts()["hardware"])
    monkeypatch.setattr(module, "accuracy", lambda *_: pytest.fail("measured again"))
    known = json.loads(store.path(one, ".json").read_text())["test"]
    assert store.tested(finished, None)["accuracy"] == known["accuracy"]
    assert known["images"] == RECORDS
