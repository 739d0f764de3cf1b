"""Distillation: the loss by its formula, a student that follows its teacher, refusals."""

import pytest
import torch

from model.common.errors import UserError
from model.dham.resnet import ResNet
from model.dham.shapes import shape_of
from model.training import checkpoint
from model.training.distil import distillation_loss
from model.training.trainer import Recipe, Trainer
from tests.model.generated import coloured

FLOATING = {"soft": 1.0, "quantise": 1.0, "freeze": 1.0}


def ref_loss(logits, teacher, labels, share, temperature):
    """The formula, in float64, one image after the other."""
    total = 0.0
    for mine, other, label in zip(logits.double(), teacher.double(), labels, strict=True):
        hard = -torch.log(mine.exp() / mine.exp().sum())[label]
        p = (other / temperature).exp() / (other / temperature).exp().sum()
        q = (mine / temperature).exp() / (mine / temperature).exp().sum()
        total += (1 - share) * hard + share * temperature**2 * (p * (p / q).log()).sum()
    return total / len(logits)


@pytest.mark.parametrize("share, temperature", [(0.0, 4.0), (0.5, 4.0), (0.9, 1.0), (1.0, 2.5)])
def test_loss_is_the_formula(share, temperature):
    draw = torch.Generator().manual_seed(0)
    logits, teacher = (torch.randn(6, 10, generator=draw) * 3 for _ in range(2))
    labels = torch.tensor([0, 9, 3, 3, 1, 7])
    found = distillation_loss(logits, teacher, labels, share=share, temperature=temperature)
    expected = ref_loss(logits, teacher, labels, share, temperature)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


def student(teacher=None, **changes):
    recipe = {"epochs": 2, "batch": 32, "other_rate": 0.05, **FLOATING, **changes}
    return Trainer(
        shape=shape_of("dham8", width=16),
        recipe=Recipe(**recipe),
        seed=0,
        training=coloured(160, 1),
        validation=coloured(64, 2),
        device=torch.device("cpu"),
        teacher=teacher,
    )


def teacher_of(seed, classes=10):
    torch.manual_seed(seed)
    return ResNet(shape_of("dham8", width=16, group_sizes=(1,), classes=classes))


def test_checkpoint_knows_its_teacher(tmp_path):
    """A teacher read from its own checkpoint changes the weights, and not itself; resume checks."""
    dense = student()
    dense.train_epoch()
    dense.save(tmp_path / "teacher.pt")
    teacher = checkpoint.load_network(tmp_path / "teacher.pt")
    before = checkpoint.fingerprint(teacher)
    assert before == checkpoint.fingerprint(dense.network)

    alone, taught = student(), student(teacher, distil=1.0)
    alone.train_epoch()
    taught.train_epoch()
    assert checkpoint.fingerprint(teacher) == before
    assert not any(p.requires_grad for p in teacher.parameters())
    assert checkpoint.fingerprint(alone.network) != checkpoint.fingerprint(taught.network)
    assert taught.configuration()["teacher"] == before

    taught.save(tmp_path / "student.pt")
    again = student(teacher, distil=1.0)
    again.load(tmp_path / "student.pt")
    assert len(again.history) == 1
    with pytest.raises(UserError, match=f"its teacher is {before}, not "):
        student(teacher_of(5), distil=1.0).load(tmp_path / "student.pt")
    with pytest.raises(UserError, match=f"its teacher is {before}, not None"):
        student(distil=1.0).load(tmp_path / "student.pt")


def test_student_follows_its_teacher():
    """With the teacher's part alone, the labels are never seen: the loss is its distance."""
    run = student(teacher_of(1), distil=1.0, epochs=3)
    losses = [run.train_epoch().loss for _ in range(3)]
    assert losses[-1] < losses[0]


def test_teacher_of_other_classes():
    with pytest.raises(UserError, match="The teacher knows 100 classes, the student 10"):
        student(teacher_of(0, classes=100))
