"""Knowledge distillation: a student that learns from a teacher's logits besides the labels.

G. Hinton, O. Vinyals, J. Dean, "Distilling the knowledge in a neural network", arXiv 1503.02531.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from model.common.errors import UserError
from model.common.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from model.dham.resnet import ResNet

__all__ = ["check_teacher", "distillation_loss"]


def distillation_loss(
    logits: Tensor,
    teacher: Tensor,
    labels: Tensor,
    *,
    share: float,
    temperature: float,
    label_smoothing: float = 0.0,
) -> Tensor:
    """(1 − α)·CE(labels) + α·T²·KL(teacher ‖ student), the mean over the batch.

    Parameters
    ----------
    logits, teacher : Tensor
        [N, classes] of student and teacher.
    labels : Tensor
        int64 [N].
    share : float
        α, 0 to 1.
    temperature : float
        T, by which both are divided before the softmax; T² keeps the gradient's size (section 2).
    """
    hard = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    soft = torch.nn.functional.kl_div(
        torch.nn.functional.log_softmax(logits / temperature, 1),
        torch.nn.functional.log_softmax(teacher / temperature, 1),
        reduction="batchmean",
        log_target=True,
    )
    return (1 - share) * hard + share * temperature**2 * soft


def check_teacher(teacher: ResNet, student: ResNet) -> None:
    """Refuse, with `UserError`, a teacher of other classes or images than the student's."""
    for what, key in (("classes", "classes"), ("pixels a side", "size")):
        mine, other = getattr(student.shape, key), getattr(teacher.shape, key)
        if mine != other:
            raise UserError(f"The teacher knows {other} {what}, the student {mine}")
