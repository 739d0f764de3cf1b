"""The network file: round trips, every check of its content, and every kind of damage."""

import hashlib
import json
import os
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.integers import oracle
from model.network import (
    Classifier,
    Conv,
    Golden,
    Identity,
    Network,
    NetworkError,
    Projection,
    Tensor,
    accumulator_bound,
    load,
    record_digest,
    save,
    signed_bits,
    validate,
)
from sim.networks import random_network
from tests.networks import networks

OFFSET = 16  # of the header


def conv(**changes):
    values = {
        "name": "first",
        "source": 0,
        "weights": np.arange(4 * 9 * 2).reshape(4, 3, 3, 2) % 15 - 7,
        "weight_bits": 4,
        "stride": 1,
        "padding": (1, 1, 1, 1),
        "bias": np.array([1, -2, 3, 0]),
        "multiplier": np.array([9, 9, 5, 5]),
        "shift": np.array([8, 8, 7, 7]),
        "group_size": 2,
        "activation_bits": 4,
    }
    return Conv(**(values | changes))


def small(first=None, second=None, classifier=None, golden=True, **changes):
    """A network of two convolutions with all that a file can hold; parts can be changed."""
    one = conv(**(first or {}))
    two = conv(
        **{
            "name": "second",
            "source": 1,
            "weights": np.ones((4, 1, 1, 4), int),
            "padding": (0, 0, 0, 0),
            "order": "before",
            "projection": Projection(source=0, stride=1, exponent=2, weights=np.full((4, 2), -8)),
            "identity": Identity(source=1, factor=np.array([1, 2, 3, 4])),
        }
        | (second or {})
    )
    last = {
        "name": "end",
        "source": 2,
        "weights": np.array([[1, 2, 3, 4], [-128, 127, 0, 0]]),
        "weight_bits": 8,
        "bias": np.array([5, -6]),
    } | (classifier or {})
    values = {
        "name": "small",
        "input_shape": (4, 5, 2),
        "layers": (one, two, Classifier(**last)),
        "classes": ("cat", "dog"),
        "metadata": {"top1": 85.25, "by": ["anyone"]},
    }
    network = Network(**(values | changes))
    if golden and "golden" not in changes:
        network = replace(network, golden=golden_of(network))
    return network


def golden_of(network, **changes):
    height, width, channels = network.input_shape
    images = np.arange(3 * height * width * channels).reshape(3, height, width, channels) % 97
    values = {
        "images": images.astype(np.uint8),
        "digests": (("0" * 64, "a1" * 32),) * 3,
        "logits": np.array([[1, -70000], [0, 3], [4, 5]]),
    }
    return Golden(**(values | changes))


def assert_same(one, other):
    """Networks are equal in every field, arrays by value."""
    assert type(one) is type(other)
    for name in one.__dataclass_fields__:
        ours, theirs = getattr(one, name), getattr(other, name)
        if isinstance(ours, np.ndarray):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
        elif hasattr(ours, "__dataclass_fields__"):
            assert_same(ours, theirs)
        elif name == "layers":
            assert len(ours) == len(theirs)
            for pair in zip(ours, theirs, strict=True):
                assert_same(*pair)
        elif name != "sha256":
            assert ours == theirs, name


# --- round trips --------------------------------------------------------------------------------


def test_round_trip(tmp_path):
    path = tmp_path / "small.dham"
    saved = save(small(), path)
    loaded = load(path)
    assert_same(saved, loaded)
    data = path.read_bytes()
    assert saved.sha256 == loaded.sha256 == hashlib.sha256(data[:-32]).hexdigest()
    assert data[-32:].hex() == saved.sha256
    assert loaded.golden.images.dtype == np.uint8  # though these fit a signed byte
    assert os.listdir(tmp_path) == ["small.dham"]


def test_saving_again_gives_the_same_bytes(tmp_path):
    save(small(), tmp_path / "one")
    save(load(tmp_path / "one"), tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@given(network=networks())
def test_round_trip_of_any_network(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "network.dham"
    save(network, path)
    assert_same(network, load(path))


def test_tensors():
    assert small().tensors == (
        Tensor(height=4, width=5, channels=2, group_size=1, maximum=255),
        Tensor(height=4, width=5, channels=4, group_size=2, maximum=15),
        Tensor(height=4, width=5, channels=4, group_size=2, maximum=15),
    )
    binary = small(first={"binary": True}, golden=False)
    assert binary.tensors[1].maximum == 1
    assert (binary.tensors[1].groups, binary.tensors[1].pixels) == (2, 20)


def test_digest_is_as_documented():
    value = np.array([[[3, 0], [255, 1]]])
    winner = np.array([[[1, 0], [300, 2]]])
    expected = hashlib.sha256(struct.pack("<8H", 3, 0, 255, 1, 1, 0, 300, 2)).hexdigest()
    assert record_digest(value, winner) == expected
    assert record_digest(value.astype(np.uint8), winner.astype(np.int32)) == expected


def test_save_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "small.dham"
    path.write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(small(), path)
    assert os.listdir(tmp_path) == ["small.dham"]
    assert path.read_bytes() == b"before"


def test_save_refuses_what_load_would(tmp_path):
    with pytest.raises(NetworkError, match="group size 3 does not divide the 4 channels"):
        save(small(first={"group_size": 3}), tmp_path / "wrong.dham")
    assert os.listdir(tmp_path) == []


# --- every check --------------------------------------------------------------------------------

FIRST, SECOND, END = "Layer 0 (first): ", "Layer 1 (second): ", "Layer 2 (end): "
BINARY = {"weight_bits": 1, "weights": np.full((4, 3, 3, 2), -1)}
WIDE = {"projection": None, "identity": None, "weights": np.ones((4, 5, 1, 4), int)}


def projection(**changes):
    values = {"source": 0, "stride": 1, "exponent": 0, "weights": np.ones((4, 2), int)}
    return {"second": {"projection": Projection(**(values | changes))}}


def identity(source=1, factor=None, **first):
    factor = np.ones(4, int) if factor is None else factor
    return {"second": {"identity": Identity(source=source, factor=factor)}, "first": first}


UNSOUND = {
    "no name": ({"name": ""}, "Network needs a name"),
    "name": ({"name": 3}, "Network needs a name"),
    "shape": (
        {"input_shape": (4, 0, 2)},
        "Input shape must be three positive integers (height, width, channels) below 65536, "
        "not (4, 0, 2)",
    ),
    "shape length": ({"input_shape": (4, 5)}, "Input shape must be three positive integers"),
    "huge": ({"input_shape": (4, 65536, 2)}, "below 65536, not (4, 65536, 2)"),
    "input bits": ({"input_bits": 9}, "Input bits must be 1 to 8, not 9"),
    "input bits true": ({"input_bits": True}, "Input bits must be 1 to 8, not True"),
    "layers": ({"layers": (conv(),)}, "Network must be one or more convolutions and, last,"),
    "no layers": ({"layers": ()}, "Network must be one or more convolutions and, last,"),
    "classes": ({"classes": ("cat",)}, "Classifier has 2 outputs, but 1 class names are given"),
    "class names": ({"classes": ("cat", 2)}, "Classifier has 2 outputs, but 2 class names"),
    "metadata": ({"metadata": ["top1"]}, "Metadata must be an object"),
    "metadata nan": ({"metadata": {"top1": float("nan")}}, "Metadata cannot be written as JSON"),
    "metadata numpy": ({"metadata": {"top1": np.int64(3)}}, "Metadata cannot be written as JSON"),
    "layer name": ({"first": {"name": ""}}, "Layer 0 needs a name, not ''"),
    "same name": ({"second": {"name": "first"}}, "Layer 1: the name 'first' is taken"),
    "weights float": (
        {"first": {"weights": np.zeros((4, 3, 3, 2))}},
        FIRST + "weights must be an integer array",
    ),
    "weights list": ({"first": {"weights": [1]}}, FIRST + "weights must be an integer array"),
    "weights shape": (
        {"first": {"weights": np.zeros((4, 2), int)}},
        FIRST + "weights must have 4 dimensions and not be empty, not shape (4, 2)",
    ),
    "weights empty": (
        {"first": {"weights": np.zeros((4, 0, 3, 2), int)}},
        FIRST + "weights must have 4 dimensions and not be empty, not shape (4, 0, 3, 2)",
    ),
    "weight bits": ({"first": {"weight_bits": 9}}, FIRST + "weight bits must be 1 to 8, not 9"),
    "weight range": (
        {"first": {"weight_bits": 3}},
        FIRST + "weights must be -4 to 3 (3 bits), not -7 to 7",
    ),
    "binary weights": ({"first": BINARY}, FIRST + "weights must be 0 to 1 (1 bits), not -1 to -1"),
    "source": (
        {"second": {"source": 2}},
        SECOND + "source tensor must be 0 to 1 (an earlier one), not 2",
    ),
    "source sign": ({"first": {"source": -1}}, FIRST + "source tensor must be 0 to 0"),
    "source type": ({"first": {"source": 0.0}}, FIRST + "source tensor must be 0 to 0"),
    "channels": (
        {"second": {"source": 0}},
        SECOND + "weights take 4 input channels, but tensor 0 has 2",
    ),
    "bias": (
        {"first": {"bias": np.zeros(3, int)}},
        FIRST + "bias must have 4 entries, not 3",
    ),
    "bias range": (
        {"first": {"bias": np.full(4, 2**31)}},
        FIRST + "bias leaves 32 signed bits",
    ),
    "stride": ({"first": {"stride": 0}}, FIRST + "stride must be a positive integer, not 0"),
    "padding sign": (
        {"first": {"padding": (1, 1, -1, 1)}},
        FIRST + "padding must be four integers of 0 or more, not (1, 1, -1, 1)",
    ),
    "padding length": ({"first": {"padding": (1, 1)}}, FIRST + "padding must be four integers"),
    "padding size": (
        {"first": {"padding": (1, 3, 1, 1)}},
        FIRST + "padding (1, 3, 1, 1) must be smaller than the kernel 3x3",
    ),
    "kernel": ({"second": WIDE}, SECOND + "kernel 5x1 is larger than the padded input 4x5"),
    "group size": (
        {"first": {"group_size": 0}},
        FIRST + "group size must be a positive integer, not 0",
    ),
    "group size large": (
        {"first": {"group_size": 65537}},
        FIRST + "group size must be at most 65536, not 65537",
    ),
    "group size divides": (
        {"first": {"group_size": 3}},
        FIRST + "group size 3 does not divide the 4 channels",
    ),
    "activation bits": (
        {"first": {"activation_bits": 0}},
        FIRST + "activation bits must be 1 to 8, not 0",
    ),
    "order": (
        {"first": {"order": "during"}},
        FIRST + "order must be 'after' or 'before', not 'during'",
    ),
    "binary": ({"first": {"binary": 1}}, FIRST + "binary must be true or false, not 1"),
    "multiplier": (
        {"first": {"multiplier": np.array([9, 9, 0, 5])}},
        FIRST + "multiplier must be 1 or more, not 0",
    ),
    "shift": ({"first": {"shift": np.zeros(4, int)}}, FIRST + "shift must be 1 or more, not 0"),
    "shift large": (
        {"first": {"shift": np.full(4, 63)}},
        FIRST + "shift must be at most 62, not 63",
    ),
    "before multiplier": (
        {"second": {"multiplier": np.array([9, 9, 5, 6])}},
        SECOND + "order 'before' needs one multiplier for each group, but they differ within",
    ),
    "before shift": (
        {"second": {"shift": np.array([8, 9, 7, 7])}},
        SECOND + "order 'before' needs one shift for each group, but they differ within a group",
    ),
    "projection weights": (
        projection(weights=np.full((4, 2), 8)),
        SECOND + "projection weights must be -8 to 7 (4 bits), not 8 to 8",
    ),
    "projection outputs": (
        projection(weights=np.ones((3, 2), int)),
        SECOND + "projection weights must have 4 entries, not 3",
    ),
    "projection inputs": (
        projection(weights=np.ones((4, 3), int)),
        SECOND + "projection takes 3 channels, but tensor 0 has 2",
    ),
    "projection source": (
        projection(source=2),
        SECOND + "projection tensor must be 0 to 1 (an earlier one), not 2",
    ),
    "projection stride": (
        projection(stride=0),
        SECOND + "projection stride must be a positive integer, not 0",
    ),
    "projection exponent": (
        projection(exponent=17),
        SECOND + "projection exponent must be 0 to 16, not 17",
    ),
    "projection leaves": (
        projection(stride=2),
        SECOND + "projection of stride 2 leaves its tensor's height (6 >= 4)",
    ),
    "identity source": (
        identity(source=2),
        SECOND + "identity tensor must be 0 to 1 (an earlier one), not 2",
    ),
    "identity image": (identity(source=0), SECOND + "identity cannot take the image"),
    "identity factor": (
        identity(factor=np.ones(5, int)),
        SECOND + "identity factor must have 4 entries, not 5",
    ),
    "identity shape": (
        {"second": {"padding": (0, 0, 0, 0), "stride": 2, "projection": None}},
        SECOND + "identity tensor is (4, 5, 4), the output is (2, 3, 4)",
    ),
    "classifier inputs": (
        {"classifier": {"weights": np.ones((2, 3), int)}},
        END + "weights take 3 input channels, but tensor 2 has 4",
    ),
    "classifier weights": (
        {"classifier": {"weights": [[1, 2, 3, 4]]}},
        "weights must be an integer array",
    ),
    "classifier bias": (
        {"classifier": {"bias": np.ones(3, int)}},
        END + "bias must have 2 entries, not 3",
    ),
    "accumulator": (
        {"first": {"bias": np.full(4, 2**31 - 1)}},
        "Layer 0 (first): accumulator needs 33 bits, at most 32 are allowed",
    ),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_unsound_network(name):
    changes, text = UNSOUND[name]
    with pytest.raises(NetworkError) as caught:
        validate(small(golden=False, **changes))
    assert text in str(caught.value)


UNSOUND_GOLDEN = {
    "type": ({"images": np.zeros((3, 4, 5, 2), int)}, "golden images must be uint8 of shape (N, 4"),
    "shape": ({"images": np.zeros((3, 5, 4, 2), np.uint8)}, "not uint8 (3, 5, 4, 2)"),
    "none": ({"images": np.zeros((0, 4, 5, 2), np.uint8)}, "golden images must have 4 dimensions"),
    "bits": ({"images": np.full((3, 4, 5, 2), 128, np.uint8)}, "golden images leave 7 bits"),
    "logits": ({"logits": np.zeros((2, 2), int)}, "golden logits must be (3, 2), not (2, 2)"),
    "logits type": ({"logits": np.zeros((3, 2))}, "golden logits must be an integer array"),
    "frames": ({"digests": (("0" * 64,) * 2,) * 2}, "golden digests must be 3 frames of 2 layers"),
    "layers": ({"digests": (("0" * 64,),) * 3}, "golden digests must be 3 frames of 2 layers"),
    "digest": ({"digests": (("0" * 64, "A" * 64),) * 3}, "golden digests must be SHA-256 in 64"),
    "digest type": ({"digests": (("0" * 64, 5),) * 3}, "golden digests must be SHA-256 in 64"),
}


@pytest.mark.parametrize("name", UNSOUND_GOLDEN)
def test_unsound_golden(name):
    changes, text = UNSOUND_GOLDEN[name]
    network = small(input_bits=7)
    with pytest.raises(NetworkError) as caught:
        validate(replace(network, golden=golden_of(network, **changes)))
    assert text in str(caught.value)


def test_sound_networks_pass():
    validate(small())
    for seed in range(50):
        validate(random_network(seed))


# --- damage -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "small.dham"
    save(small(), path)
    return path.read_bytes()


def refused(data, tmp_path):
    path = tmp_path / "damaged.dham"
    path.write_bytes(data)
    with pytest.raises(NetworkError) as caught:
        load(path)
    text = str(caught.value)
    assert text.startswith(f"Network file {path}: ") and "\n" not in text
    return text.removeprefix(f"Network file {path}: ")


def test_missing_file(tmp_path):
    path = tmp_path / "resnet8-l3.dham"
    with pytest.raises(NetworkError) as caught:
        load(path)
    text = f"Cannot read network file {path}: No such file or directory"
    assert str(caught.value) == text
    for name in ("resnet8-l2.dham", "other.dham"):
        (tmp_path / name).touch()
    with pytest.raises(NetworkError) as caught:
        load(path)
    hint = "; did you mean resnet8-l2.dham? (known: other.dham, resnet8-l2.dham)"
    assert str(caught.value) == text + hint


def test_folder(tmp_path):
    with pytest.raises(NetworkError, match="Cannot read network file .*: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("data", [b"PK\x03\x04" + bytes(100), b"DHAM\n\x1a\n" + bytes(100)])
def test_foreign_file(data, tmp_path):
    assert refused(data, tmp_path) == "not a DHAM network file (magic)"


def test_newer_file(content, tmp_path):
    data = content[:8] + struct.pack("<I", 2) + content[12:]
    expected = (
        "format version 2 is newer than this program's 1: renew this program with "
        "`pip install -U decisivenets`"
    )
    assert refused(data, tmp_path) == expected


def test_unknown_version(content, tmp_path):
    data = content[:8] + struct.pack("<I", 0) + content[12:]
    assert refused(data, tmp_path) == "format version 0 is not known"


def test_truncation_anywhere(content, tmp_path):
    ends = {*range(64), *range(64, len(content), 41), *range(len(content) - 40, len(content))}
    for end in sorted(ends):
        text = refused(content[:end], tmp_path)
        assert text in ("truncated", "truncated (header)", "truncated or damaged (checksum)"), end


def test_longer_file(content, tmp_path):
    assert refused(content + b"\0", tmp_path) == "truncated or damaged (checksum)"


def test_flipped_bits_anywhere(content, tmp_path):
    rng = np.random.default_rng(0)
    for offset in sorted({*range(40), *rng.integers(0, len(content), 200).tolist()}):
        data = bytearray(content)
        data[offset] ^= 1 << int(rng.integers(8))
        refused(bytes(data), tmp_path)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_in_one_line(data, tmp_path_factory):
    refused(data, tmp_path_factory.mktemp("any"))
    refused(sealed(data), tmp_path_factory.mktemp("any"))


# --- a header that was tampered with, the checksum recomputed ------------------------------------


def sealed(text, blob=b""):
    body = b"DHAM\r\n\x1a\n" + struct.pack("<II", 1, len(text)) + text + blob
    return body + hashlib.sha256(body).digest()


def parts(content):
    (length,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[OFFSET : OFFSET + length]), content[OFFSET + length : -32]


def paths(value, path=()):
    """Every place of a JSON value, the containers too."""
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(item, (*path, key))


def changed(header, path, value):
    header = json.loads(json.dumps(header))
    *stem, last = path
    place = header
    for key in stem:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return header


def places(header):
    return [path for path in paths(header) if path and path[0] != "metadata"]


def test_every_header_field_refuses_nonsense(content, tmp_path):
    header, blob = parts(content)
    assert len(places(header)) > 150
    for path in places(header):
        text = path[-1] == "name" or (len(path) == 2 and path[0] == "classes")
        for value in (-1, "nonsense", [], {}, True, 10**30):
            if (text and value == "nonsense") or (path[-1] == "binary" and value is True):
                continue  # these are sound
            message = refused(
                sealed(json.dumps(changed(header, path, value)).encode(), blob), tmp_path
            )
            assert 0 < len(message) < 400, (path, value)


def test_every_key_is_needed(content, tmp_path):
    header, blob = parts(content)
    for path in places(header):
        if isinstance(path[-1], str) and path[-1] not in ("golden", "projection", "identity"):
            data = sealed(json.dumps(changed(header, path, ...)).encode(), blob)
            assert refused(data, tmp_path) == f"header is malformed (no '{path[-1]}')", path


TAMPERED = {
    "accumulator": (
        ("accumulator_bits",),
        20,
        "accumulator needs 17 bits, but the header states 20",
    ),
    "unknown key": (
        ("layers", 1, "projecton"),
        {},
        "layer 1 has an unknown key 'projecton': did you mean projection? (known: activation_bits",
    ),
    "unknown header key": (("gold",), {}, "header has an unknown key 'gold': did you mean golden?"),
    "kind": (("layers", 0, "kind"), "pool", "layer 0: kind 'pool' is not known"),
    "dtype": (("arrays", 0, "dtype"), "<f4", "array type '<f4' is not known"),
    "offset": (("arrays", 0, "offset"), 10**6, "array 0 leaves the file"),
    "shape": (
        ("arrays", 0, "shape"),
        [4, 0, 3, 2],
        "array 0 must have 1 to 4 positive dimensions, not [4, 0, 3, 2]",
    ),
    "shape large": (("arrays", 0, "shape"), [2**40, 2**40], "array 0 leaves the file"),
    "shape list": (("arrays", 0, "shape"), 5, "shape of array 0 must be a list, not 5"),
    "array": (("layers", 0, "weights"), 99, "array number must be 0 to 13, not 99"),
    "array sign": (("layers", 0, "weights"), -1, "array number must be 0 to 13, not -1"),
    "arrays": (("arrays",), 5, "arrays must be a list, not 5"),
    "classes": (("classes",), "ab", "classes must be a list, not 'ab'"),
    "layers": (("layers",), {}, "layers must be a list, not {}"),
    "padding": (
        ("layers", 0, "padding"),
        "1111",
        "layer 0: padding must be a list, not '1111'",
    ),
    "golden": (("golden",), [], "golden must be an object"),
    "golden digests": (("golden", "digests"), {}, "golden digests must be a list, not {}"),
    "golden images": (("golden", "images"), 1, "golden images must be 0 to 255"),
    "metadata": (("metadata",), [], "Metadata must be an object"),
    "name": (("name",), "", "Network needs a name"),
    "layer": (("layers", 0), 7, "layer 0 must be an object"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_tampered_header(name, content, tmp_path):
    path, value, text = TAMPERED[name]
    header, blob = parts(content)
    data = sealed(json.dumps(changed(header, path, value)).encode(), blob)
    assert refused(data, tmp_path).startswith(text)


def test_null_is_absent(content, tmp_path):
    header, blob = parts(content)
    header["layers"][0] |= {"projection": None, "identity": None}
    path = tmp_path / "null.dham"
    path.write_bytes(sealed(json.dumps(header).encode(), blob))
    assert_same(load(path), small())


def test_arrays_of_any_type(content, tmp_path):
    """A file may hold every array as 64-bit numbers."""
    header, blob = parts(content)
    wide = bytearray()
    for entry in header["arrays"]:
        size = int(np.prod(entry["shape"]))
        array = np.frombuffer(blob, entry["dtype"], count=size, offset=entry["offset"])
        entry |= {"dtype": "<i8", "offset": len(wide)}
        wide += array.astype("<i8").tobytes()
    path = tmp_path / "wide.dham"
    path.write_bytes(sealed(json.dumps(header).encode(), bytes(wide)))
    assert_same(load(path), small())


def test_trailing_bytes(content, tmp_path):
    header, blob = parts(content)
    data = sealed(json.dumps(header).encode(), blob + b"\0\0\0")
    assert refused(data, tmp_path) == "3 bytes behind the last array"


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"7", b"\xff", b"null", b"{}", b"[" * 100_000, b"{" + b"9" * 9999]
)
def test_header_that_is_no_header(text, tmp_path):
    assert refused(sealed(text), tmp_path).startswith("header ")


# --- accumulator --------------------------------------------------------------------------------


def test_signed_bits():
    for low, high, bits in [
        (0, 0, 1),
        (-1, 0, 1),
        (0, 1, 2),
        (-2, 1, 2),
        (-3, 0, 3),
        (-128, 127, 8),
    ]:
        assert signed_bits(low, high) == bits
        assert -(2 ** (bits - 1)) <= low and high < 2 ** (bits - 1)


def brute_force(layer, tensors):
    """Lowest and highest partial sum over all records of a window, by trying all of them.

    Each group of each tap contributes one weight of its own, so the extremes over all inputs and
    all orders of summation are those of the subsets of the terms: each term is tried at every
    value and winner, and what lowers (raises) the sum is kept.
    """
    low = high = 0
    for o in range(layer.channels):
        terms = []
        kernels = [
            (layer.weights[o].reshape(-1, layer.weights.shape[-1]), tensors[layer.source], 1)
        ]
        if layer.projection is not None:
            shortcut = layer.projection
            kernels.append(
                (shortcut.weights[o][None], tensors[shortcut.source], 2**shortcut.exponent)
            )
        for taps, tensor, scale in kernels:
            for tap in taps:
                for group in tap.reshape(-1, tensor.group_size):
                    terms.append([int(w) * v * scale for w in group for v in (0, tensor.maximum)])
        terms.append([0, int(layer.bias[o])])
        if layer.identity is not None:
            maximum = tensors[layer.identity.source].maximum
            terms.append([int(layer.identity.factor[o]) * v for v in (0, maximum)])
        low = min(low, sum(min(0, *term) for term in terms))
        high = max(high, sum(max(0, *term) for term in terms))
    return low, high


@given(network=networks())
def test_bound_equals_brute_force(network):
    for layer in network.convs:
        assert accumulator_bound(layer, network.tensors) == brute_force(layer, network.tensors)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("group_size", [1, 2, 3])
def test_bound_is_attained(seed, group_size):
    """The frame made of each group's best winner reaches the bound exactly."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-8, 8, (1, 2, 2, 6))
    source = Tensor(height=2, width=2, channels=6, group_size=group_size, maximum=15)
    layer = conv(
        weights=weights,
        padding=(0, 0, 0, 0),
        bias=np.array([rng.integers(-50, 50)]),
        multiplier=np.ones(1, int),
        shift=np.ones(1, int),
        group_size=1,
    )
    bias = int(layer.bias[0])
    low, high = accumulator_bound(layer, [source])
    grouped = weights.reshape(2, 2, -1, group_size)
    for sign, bound in ((1, high - max(bias, 0)), (-1, low - min(bias, 0))):
        winner = (sign * grouped).argmax(axis=3)
        value = np.where((sign * grouped).max(axis=3) > 0, 15, 0)
        records = oracle.Records(value[None], np.where(value > 0, winner, 0)[None])
        assert oracle.accumulate(layer, [records]).item() == bound + bias


def test_every_sum_lies_within_the_bound():
    for seed in range(30):
        network = random_network(seed)
        tensors = network.tensors
        rng = np.random.default_rng(seed)
        records = []
        for tensor in tensors:  # any records, not only those that a frame can reach
            shape = (2, tensor.height, tensor.width, tensor.groups)
            value = rng.choice([0, tensor.maximum], shape)
            winner = np.where(value > 0, rng.integers(0, tensor.group_size, shape), 0)
            records.append(oracle.Records(value, winner))
        for layer in network.convs:
            low, high = accumulator_bound(layer, tensors)
            total = oracle.accumulate(layer, records)
            assert low <= total.min() and total.max() <= high
