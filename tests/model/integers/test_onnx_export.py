"""onnxruntime, and ONNX's own evaluator, give the oracle's records and logits, bit for bit."""

import functools
import json
from dataclasses import replace

import numpy as np
import onnx
import onnx.reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import zoo
from model.integers import oracle
from model.integers.onnx_export import DOMAIN, FUNCTIONS, export
from model.measure.onnx_check import open_session
from model.network import Identity, load, save, validate
from model.network import record_digest as digest
from sim import networks as generator
from sim.networks import Limits, random_network
from tests.model.single import single
from tests.networks import networks

WIDE = Limits(
    activation_bits=8, winner_bits=5, accumulator_bits=32, bias_bits=31, scaled_weight_bits=12
)
STANDARD = {"", "ai.onnx"}


def expected_of(network, images):
    """All outputs by name, from the oracle."""
    result = oracle.run(network, images)
    wanted = {}
    for layer, records in zip(network.convs, result.records, strict=True):
        wanted[f"{layer.name}.value"] = records.value
        wanted[f"{layer.name}.winner"] = records.winner
    return wanted | {"logits": result.logits, "class": result.decisions}


def assert_equal(network, images, optimise=True):
    session = open_session(export(network).SerializeToString(), threads=1, optimise=optimise)
    names = [output.name for output in session.get_outputs()]
    actual = dict(zip(names, session.run(None, {"image": images}), strict=True))
    check_outputs(network, actual, expected_of(network, images))


def check_outputs(network, actual, wanted):
    assert set(actual) == set(wanted) and len(actual) == 2 * len(network.convs) + 2
    for name, array in wanted.items():
        kind = {"value": np.uint8, "winner": np.uint16}.get(name.split(".")[-1], np.int64)
        assert actual[name].dtype == kind and actual[name].shape == array.shape, name
        where = np.argwhere(actual[name] != array)
        assert len(where) == 0, (
            f"{network.name}, {name}: first at {where[0]}, "
            f"expected {array[tuple(where[0])]}, ONNX has {actual[name][tuple(where[0])]}"
        )


SEEDS = 60
seeded = functools.cache(random_network)


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_equals_oracle_on_seeded_networks(first):
    for seed in range(first, first + 20):
        network = seeded(seed)
        assert_equal(network, generator.images_for(network, seed), optimise=seed % 2 == 0)


@settings(deadline=None, max_examples=30)
@given(network=networks(), seed=st.integers(0, 2**16))
def test_equals_oracle_on_drawn_networks(network, seed):
    assert_equal(network, generator.images_for(network, seed))


@settings(deadline=None, max_examples=30)
@given(network=networks(WIDE), seed=st.integers(0, 2**16))
def test_equals_oracle_on_networks_wider_than_the_hardware(network, seed):
    assert_equal(network, generator.images_for(network, seed))


@pytest.mark.parametrize("seed", range(12))
def test_evaluator_of_onnx_itself_agrees(seed):
    """A second runtime, written in numpy by the authors of the format."""
    network = random_network(seed, Limits(layers=4, max_pixels=8, channels=16))
    images = generator.images_for(network, seed)
    evaluator = onnx.reference.ReferenceEvaluator(export(network))
    actual = dict(zip(evaluator.output_names, evaluator.run(None, {"image": images}), strict=True))
    check_outputs(network, actual, expected_of(network, images))


def test_generator_reaches_every_kind_of_layer():
    """What the tests above rest on: every feature occurs among the seeded networks."""
    seen = set()
    for seed in range(SEEDS):
        network = seeded(seed)
        tensors = network.tensors
        for index, layer in enumerate(network.convs):
            top, bottom, left, right = layer.padding
            seen.add(layer.order)
            seen |= {"binary"} if layer.binary else set()
            seen |= {"identity"} if layer.identity else set()
            seen |= {"asymmetric"} if top != bottom and left != right else set()
            seen |= {"wide weights"} if layer.weight_bits == 8 else set()
            seen |= {"bits of weights"} if layer.weight_bits == 1 else set()
            if layer.projection is not None:
                source, output = tensors[layer.projection.source], tensors[index + 1]
                stride = layer.projection.stride
                cut = -(-source.height // stride) > output.height
                seen |= {"projection", "cut"} if cut else {"projection"}
                seen |= {"exponent"} if layer.projection.exponent else set()
    features = {"identity", "projection", "cut", "exponent", "asymmetric", "binary"}
    assert seen == features | {"after", "before", "wide weights", "bits of weights"}


@pytest.mark.parametrize("shift", [1, 2, 7, 16, 31, 32, 47, 61, 62])
def test_rounding_at_every_half_of_both_signs(shift):
    """S = -40 ... 40 times m, m chosen so that S·m hits the halves, and one beside them."""
    values = np.arange(-40, 41)
    for multiplier in (1, 3, 2**30 - 1, 2**30, 2**30 + 1, 2**31 - 1):
        network = single(
            np.zeros((81, 1), int), bias=values, multiplier=multiplier, shift=shift, bits=8
        )
        image = np.zeros((1, 1, 1, 1), np.uint8)
        assert_equal(network, image)
        session = open_session(export(network).SerializeToString(), threads=1)
        (value,) = session.run(["conv.value"], {"image": image})
        # In Python's own integers, as docs/arithmetic.md has it.
        half = 2 ** (shift - 1)
        exact = [min(max((int(s) * multiplier + half) >> shift, 0), 255) for s in values]
        assert value.ravel().tolist() == exact


def test_rounding_at_the_ends_of_the_accumulator():
    ends = np.array([-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 256, 2**31 - 1])
    for multiplier, shift in ((2**31 - 1, 62), (2**31 - 1, 54), (1, 62), (1, 23), (1, 31)):
        network = single(np.zeros((7, 1), int), bias=ends, multiplier=multiplier, shift=shift)
        assert_equal(network, np.zeros((2, 1, 1, 1), np.uint8))


def test_halves_round_up():
    network = single(np.zeros((6, 1), int), bias=[1, 3, 5, -1, -3, 0], shift=1)
    session = open_session(export(network).SerializeToString(), threads=1)
    (value,) = session.run(["conv.value"], {"image": np.zeros((1, 1, 1, 1), np.uint8)})
    assert value.ravel().tolist() == [1, 2, 3, 0, 0, 0]


@pytest.mark.parametrize("order, winner", [("after", 0), ("before", 1)])
def test_ties(order, winner):
    """Both clamp to 255: a tie of Q, not of S. Ties of S go to the lowest index in both orders."""
    image = np.full((1, 1, 1, 1), 200, np.uint8)
    network = single([[100], [127]], multiplier=2, group_size=2, order=order)
    session = open_session(export(network).SerializeToString(), threads=1)
    value, found = session.run(["conv.value", "conv.winner"], {"image": image})
    assert (value.item(), found.item()) == (255, winner)
    tied = single([[1], [1], [1]], group_size=3, order=order)
    assert_equal(tied, image)
    network = single([[1], [1], [1]], multiplier=2, group_size=3, order=order)
    session = open_session(export(network).SerializeToString(), threads=1)
    logits, decision = session.run(["logits", "class"], {"image": image})
    assert logits.tolist() == [[200, 0, 0]] and decision.tolist() == [0]


def test_class_is_the_lowest_index_of_the_maximum():
    network = single([[1], [2], [2], [-1]], multiplier=2)
    session = open_session(export(network).SerializeToString(), threads=1)
    image = np.full((1, 1, 1, 1), 9, np.uint8)
    logits, decision = session.run(["logits", "class"], {"image": image})
    assert logits.tolist() == [[9, 18, 18, 0]] and decision.tolist() == [1]


def test_products_that_saturate_16_bits_do_not():
    """255 · 127 twice leaves 16 bits: an 8-bit kernel of one instruction too few would clamp."""
    for weight in (127, -128):
        network = single(np.full((2, 4096), weight), multiplier=1, shift=23, bits=8)
        assert_equal(network, np.full((3, 1, 1, 4096), 255, np.uint8))


def test_residual_of_another_group_size_and_a_long_group():
    base = single(np.eye(12, 5, dtype=int) * 3, bias=4, multiplier=2, group_size=12)
    first = base.convs[0]
    second = replace(
        first,
        name="second",
        source=1,
        weights=np.ones((12, 1, 1, 12), int),
        group_size=3,
        identity=Identity(source=1, factor=np.arange(12) - 4),
    )
    classifier = replace(base.classifier, source=2)
    network = replace(base, layers=(first, second, classifier))
    validate(network)
    rng = np.random.default_rng(0)
    assert_equal(network, rng.integers(0, 256, (9, 1, 1, 5)).astype(np.uint8))


@pytest.mark.parametrize("names", [("logits", "class"), ("image", "zero"), ("a", "a/sums")])
def test_names_of_layers_never_meet(names):
    base = single(np.ones((4, 2), int), group_size=2, name=names[0])
    second = replace(base.convs[0], name=names[1], source=1, weights=np.ones((4, 1, 1, 4), int))
    layers = (*base.convs, second, replace(base.classifier, source=2, name="planes"))
    assert_equal(replace(base, layers=layers), np.full((1, 1, 1, 2), 3, np.uint8))


def test_batch_of_any_size():
    network = random_network(5)
    images = generator.images_for(network, 5, count=7)
    session = open_session(export(network).SerializeToString(), threads=1)
    (all_logits,) = session.run(["logits"], {"image": images})
    single_logits = [session.run(["logits"], {"image": image[None]})[0] for image in images]
    np.testing.assert_array_equal(all_logits, np.concatenate(single_logits))


# --- the model as a file ------------------------------------------------------------------------


def test_standard_operators_only():
    network = random_network(3)
    model = export(network)
    assert {(f.domain, f.name) for f in model.functions} == {(DOMAIN, name) for name in FUNCTIONS}
    used = {(node.domain, node.op_type) for node in model.graph.node}
    inside = {(node.domain, node.op_type) for f in model.functions for node in f.node}
    assert {kind for domain, kind in used if domain not in STANDARD} == set(FUNCTIONS)
    for domain, kind in inside | {pair for pair in used if pair[0] in STANDARD}:
        assert domain in STANDARD
        onnx.defs.get_schema(kind, 17)  # raises where there is no such operator


def test_shapes_are_inferred_in_full():
    for seed in range(10):
        network = random_network(seed)
        model = onnx.shape_inference.infer_shapes(
            export(network), check_type=True, strict_mode=True, data_prop=True
        )
        onnx.checker.check_model(model, full_check=True)
        shapes = {
            info.name: [dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim]
            for info in [*model.graph.value_info, *model.graph.output]
        }
        for layer, tensor in zip(network.convs, network.tensors[1:], strict=True):
            grid = ["N", tensor.height, tensor.width]
            assert shapes[f"{layer.name}.value"] == [*grid, tensor.groups]
            assert shapes[f"{layer.name}.winner"] == [*grid, tensor.groups]
            assert shapes[f"{layer.name}/dense"] == [*grid, tensor.channels]
        assert shapes["logits"] == ["N", len(network.classes)] and shapes["class"] == ["N"]


def test_metadata(tmp_path):
    network = save(random_network(2), tmp_path / "some.dham")
    props = {entry.key: entry.value for entry in export(network).metadata_props}
    assert props == {
        "name": network.name,
        "classes": json.dumps(list(network.classes)),
        "input_bits": str(network.input_bits),
        "sha256": network.sha256,
    }


# --- zoo ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", zoo.names())
def test_zoo_on_its_golden_vectors(name):
    network = load(zoo.find(name))
    golden = network.golden
    session = open_session(export(network).SerializeToString(), threads=1)
    names = [output.name for output in session.get_outputs()]
    actual = dict(zip(names, session.run(None, {"image": golden.images}), strict=True))
    np.testing.assert_array_equal(actual["logits"], golden.logits)
    for frame, digests in enumerate(golden.digests):
        for layer, expected in zip(network.convs, digests, strict=True):
            value, winner = (actual[f"{layer.name}.{part}"][frame] for part in ("value", "winner"))
            assert digest(value, winner) == expected, (frame, layer.name)
