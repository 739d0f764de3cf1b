"""A network in training, on generated images: it learns, quantises, and goes on the same."""

import pytest
import torch

from model.common.errors import UserError
from model.dham.shapes import shape_of
from model.training.trainer import RECIPES, Recipe, Trainer
from tests.model.generated import coloured


def trainer(epochs=4, seed=0, **changes):
    recipe = Recipe(epochs=epochs, batch=32, **changes)
    return Trainer(
        shape=shape_of("dham8"),
        recipe=recipe,
        seed=seed,
        training=coloured(256, 1),
        validation=coloured(64, 2),
        device=torch.device("cpu"),
    )


def states(one):
    return {name: tensor.clone() for name, tensor in one.network.state_dict().items()}


def test_learns_and_quantises():
    one = trainer()
    history = [one.train_epoch() for _ in range(4)]
    assert [epoch.quantised for epoch in history] == [False, True, True, True]
    assert history[-1].loss < history[0].loss
    assert history[-1].validation > 30


def test_same_seed_same_weights_and_resumed_run_agrees(tmp_path):
    whole, part = trainer(), trainer()
    for _ in range(3):
        whole.train_epoch()
    for _ in range(2):
        part.train_epoch()
    part.save(tmp_path / "a.pt")
    resumed = trainer()
    resumed.load(tmp_path / "a.pt")
    assert len(resumed.history) == 2
    resumed.train_epoch()
    for name, tensor in states(whole).items():
        assert torch.equal(tensor, states(resumed)[name]), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pt"]


def test_other_seed_other_weights():
    assert not torch.equal(
        trainer(seed=1).network.layers[0].weight, trainer(seed=2).network.layers[0].weight
    )


def test_schedules():
    one = trainer(epochs=10, warmup=0.1, soft=0.4, quantise=0.5, freeze=0.9)
    seen = []
    for step in range(one.total):
        one.set_mode(step)
        mode = one.network.mode
        seen.append(
            (one.optimisers[0].param_groups[0]["lr"], mode.temperature, mode.quantised, mode.frozen)
        )
    assert one.total == 80
    assert max(rate for rate, *_ in seen) == seen[8][0] == pytest.approx(0.01)
    assert seen[0][1] == 1.0 and seen[31][1] == pytest.approx(100) and seen[32][1] is None
    assert [quantised for _, _, quantised, _ in seen] == [False] * 40 + [True] * 40
    assert [frozen for *_, frozen in seen] == [False] * 72 + [True] * 8


def test_paper_recipe_divides_the_rate_by_ten():
    rates = [RECIPES["paper"].rate(epoch / 300) for epoch in (0, 99, 101, 199, 201)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_sgd_learns_and_leaves_the_length_of_the_weights_alone():
    run = trainer(epochs=3, optimiser="sgd", learning_rate=0.05, soft=1.0, quantise=1.0, freeze=1.0)
    length = run.network.layers[0].weight.norm().item()
    losses = [run.train_epoch().loss for _ in range(3)]
    assert losses[-1] < losses[0]
    assert run.network.layers[0].weight.norm().item() != pytest.approx(length, rel=1e-6)
    with pytest.raises(ValueError, match="Optimiser must be muon or sgd, not adam"):
        Recipe(optimiser="adam")


def test_nan_stops(monkeypatch):
    one = trainer()
    with torch.no_grad():
        one.network.classifier.bias[0] = float("nan")
    with pytest.raises(UserError, match="Loss is not a number at step 1 of epoch 1"):
        one.train_epoch()


def test_measured_statistics(monkeypatch):
    """The mean over the asked number of batches, before freezing or at the end; else untouched."""
    seen = []
    measure = Trainer.measure_statistics

    def spy(self):
        before = [layer.mean.clone() for layer in self.network.layers]
        measure(self)
        mode = self.network.mode
        changed = any(
            not torch.equal(layer.mean, old)
            for layer, old in zip(self.network.layers, before, strict=True)
        )
        seen.append((len(self.history), mode.frozen, mode.momentum, changed))

    monkeypatch.setattr(Trainer, "measure_statistics", spy)
    floating = {"soft": 1.0, "quantise": 1.0, "freeze": 1.0}
    for changes in ({"statistics": 3}, {}, {"statistics": 3, **floating}):
        run = trainer(epochs=2, **{"freeze": 0.75, **changes})
        for _ in range(2):
            run.train_epoch()
    assert seen == [(1, True, 0.1, True), (1, True, 0.1, False), (1, False, 0.1, True)]


def test_statistics_are_the_mean_over_the_batches():
    run = trainer(statistics=2)
    layer, means = run.network.layers[0], []
    moments = layer.statistics

    def spy(found, count):
        means.append(found[0].clone())
        return moments(found, count)

    layer.statistics = spy
    run.network.train()
    run.measure_statistics()
    assert len(means) == 2
    torch.testing.assert_close(layer.mean, (means[0] + means[1]).float() / 2)
