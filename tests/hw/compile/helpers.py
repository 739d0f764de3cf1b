"""What the planner's tests share: small networks, and a small capability."""

import numpy as np
import pytest

from hw.capability import Capability
from hw.compile.plan import PlanError, make_plan
from model.network import Classifier, Conv, Network, validate

SMALL = Capability(
    family="generic", weight_words=512, activation_words=512, parameter_words=64,
    layer_entries=4, image_bytes=256, logit_words=16,
)  # fmt: skip


def conv(name="conv", source=0, inputs=2, channels=8, kernel=3, **values):
    values = {
        "weight_bits": 4, "stride": 1, "padding": (1, 1, 1, 1), "group_size": 2,
        "activation_bits": 4, "bias": np.zeros(channels, np.int64),
        "multiplier": np.full(channels, 256), "shift": np.full(channels, 16),
        "weights": np.ones((channels, kernel, kernel, inputs), np.int64),
    } | values  # fmt: skip
    return Conv(name=name, source=source, **values)


def network(*layers, shape=(8, 8, 2), classes=4, **values):
    """A sound network of these convolutions and a classifier."""
    made = Network(
        name="made",
        input_shape=shape,
        layers=(
            *layers,
            Classifier(
                **{
                    "name": "classifier",
                    "source": len(layers),
                    "weights": np.ones((classes, layers[-1].channels), np.int64),
                    "weight_bits": 4,
                    "bias": np.zeros(classes, np.int64),
                }
                | values
            ),
        ),
        classes=tuple(f"class {index}" for index in range(classes)),
    )
    validate(made)
    return made


def refused(made, capability=SMALL):
    with pytest.raises(PlanError) as caught:
        make_plan(made, capability)
    return str(caught.value)
