"""onnxruntime, and ONNX's own evaluator, give the oracle's records and logits, bit for bit."""

import functools
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnx.reference
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from model import zoo
from model.common.errors import UserError
from model.data import cifar
from model.integers import oracle
from model.integers.golden import candidates
from model.integers.onnx_export import DOMAIN, FUNCTIONS, export, write
from model.measure.onnx_check import compare, images_for, open_session, report
from model.network import Classifier, Conv, Identity, Network, load, save, validate
from model.network import record_digest as digest
from model.onnx import main
from sim import networks as generator
from sim.networks import Limits, random_network
from tests.model.programs import refusal
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


def single(weights, *, bias=0, multiplier=1, shift=1, group_size=1, order="after", **more):
    """One 1x1 convolution of one pixel, whose S a test controls."""
    channels = len(weights)
    conv = Conv(
        name=more.pop("name", "conv"),
        source=0,
        weights=np.asarray(weights).reshape(channels, 1, 1, -1),
        weight_bits=8,
        stride=1,
        padding=(0, 0, 0, 0),
        bias=np.broadcast_to(bias, channels).astype(np.int64),
        multiplier=np.broadcast_to(multiplier, channels).astype(np.int64),
        shift=np.broadcast_to(shift, channels).astype(np.int64),
        group_size=group_size,
        activation_bits=more.pop("bits", 8),
        order=order,
        **more,
    )
    classifier = Classifier(
        name="end",
        source=1,
        weights=np.eye(channels, dtype=np.int64),
        weight_bits=2,
        bias=np.zeros(channels, np.int64),
    )
    network = Network(
        name="single",
        input_shape=(1, 1, conv.weights.shape[3]),
        layers=(conv, classifier),
        classes=tuple(map(str, range(channels))),
    )
    validate(network)
    return network


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


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
def test_zoo_on_1000_generated_images(name, tmp_path, capsys):
    assert main([name, "--output", str(tmp_path / "z.onnx"), "--check", "1000"]) == 0
    assert "equals the reference: 1000 images, " in capsys.readouterr().out


# --- the check ----------------------------------------------------------------------------------


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


# --- the program --------------------------------------------------------------------------------


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
