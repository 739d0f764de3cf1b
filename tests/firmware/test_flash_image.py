"""The flash image: where everything lies, by a reader of its own; and each thing that is wrong."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.drawings import drawings
from firmware.flash_image import FlashImageError, make_flash_image, parse
from firmware.layout import DIRECTORY_WORDS, ENTRY_WORDS, FORMAT_VERSION, Section
from hw.boards import find_board
from hw.bus.registers import version_text
from hw.compile.heads import make_device_plan
from hw.register_map import REGISTER_MAP, constant_words
from hw.soc.addresses import firmware_copy
from model import zoo
from model.common.errors import UserError
from model.common.invocation import command
from model.network import Conv, load, save
from sim.networks import Limits
from tests.bitstreams import bitstream
from tests.sim.helpers import GENERIC, fitting, with_golden

BOARD = find_board("icebreaker").capability
BITSTREAM = bitstream()
COPY = firmware_copy(bytes(range(1, 200)) * 11)  # ends with its CRC-32
DOCUMENT = Path(__file__).parents[2] / "docs" / "flash-image.md"


@pytest.fixture(scope="module")
def default():
    return load(zoo.find(None))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A network of few bytes, whose images are no whole words."""
    limits = Limits(channels=16, layers=2, max_pixels=9)
    network = next(
        one
        for _, one in fitting(40, 0, GENERIC, limits)
        if np.prod(one.input_shape) % 4 and one.input_shape[2] == 3 and one.input_bits == 8
    )
    path = tmp_path_factory.mktemp("network") / "small.dham"
    return save(replace(with_golden(network, frames=6), name="small ℓ"), path)


@pytest.fixture(scope="module")
def image(small):
    return make(small)


def make(network, capability=GENERIC, **changes):
    values = {"bitstream": BITSTREAM, "copy": COPY, "demo": drawings(network)} | changes
    return make_flash_image(network=network, capability=capability, **values)


def words(data, first, count):
    return list(struct.unpack_from(f"<{count}I", data, first))


def signed(data, changes, entries=None):
    """The image with other words in its directory, and the right CRC-32 for them."""
    data = bytearray(data)
    size = words(data, 0x28008, 1)[0]
    for name, value in changes.items():
        struct.pack_into("<I", data, 0x28000 + 4 * DIRECTORY_WORDS.index(name), value)
    for (section, name), value in (entries or {}).items():
        place = len(DIRECTORY_WORDS) + 5 * (section - 1) + ENTRY_WORDS.index(name)
        struct.pack_into("<I", data, 0x28000 + 4 * place, value)
    end = 0x28000 + size - 4
    struct.pack_into("<I", data, end, zlib.crc32(data[0x28000:end]))
    return bytes(data)


def refused(data, capability=None):
    with pytest.raises(FlashImageError) as caught:
        parse(data, capability)
    return str(caught.value)


# --- where everything lies ----------------------------------------------------------------------


def test_read_by_the_document_alone(default):
    """Addresses and order as `docs/flash-image.md` has them, typed out here."""
    demo = drawings(default)
    data = make(default, BOARD).bytes
    plan = make_device_plan(default, BOARD)
    assert data[: len(BITSTREAM)] == BITSTREAM
    assert set(data[len(BITSTREAM) : 0x20000]) == {0xFF}
    for start in (0x20000, 0x24000):
        assert data[start : start + len(COPY)] == COPY
        assert set(data[start + len(COPY) : start + 0x4000]) == {0xFF}
    assert set(data[0x29000:0x30000]) == {0xFF}  # nothing is learned yet
    directory = words(data, 0x28000, 36 + 8 * 5 + 1)
    assert directory[-1] == zlib.crc32(data[0x28000 : 0x28000 + 4 * 76])
    assert directory[:4] == [0x464E5344, 2, 4 * 77, REGISTER_MAP.version]
    told = constant_words(capability=BOARD, clock_hz=36_000_000)
    names = list(told)
    registers = names[names.index("ARRAY") : names.index("LOGIT_WORDS") + 1]
    assert directory[4] == zlib.crc32(struct.pack("<10I", *(told[name] for name in registers)))
    assert data[0x28014:0x28034].hex() == default.sha256
    assert data[0x28034:0x28054] == b"dham8-up5k".ljust(32, b"\0")
    assert directory[21:36] == [
        3072, 32, 32, 3, 10, 96, 2, 240, 7, plan.learned_weights, plan.learned_parameters,
        2, 4, len(demo), 8,
    ]  # fmt: skip


def test_a_family_with_large_bitstreams(small):
    """All but the bitstream lies behind the family's offset, and is what it is without one."""
    capability = replace(GENERIC, family="ecp5")
    stream = b"\xff\x00\xff\xff\xbd\xb3" + bytes(0x21_0000) + b"\x5e\0\0\0\xff\xff\xff\xff"
    made = make(small, capability, bitstream=stream)
    assert made.bytes[: len(stream)] == stream
    assert set(made.bytes[len(stream) : 0x22_0000]) == {0xFF}
    plain = make(small)
    assert made.bytes[0x22_0000:0x22_8000] == plain.bytes[0x2_0000:0x2_8000]
    assert made.bytes[0x22_9000:] == plain.bytes[0x2_9000:]
    found = parse(made.bytes, capability)
    assert found.sections == plain.sections
    places = {part.name: part.offset for part in found.parts}
    assert places["Bitstream"] == 0 and len(stream) - 4 <= found.parts[0].size <= len(stream)
    assert places["Directory"] == 0x22_8000
    with pytest.raises(UserError, match="has 2228225 bytes, the flash has room for 2228224"):
        make(small, capability, bitstream=bytes(0x22_0001))
    assert refused(made.bytes).startswith("No directory at 0x28000")


def test_sections(default):
    demo = drawings(default)
    data = make(default, BOARD).bytes
    plan = make_device_plan(default, BOARD)
    entries = np.array(words(data, 0x28000 + 4 * len(DIRECTORY_WORDS), 40)).reshape(8, 5).tolist()
    assert [entry[0] for entry in entries] == [1, 2, 3, 4, 5, 6, 7, 8]
    windows = [REGISTER_MAP.window(name).base for name in ("WEIGHTS", "PARAMETERS", "LAYERS")]
    assert [entry[4] for entry in entries] == [*windows, 0, 0, 0, 0, 0]
    golden = default.golden
    contents = [
        plan.weights.tobytes(),
        plan.parameters.tobytes(),
        plan.layers.tobytes(),
        plan.heads.astype("<u4").tobytes(),
        golden.images[:4].tobytes(),
        golden.logits[:4].astype("<i4").tobytes(),
        b"".join(demo),
        b"".join(name.encode().ljust(16, b"\0") for name in default.classes),
    ]
    place = 0x30000
    for (_, offset, size, crc, _), content in zip(entries, contents, strict=True):
        assert offset == place and size == len(content) and size % 4 == 0
        assert data[offset : offset + size] == content
        assert crc == zlib.crc32(content)
        place = offset + -(-size // 4096) * 4096
        assert not data[offset + size : place].strip(b"\xff")
    assert len(data) == place


def test_images_that_are_no_whole_words(small, image):
    size = int(np.prod(small.input_shape))
    padded = size + -size % 4
    assert image.directory["image_bytes"] == padded > size
    assert image.directory["golden"] == 4  # of six
    golden = image.sections[Section.GOLDEN_IMAGES]
    assert golden[:padded] == small.golden.images[0].tobytes() + bytes(padded - size)
    assert (image.golden_images == small.golden.images[:4]).all()
    assert (image.golden_logits == small.golden.logits[:4]).all()
    assert [one.tobytes() for one in image.demo_images] == list(drawings(small))
    assert image.network_name == "small ℓ" and image.network_sha256 == small.sha256
    assert image.classes == small.classes


def test_same_input_same_bytes(small, image):
    again = make(small)
    assert again.bytes == image.bytes and again.parts == image.parts
    assert make(small, copy=firmware_copy(b"other")).bytes != image.bytes


def test_parts_tell_all_there_is(image):
    parts = {part.name: part for part in image.parts}
    assert [part.name for part in image.parts] == [
        "Bitstream", "Firmware, copy 1", "Firmware, copy 2", "Directory",
        "Learned classes, slot 1", "Learned classes, slot 2", "Weights", "Parameters", "Layers",
        "Heads", "Golden images", "Golden logits", "Demo images", "Names",
    ]  # fmt: skip
    for part in image.parts:
        size = part.size - 4 if part.name == "Directory" else part.size
        assert part.crc == zlib.crc32(image.bytes[part.offset : part.offset + size])
    assert parts["Bitstream"].size == len(BITSTREAM) + -len(BITSTREAM) % 4  # whole words
    assert parts["Firmware, copy 2"].size == len(COPY) == 8192
    assert parts["Learned classes, slot 1"].size == 0
    covered = bytearray(image.bytes)
    for part in image.parts:
        covered[part.offset : part.offset + part.size] = b"\xff" * part.size
    assert set(covered) == {0xFF}


def test_parse_is_the_inverse(small, image):
    found = parse(image.bytes, GENERIC)
    assert found.parts == image.parts and found.sections == image.sections
    assert found.directory == image.directory and found.classes == image.classes
    longer = parse(image.bytes + b"\xff" * 5000)  # as read from a flash
    assert longer.parts == image.parts


def test_no_bitstream_no_pictures(small):
    image = make(small, bitstream=None, demo=())
    assert image.parts[0].size == 0 and image.directory["demo"] == 0
    assert image.demo_images.shape == (0, *small.input_shape)
    entry = words(image.bytes, 0x28000 + 4 * (len(DIRECTORY_WORDS) + 30), 5)
    assert entry[0] == Section.DEMO_IMAGES and entry[2:] == [0, 0, 0]


def test_network_that_cannot_learn(small):
    image = make(small, replace(GENERIC, logit_words=8))
    assert image.directory["features"] == image.directory["learned_weights"] == 0
    assert image.why_not.startswith("Its classifier reads ") or "logit words" in image.why_not
    assert make(small).why_not == ""


@pytest.mark.parametrize(
    "name, shown",
    [
        ("fifteen letters", "fifteen letters"),
        ("sixteen letters!", "sixteen letters"),
        ("fourteen lett€rs", "fourteen lett"),  # the sign would end in byte 16
        ("ℓℓℓℓℓℓ", "ℓℓℓℓℓ"),
        ("two\nlines\0", "two?lines?"),
        ("half \ud83d", "half ?"),
        ("", ""),
    ],
)
def test_names_are_cut_between_characters(small, tmp_path, name, shown):
    network = replace(small, classes=(name, *small.classes[1:]), name=name * 4 or "x")
    image = make(network)
    assert image.classes[0] == shown and image.classes[1:] == small.classes[1:]
    assert len(image.sections[Section.NAMES]) == 16 * len(small.classes)
    assert len(image.network_name.encode()) <= 31


# --- what is refused ----------------------------------------------------------------------------


def test_inputs_that_do_not_fit(small):
    size = int(np.prod(small.input_shape))
    cases = [
        (
            {"bitstream": BITSTREAM.ljust(0x20001, b"\0")},
            "The bitstream has 131073 bytes, the flash has room for 131072",
        ),
        (
            {"bitstream": b"nothing"},
            "The bitstream is none of an iCE40: its first 1024 bytes lack 7eaa997e",
        ),
        (
            {"bitstream": b""},
            "The bitstream is none of an iCE40: its first 1024 bytes lack 7eaa997e",
        ),
        (
            {"bitstream": bitstream(awake=False)},
            "The bitstream puts the flash to sleep, so that the device could not read its "
            "firmware: pack it with `icepack -s`",
        ),
        ({"copy": COPY[:-4]}, "A copy of the firmware has 8192 bytes, not 8188"),
        ({"copy": bytes(512) + COPY}, "A copy of the firmware has 8192 bytes, not 8704"),
        (
            {"copy": COPY[:-1] + b"\0"},
            "The copy of the firmware is damaged: its last 4 bytes are not the CRC-32 of the "
            "others",
        ),
        ({"demo": [bytes(size)] * 65}, "65 demo pictures are too many: the flash holds at most 64"),
        (
            {"demo": [bytes(size), bytes(size - 1)]},
            f"Demo picture 1 has {size - 1} bytes, the network's input {size}",
        ),
    ]
    for changes, text in cases:
        with pytest.raises(UserError) as caught:
            make(small, **changes)
        assert str(caught.value) == text
    assert make(small, bitstream=BITSTREAM.ljust(0x20000, b"\0")).bytes
    assert len(make(small, demo=[bytes(size)] * 64).demo_images) == 64


def test_networks_that_cannot_be_checked(small):
    with pytest.raises(UserError) as caught:
        make(replace(small, golden=None))
    assert str(caught.value) == (
        "Network 'small ℓ' has no golden vectors to test the device with: make them with `python "
        "-m model.golden FILE --output FILE`"
    )
    with pytest.raises(ValueError) as caught:
        make(replace(small, sha256=None))
    assert str(caught.value) == "The network must come from its file, whose SHA-256 names it"


def test_dark_input(small):
    with pytest.raises(UserError) as caught:
        make(replace(small, input_bits=4), demo=[b"\x10" * int(np.prod(small.input_shape))])
    assert str(caught.value) == "Demo picture 0 has the value 16, the network's input goes to 15"


def test_larger_than_a_transfer(small):
    """A generic engine may have more weights than one DMA transfer moves."""
    kernel = np.ones((256, 5, 5, 3), int)
    first = Conv(
        name="a", source=0, weights=kernel, weight_bits=4, stride=1, padding=(2, 2, 2, 2),
        bias=np.zeros(256, int), multiplier=np.full(256, 64), shift=np.full(256, 16),
        group_size=16, activation_bits=4,
    )  # fmt: skip
    second = replace(first, name="b", source=1, weights=np.ones((256, 3, 3, 256), int),
                     padding=(1, 1, 1, 1))  # fmt: skip
    last = replace(small.classifier, source=2, weights=np.ones((len(small.classes), 256), int))
    network = replace(small, layers=(first, second, last))
    capability = replace(GENERIC, weight_words=65536, parameter_words=1024, activation_words=16384)
    with pytest.raises(UserError) as caught:
        make(network, capability)
    text = str(caught.value)
    assert text.startswith("Section WEIGHTS of ")
    assert text.endswith(" bytes cannot be loaded: the device moves at most 262140 at once")


def test_erased_and_foreign(image):
    erased = b"\xff" * len(image.bytes)
    nothing = "No directory at 0x28000: this is no flash image, or the flash is erased"
    assert refused(erased) == refused(bytes(0x30000)) == nothing
    assert refused(b"") == (
        "The flash image is truncated: it has 0 bytes, its network begins at 0x30000"
    )


def test_other_versions(image):
    again = command("firmware", "flash", "--board", "BOARD", "--image-only")
    anew = f"make it anew with `{again}`"
    renew = "renew this program with `pip install -U decisivenets`"
    ours, map_ = FORMAT_VERSION, REGISTER_MAP.version
    shown = version_text(map_)
    cases = [
        ("format_version", ours - 1, f"has format version {ours - 1}, older than", ours, anew),
        ("format_version", ours + 9, f"has format version {ours + 9}, newer than", ours, renew),
        ("map_version", 0x1_0007, "was made for register map 1.7, older than", shown, anew),
        ("map_version", map_ + 1, f"was made for register map {version_text(map_ + 1)}, newer than",
         shown, renew),
    ]  # fmt: skip
    for word, number, text, than, mend in cases:
        line = f"The flash image {text} this program's {than}: {mend}"
        assert refused(signed(image.bytes, {word: number})) == line
    assert refused(image.bytes, replace(GENERIC, lanes=8)) == (
        f"The flash image was made for hardware of another capability: {anew}"
    )


def test_truncated_anywhere(image):
    """At each sector's end, and a byte before and behind."""
    end = max(part.offset + part.size for part in image.parts)
    for cut in range(0, end, 4096):
        for size in (cut - 1, cut, cut + 1):
            if size >= 0:
                assert "truncated" in refused(image.bytes[:size])
    assert "Section NAMES is truncated: it ends at " in refused(image.bytes[: end - 1])
    assert parse(image.bytes[:end]).parts == image.parts


@pytest.mark.parametrize("section", Section)
def test_damaged_section(image, section):
    """Each of many bytes, each by one bit: the text names the section."""
    name = section.name.replace("_", " ").capitalize()
    part = next(one for one in image.parts if one.name == name)
    step = max(1, part.size // 40)
    for place in (*range(0, part.size, step), part.size - 1):
        data = bytearray(image.bytes)
        data[part.offset + place] ^= 1 << place % 8
        found = zlib.crc32(data[part.offset : part.offset + part.size])
        assert refused(bytes(data)) == (
            f"Section {section.name} is damaged: its CRC-32 is {found:08x}, the directory says "
            f"{part.crc:08x}"
        )


def test_damaged_directory(image):
    part = next(one for one in image.parts if one.name == "Directory")
    for place in range(part.size):
        data = bytearray(image.bytes)
        data[part.offset + place] ^= 1 << place % 8
        text = refused(bytes(data))
        if place >= 4:
            assert text == "The directory is damaged: its CRC-32 or its size is wrong"
        else:
            assert text.startswith("No directory")


def test_damaged_firmware(image):
    for place in (0x20000, 0x20100, 0x21FFF, 0x24300, 0x24000 + len(COPY) - 1):
        data = bytearray(image.bytes)
        data[place] ^= 0x10
        assert refused(bytes(data)) == (
            f"Copy {1 if place < 0x24000 else 2} of the firmware is damaged: its CRC-32 is wrong"
        )
    for place in (0x22000, 0x27FFF):
        data = bytearray(image.bytes)
        data[place] ^= 0x10
        assert refused(bytes(data)) == "The copies of the firmware differ"
    for number, start in ((1, 0x20000), (2, 0x24000)):
        data = bytearray(image.bytes)
        data[start : start + 0x4000] = b"\xff" * 0x4000
        assert refused(bytes(data)) == f"Copy {number} of the firmware is erased"


def test_unsound_directories(image):
    """With right checksums, as a writer with a defect would make them."""
    place = {part.name: part for part in image.parts}
    heads, names = place["Heads"], place["Names"]
    count = len(image.classes)
    cases = [
        ({"sections": 7}, {}, "The directory has 7 sections, not 8"),
        ({}, {(4, "kind"): 5}, "Section HEADS should be entry 3 of the directory"),
        (
            {},
            {(2, "offset"): 0x30000},
            f"Section PARAMETERS lies at 0x30000 with {place['Parameters'].size} bytes: it "
            "overlaps another part, or is not aligned",
        ),
        (
            {},
            {(1, "offset"): 0x2F000},
            f"Section WEIGHTS lies at 0x2f000 with {place['Weights'].size} bytes: it overlaps "
            "another part, or is not aligned",
        ),
        (
            {},
            {(8, "bytes"): names.size - 1},
            f"Section NAMES lies at {names.offset:#x} with {names.size - 1} bytes: it overlaps "
            "another part, or is not aligned",
        ),
        (
            {},
            {(8, "bytes"): 0xFFFFFFFC},
            f"Section NAMES is truncated: it ends at {names.offset + 0xFFFFFFFC:#x}, the flash "
            f"image at {len(image.bytes):#x}",
        ),
        (
            {},
            {(4, "target"): 0x200000},
            "Section HEADS would be copied to 0x200000, not to 0x0",
        ),
        (
            {},
            {(1, "target"): 0},
            "Section WEIGHTS would be copied to 0x0, not to 0x200000",
        ),
        ({"golden": 0}, {}, "There is no golden vector, or no class"),
        ({"classes": 0}, {}, "There is no golden vector, or no class"),
        ({"window": 0}, {}, "0 CLASSIFY requests under way at once: 1 or 2 are possible"),
        ({"window": 3}, {}, "3 CLASSIFY requests under way at once: 1 or 2 are possible"),
        (
            {"golden": 3},
            {},
            f"Section GOLDEN_IMAGES has {place['Golden images'].size} bytes, not "
            f"{3 * image.directory['image_bytes']}",
        ),
        (
            {"classes": count + 1},
            {},
            f"Section GOLDEN_LOGITS has {place['Golden logits'].size} bytes, not "
            f"{16 * (count + 1)}",
        ),
        (
            {"demo": 0},
            {},
            f"Section DEMO_IMAGES has {place['Demo images'].size} bytes, not 0",
        ),
        (
            {"classifier_layer": 0},
            {},
            f"Section LAYERS has {place['Layers'].size} bytes, not 128",
        ),
        (
            {},
            {(4, "bytes"): 256, (4, "crc"): zlib.crc32(image.sections[Section.HEADS][:256])},
            f"Section HEADS has 256 bytes, not {heads.size}",
        ),
        (
            {"image_height": 1},
            {},
            f"Images of 1 x {image.directory['image_width']} x 3 bytes do not take "
            f"{image.directory['image_bytes']}",
        ),
        (
            {"learned_weights": 0x200000 + place["Weights"].size},
            {},
            f"learned_weights is {0x200000 + place['Weights'].size:#x}: outside of what Section "
            "WEIGHTS fills",
        ),
        (
            {"learned_parameters": 4},
            {},
            "learned_parameters is 0x4: outside of what Section PARAMETERS fills",
        ),
        (
            {"features": 0},
            {},
            f"learned_weights is {image.directory['learned_weights']:#x}: outside of what Section "
            "WEIGHTS fills",
        ),
    ]
    for changes, entries, text in cases:
        assert refused(signed(image.bytes, changes, entries)) == text


def with_section(image, section, content):
    """The image with another content, of the same size, of a section; sound checksums."""
    data = bytearray(image.bytes)
    name = section.name.replace("_", " ").capitalize()
    part = next(one for one in image.parts if one.name == name)
    data[part.offset : part.offset + part.size] = content
    return signed(data, {}, {(section, "crc"): zlib.crc32(content)})


def test_unsound_contents(image):
    heads = bytearray(image.sections[Section.HEADS])
    heads[4] ^= 1
    assert refused(with_section(image, Section.HEADS, bytes(heads))) == (
        "The layer table does not end with the first of the heads"
    )
    names = b"\xc3\x28" + image.sections[Section.NAMES][2:]
    text = refused(with_section(image, Section.NAMES, names))
    assert text.startswith("The name of class 0 is not UTF-8: b'\\xc3(")
    place = DIRECTORY_WORDS.index("network_name0")
    text = refused(signed(image.bytes, {DIRECTORY_WORDS[place]: 0xFFFFFFFF}))
    assert text.startswith("The network's name is not UTF-8: ")


@given(data=st.data())
def test_anything_else_is_one_clear_line(image, data):
    """Words of the directory at random, with a right CRC-32: sound, or refused in one line."""
    edge = st.sampled_from([0, 1, 3, 4, 0x30000, 0x7FFFFFFF, 0xFFFFFFFF])
    value = st.one_of(edge, st.integers(0, 2**32 - 1))
    changes = data.draw(st.dictionaries(st.sampled_from(DIRECTORY_WORDS), value, max_size=3))
    keys = st.tuples(st.sampled_from(list(Section)), st.sampled_from(ENTRY_WORDS))
    entries = data.draw(st.dictionaries(keys, value, max_size=3))
    changes.pop("bytes", None)
    try:
        parse(signed(image.bytes, changes, entries))
    except FlashImageError as error:
        assert len(str(error).splitlines()) == 1


# --- the document -------------------------------------------------------------------------------


def test_document_names_everything():
    """The words of the directory in their order, the sections, the addresses."""
    text = DOCUMENT.read_text("utf-8")
    names = [
        word.rstrip("0") if word.startswith("network_") else word
        for word in DIRECTORY_WORDS
        if not word.startswith("network_") or word.endswith("0")
    ]
    rows = [f"| `{name}` |" for name in names]
    places = [text.find(row) for row in rows]
    assert -1 not in places, rows[places.index(-1)]
    assert places == sorted(places)
    for section in Section:
        assert f"| {int(section)} | {section.name} |" in text
    for address in ("0x00000", "0x20000", "0x24000", "0x28000", "0x29000", "0x2C000", "0x30000"):
        assert f"| {address} |" in text
