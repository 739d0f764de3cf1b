"""The check of a model by onnxruntime: what it counts, and the difference that it names."""

from dataclasses import replace

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import numpy_helper

from model import zoo
from model.common.errors import UserError
from model.integers.golden import candidates
from model.integers.onnx_export import export, write
from model.measure.onnx_check import compare, images_for, open_session, report
from model.network import load
from sim import networks as generator
from sim.networks import random_network
from tests.model.single import single


def changed(model, name, change):
    """A copy of `model` with its constant `name` replaced by `change(array)`."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    (constant,) = (c for c in model.graph.initializer if c.name == name)
    array = change(numpy_helper.to_array(constant).copy())
    constant.CopyFrom(numpy_helper.from_array(array, name))
    return model


def one_more(array):
    array.flat[0] += 1
    return array


@pytest.fixture(scope="module")
def default():
    network = load(zoo.find(zoo.DEFAULT))
    return network, export(network), candidates(np.random.default_rng(1), (32, 32, 3), 8, 12)


def test_check_counts(default):
    network, model, images = default
    done = []
    found = compare(
        network, open_session(model.SerializeToString(), 1), images, batch=5, progress=done.append
    )
    records = sum(t.pixels * t.groups for t in network.tensors[1:])
    assert found.difference is None and done == [5, 5, 2]
    assert (found.images, found.records, found.logits) == (12, 12 * records, 12 * 10)


def test_one_changed_weight_is_found(default, tmp_path, capsys):
    network, model, images = default
    layer = network.convs[3]
    mutated = changed(model, f"{layer.name}/weights", one_more)
    path = tmp_path / "mutated.onnx"
    write(mutated, path)
    assert report(network, path, images) == 1
    out = capsys.readouterr().out
    assert "DIFFERS: image " in out and f", {layer.name}.value at [" in out
    assert "equal before: 0 images, 0 records of 7 layers, 0 logits" in out
    write(model, path)
    assert report(network, path, images) == 0
    assert " equals the reference: 12 images, " in capsys.readouterr().out


def test_first_difference_is_named_exactly():
    network = single([[3], [1]], multiplier=2, group_size=2)
    images = np.array([0, 0, 0, 5], np.uint8).reshape(4, 1, 1, 1)
    model = changed(export(network), "conv/weights", one_more)
    found = compare(network, open_session(model.SerializeToString(), 1), images, batch=2)
    assert found.difference == (
        "image 3, conv.value at [0, 0, 0]: 15 expected, ONNX has 20 (1 of 2 of this batch differ)"
    )
    assert (found.images, found.records, found.logits) == (2, 2, 4)
    model = changed(export(network), "end/bias", one_more)
    found = compare(network, open_session(model.SerializeToString(), 1), images)
    assert found.difference.startswith("image 0, logits at [0]: 0 expected, ONNX has 1 ")


def test_model_of_another_network():
    network = random_network(1)
    session = open_session(export(random_network(2)).SerializeToString(), 1)
    with pytest.raises(UserError, match="The ONNX model is not one of random-1: its outputs are"):
        compare(network, session, generator.images_for(network, 1))


def test_damaged_model(tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"something else")
    with pytest.raises(UserError, match=f"onnxruntime cannot run {tmp_path}/x.onnx: "):
        open_session(tmp_path / "x.onnx")
    with pytest.raises(UserError, match="onnxruntime cannot run the model: "):
        open_session(b"something else")


def test_generated_images_keep_within_the_bits():
    network = replace(random_network(0), input_bits=3)
    images = images_for(network, 20)
    assert images.shape == (20, *network.input_shape) and images.max() == 7
    np.testing.assert_array_equal(images, images_for(network, 20))
