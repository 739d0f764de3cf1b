"""From the flash image to decisions: firmware, RTL and host tool together, and against torch."""

import json
import re
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from benchmarks import images as benchmark
from firmware.__main__ import main
from firmware.client import Device, Refusal
from firmware.drawings import drawings
from firmware.layout import Head, Section
from firmware.link import Link, Request
from firmware.protocol import BootError, Command, Counter, Status
from hw.compile.heads import make_device_plan
from hw.register_map import REGISTER_MAP
from model import zoo
from model.network import load
from tests.system.helpers import (
    BAUD,
    CAPABILITY,
    GREEN,
    Learned,
    Session,
    coloured,
    cycles_of,
    damaged,
    features_of,
    flash_image,
    logits_of,
    place,
    signed,
)
from tests.system.noise import NoisyPort

CLOCK_HZ = 36_000_000
COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def default():
    """The network that boards get unless the user names another."""
    return load(zoo.find(None))


@pytest.fixture(scope="module")
def pictures(default):
    """Six images that the flash does not hold: two of each kind of noise."""
    rng = np.random.default_rng(11)
    shape = default.input_shape
    flat = [np.full(shape, colour) + rng.integers(0, 40, shape) for colour in (20, 200)]
    ramp = np.linspace(0, 215, shape[1]).astype(int)[None, :, None] + rng.integers(0, 40, shape)
    noise = [rng.integers(0, 256, shape) for _ in range(2)]
    images = [flat[0], ramp, noise[0], flat[1], ramp[:, ::-1], noise[1]]
    return [image.astype(np.uint8) for image in images]


@pytest.fixture
def folder(tmp_path):
    """A picture file of each colour."""
    for number, colour in enumerate(COLOURS):
        Image.fromarray(coloured(colour, number)).save(tmp_path / f"{colour}.png")
    return tmp_path


def test_default_network(default, pictures, firmware):
    """The whole story: starts alone, classifies, learns, loses its power, still knows."""
    plan = make_device_plan(default, CAPABILITY)
    demo = [np.frombuffer(one, np.uint8).reshape(default.input_shape) for one in drawings(default)]
    labels = {"fog": pictures[0:2], "Überℓ": pictures[2:4]}
    features = features_of(default, pictures)
    learned = Learned()

    with Session(flash_image(default, firmware, demo[:2])) as session:
        # Nobody asks: after the self-test it shows its own images.
        session.listen("image 1: ")
        first_decision = session.board.status()["since_start"]
        assert first_decision <= CLOCK_HZ  # the target is one second
        golden = min(4, len(default.golden.images))
        assert session.lines[0].endswith(
            f" {default.name}, self-test: {golden} of {golden} vectors equal"
        )
        shown = logits_of(default, demo[:1])[0].argmax()
        [cycles] = cycles_of(plan, Head.CLASSES, demo[:1])
        assert f"image 1: {default.classes[shown]}, {cycles} cycles" in session.lines
        session.wait(lambda status: status["leds"] == GREEN | shown << 2)

        device = session.device()
        assert (device.info.network_hash, device.info.network_name) == (
            default.sha256,
            default.name,
        )
        assert device.info.boot_error == BootError.NONE and device.info.boot_copy == 0
        assert device.info.selftest_equal == device.info.selftest_vectors == golden
        assert device.info.image_shape == default.input_shape
        assert device.info.features == plan.features and device.info.learned == 0
        assert device.class_names() == list(default.classes)

        expected = logits_of(default, pictures[:3])
        cycles = cycles_of(plan, Head.CLASSES, pictures[:3])
        for decision, logits, taken in zip(
            device.classify(each(pictures[:3])), expected, cycles, strict=True
        ):
            assert decision.logits == logits.tolist()
            assert decision.decision == logits.argmax()
            assert decision.cycles == taken < plan.cycles[Head.CLASSES]
        assert len({tuple(one) for one in expected.tolist()}) == 3
        [found] = device.features(each(pictures[:1]))
        assert found.features == features[0].tolist()
        assert [found.cycles] == cycles_of(plan, Head.FEATURES, pictures[:1])

        with pytest.raises(Refusal) as refused:
            list(device.classify(each(pictures[:1]), learned=True))
        assert refused.value.reply.status == Status.NOTHING_LEARNED
        for label, images in labels.items():
            for step, image in zip(device.learn(label, each(images)), images, strict=True):
                learned = learned.shown(label, features_of(default, [image])[0])
                assert step.images == learned.classes[step.index][1]
        assert device.class_names(learned=False) == list(default.classes)
        decisions = few_shot(device, plan, learned, pictures, features)
        content = session.board.flash()

    with Session(content) as session:  # another process: nothing but the flash is the same
        device = session.device()
        assert device.info.learned == 2
        assert device.class_names(learned=True) == list(labels)
        assert few_shot(device, plan, learned, pictures[4:], features[4:]) == decisions[4:]


def each(images):
    return [image.tobytes() for image in images]


def few_shot(device, plan, learned, images, features):
    """Classify among the learned classes, and compare; the decisions."""
    decisions = list(device.classify(each(images), learned=True))
    cycles = cycles_of(plan, Head.LEARNED, images)
    for decision, one, taken in zip(decisions, features, cycles, strict=True):
        logits = learned.logits(plan, one)
        assert decision.logits == logits
        assert decision.decision == logits.index(max(logits))
        assert decision.cycles == taken
    return decisions


def test_targets(default, firmware):
    """Frames a second within 2 % of the plan; a class within transfer, inference and 5 ms."""
    plan = make_device_plan(default, CAPABILITY)
    shown = drawings(default)[:2]
    images = [np.frombuffer(one, np.uint8).reshape(default.input_shape) for one in shown]
    with Session(flash_image(default, firmware)) as session:
        device = session.device()
        for picture, cycles in zip(shown, cycles_of(plan, Head.CLASSES, images), strict=True):
            sent = session.board.status()["bytes_in"]
            next(device.classify([picture]))
            status = session.board.status()
            # All bytes of request and reply at the line's rate; what is behind the last byte of the
            # request is the inference, the firmware's work and the reply.
            transfer = (status["bytes_in"] - sent) * 10 * CLOCK_HZ / BAUD
            assert transfer > 10 * len(picture) * CLOCK_HZ / BAUD
            reply = status["last_out"] - status["last_in"]
            assert cycles < reply <= cycles + 0.005 * CLOCK_HZ
            bench = device.bench(5)  # of the image that is there
            assert bench.frame_cycles == cycles
            assert 5 * cycles <= bench.cycles <= 1.02 * 5 * cycles


def test_the_next_image_comes_during_a_frame(default, pictures, firmware):
    """Many pictures, two under way: as one after the other, in less time; also on a bad line."""
    images = [*pictures, *(255 - picture for picture in pictures)]
    expected = logits_of(default, images).tolist()
    with Session(flash_image(default, firmware)) as session:
        device = session.device()
        assert device.info.window == 2
        times = {}
        for window in (1, 2):
            ends, logits = [], []
            for decision in device.classify(each(images), window=window):
                ends.append(session.board.status()["last_out"])
                logits.append(decision.logits)
            assert logits == expected
            times[window] = np.median(np.diff(ends))
        # A frame, or an image on the line if that takes longer, and the firmware's answer.
        frame = max(cycles_of(make_device_plan(default, CAPABILITY), Head.CLASSES, images))
        line = 10 * len(images[0].tobytes()) * CLOCK_HZ / BAUD
        assert times[2] < max(frame, line) + 0.004 * CLOCK_HZ < times[1]
        counted = device.counters()
        for none in (Counter.OVERRUNS, Counter.CUT, Counter.DAMAGED, Counter.REPEATED):
            assert counted[none] == 0
        assert session.link.repeats == 0

        port = NoisyPort(session.port, "a bit flipped", seed=9, rarity=7000)
        link = Link(port, baud=BAUD, timeout=1, tries=20)
        noisy = Device(link)
        assert [one.logits for one in noisy.classify(each(images[:8]))] == expected[:8]
        assert link.repeats > 0 and port.faults > 1


def test_benchmark_with_too_few_images(capsys):
    with pytest.raises(SystemExit) as caught:
        benchmark.main(["--images", "3"])
    assert caught.value.code == 2
    assert "Images must be at least 4, not 3" in capsys.readouterr().err


# --- every command, on a network that is quickly done ---------------------------------------------


def test_every_command(board, network, plan, image):
    device = board.restart(image)
    images = [coloured(colour, seed) for colour in COLOURS for seed in (1, 2)]
    expected = logits_of(network, images)
    decisions = list(device.classify(each(images), window=2))
    assert [one.logits for one in decisions] == expected.tolist()
    assert [one.decision for one in decisions] == [0, 0, 1, 1, 2, 2]
    assert [one.cycles for one in decisions] == cycles_of(plan, Head.CLASSES, images)
    features = features_of(network, images)
    assert [one.features for one in device.features(each(images))] == features.tolist()

    tested = device.self_test()
    slowest = max(cycles_of(plan, Head.CLASSES, network.golden.images[:2]))
    assert (tested.equal, tested.vectors, tested.cycles) == (2, 2, slowest)
    bench = device.bench(100)
    assert bench.frames == 100  # of the image that is there, the self-test's last one
    assert [bench.frame_cycles] == cycles_of(plan, Head.CLASSES, network.golden.images[1:2])
    assert bench.cycles >= 100 * bench.frame_cycles

    # Both labels' images in turn, only the last one saved; then a third, saved at once.
    learned = Learned()
    for at, label, save in [(0, "warm", 0), (2, "cold", 0), (1, "warm", 0), (4, "cold", 1)]:
        data = label.encode().ljust(16, b"\0") + images[at].tobytes()
        reply = device.link.ask(Request(command=Command.LEARN, argument=save, data=data))
        assert reply.status == Status.OK
        learned = learned.shown(label, features[at])
        few_shot(device, plan, learned, images[5:], features[5:])
    [step] = device.learn("new", [images[3].tobytes()])
    assert (step.index, step.images) == (2, 1)
    learned = learned.shown("new", features[3])
    few_shot(device, plan, learned, images, features)
    # The network's own classifier is still what it was.
    assert [one.logits for one in device.classify(each(images))] == expected.tolist()

    assert device.forget("warm") == 2
    learned = learned.without("warm")
    few_shot(device, plan, learned, images, features)
    counted = device.counters()
    assert counted[Counter.SAVES] == 3
    assert counted[Counter.REPEATED] == counted[Counter.DAMAGED] == counted[Counter.CUT] == 0
    assert counted[Counter.OVERRUNS] == 0 and counted[Counter.REQUESTS] > 30

    device = board.restart()
    assert device.class_names(learned=True) == ["cold", "new"]
    few_shot(device, plan, learned, images[:2], features[:2])
    assert device.counters()[Counter.REQUESTS] == 5 + 1  # INFO, INFO and NAMES, two pictures; this
    assert device.forget() == 0
    device = board.restart()
    assert device.info.learned == 0
    with pytest.raises(Refusal) as refused:
        device.forget("cold")
    assert refused.value.reply.status == Status.UNKNOWN_LABEL


def test_bus_and_reset(board, network, plan, image):
    """Debugging: what READ and WRITE reach is the plan's, and a fault put in there is found."""
    device = board.restart(image)
    version = REGISTER_MAP.register("VERSION").offset
    assert device.read(version, 1) == [REGISTER_MAP.version]
    weights = REGISTER_MAP.window("WEIGHTS").base
    words = [int(word) for word in plan.weights]
    assert device.read(weights, len(words)) == words
    shown = coloured("red", 1)
    # Every weight 0: what is left is the biases.
    device.write(weights, [0] * len(words))
    [decision] = device.classify([shown.tobytes()])
    assert decision.logits == network.classifier.bias.tolist()
    # SELF_TEST loads the network from flash anew.
    assert device.self_test().passed
    [decision] = device.classify([shown.tobytes()])
    assert decision.logits == logits_of(network, [shown])[0].tolist()
    board.lines.clear()
    info = device.reset()
    assert info.ready and device.counters()[Counter.REQUESTS] == 2
    assert network.name in board.banner and "!" not in "".join(board.lines)


@pytest.mark.slow
def test_lights(board, image):
    """Green: it serves all requests; the class stands in the other three. Four times a second,
    which is 9 million cycles."""
    device = board.restart(image)
    for number, colour in enumerate(COLOURS):
        next(device.classify([coloured(colour).tobytes()]))
        lights = {0: 0, 1: 4, 2: 8}[number] | GREEN
        board.wait(lambda status, lights=lights: status["leds"] == lights)


@pytest.mark.slow
def test_stand_alone_mode_by_button(board, network, image):
    """The first request ends it, the button begins it again."""
    device = board.restart(image)
    board.board.press(0)
    try:
        board.listen("image 1: green")
        board.listen("image 2: red")
    finally:
        board.board.release(0)
    shown = coloured("blue")
    [decision] = device.classify([shown.tobytes()])
    assert decision.logits == logits_of(network, [shown])[0].tolist()


def tool(board, folder, *words):
    """The host tool as a program of its own: exit status, what it prints, what it complains."""
    done = subprocess.run(
        [sys.executable, "-m", "firmware", "--port", board.board.port, *words],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_program(board, network, image, folder, capsys):
    """`python -m firmware`, at the simulated board's terminal; then each of its commands."""
    board.restart(image)
    board.port.close()  # another program has the port now
    try:
        status, out, err = tool(board, folder, "info", "--json")
        told = json.loads(out)
        assert (status, err) == (0, "")
        assert told["network"]["sha256"] == network.sha256
        assert told["self_test"] == {"equal": 2, "vectors": 2} and told["boot"]["error"] == "NONE"
        status, out, err = tool(board, folder, "classify", "blue.png", "red.png")
        assert (status, err) == (0, "")
        assert re.search(r"blue\.png +2 blue\b", out) and re.search(r"red\.png +0 red\b", out)

        def run(*words):
            status = main(["--port", board.board.port, "--json", *map(str, words)])
            answer = capsys.readouterr()
            assert answer.err == ""
            return status, json.loads(answer.out)

        status, told = run("classify", folder)
        shown = [coloured(one, COLOURS.index(one)) for one in ("blue", "green", "red")]
        assert [one["logits"] for one in told["images"]] == logits_of(network, shown).tolist()
        status, told = run("features", folder / "red.png")
        assert told["images"][0]["features"] == features_of(network, shown[2:])[0].tolist()
        for label, name in (("warm", "red"), ("cold", "blue")):
            status, told = run("learn", label, folder / f"{name}.png")
            assert status == 0 and told["images_in_all"] == 1
        assert told["learned"] == ["warm", "cold"]
        status, told = run("classify", "--few-shot", folder / "red.png", folder / "blue.png")
        assert [one["name"] for one in told["images"]] == ["warm", "cold"]
        status, told = run("forget", "warm")
        assert (status, told["learned"]) == (0, ["cold"])
        assert run("self-test")[1]["passed"]
        status, told = run("bench", "--frames", "20", "--round-trips", "2")
        assert told["frames"] == 20 and told["round_trips"] == 2 and told["repeats"] == 0
        assert run("counters")[1]["counters"]["saves"] == 3
        status, told = run("peek", "VERSION")
        assert told["words"][0]["word"] == REGISTER_MAP.version
        run("poke", "LEDS", "0x10")
        status, told = run("reset")
        assert (status, told["learned"]) == (0, ["cold"])
    finally:
        board.port.open()


def test_port_sim(network, image, tmp_path):
    """No board and no terminal named: the program starts a simulated board on an image."""
    file = tmp_path / "flash.bin"
    file.write_bytes(image)
    done = subprocess.run(
        [sys.executable, "-m", "firmware", "--port", "sim", "--flash", file, "info", "--json"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert json.loads(done.stdout)["network"]["sha256"] == network.sha256


# --- that all this is real ------------------------------------------------------------------------


def test_one_bit_of_a_weight_in_flash(board, network, image):
    """It is an error on the UART and in INFO, and nothing is classified."""
    device = board.restart(damaged(image, place(image, Section.WEIGHTS).start))
    assert device.info.boot_error == BootError.WEIGHTS and not device.info.ready
    assert board.banner.endswith(", error 5: weights")
    with pytest.raises(Refusal) as refused:
        next(device.classify([coloured("red").tobytes()]))
    assert refused.value.reply.status == Status.NOT_READY
    assert refused.value.reply.boot_error == BootError.WEIGHTS
    assert not board.board.leds & GREEN
    assert board.restart(image).info.boot_error == BootError.NONE


def test_one_weight_that_the_directory_vouches_for(board, plan, image):
    """Its CRC-32 is right: then it is the golden vectors that notice."""
    where = place(image, Section.WEIGHTS)
    own = plan.plans[Head.CLASSES].layers[-1].entry.weights
    changed = bytearray(image)
    # The lowest bit of the classifier's first weight.
    changed[where.start + 4 * CAPABILITY.bus_words_per_weight_word * own] ^= 1
    crc = zlib.crc32(changed[where.start : where.stop])
    device = board.restart(signed(bytes(changed), entries={(Section.WEIGHTS, "crc"): crc}))
    assert device.info.boot_error == BootError.SELF_TEST
    assert device.info.selftest_vectors == 2 and device.info.selftest_equal < 2
    with pytest.raises(Refusal) as refused:
        next(device.classify([coloured("red").tobytes()]))
    assert refused.value.reply.boot_error == BootError.SELF_TEST


def one_adder(verilog):
    """The first adder of the array becomes a subtractor."""
    pattern = r"(module \\soc\.device\.engine\.array[^+]*?assign [^;]*?) \+ "
    verilog, count = re.subn(pattern, r"\1 - ", verilog, count=1)
    assert count == 1, f"no {pattern} in the Verilog"
    return verilog


def test_one_adder_of_the_engine(image):
    """The self-test fails, at the start and when asked for, and nothing is classified."""
    with Session(image, edit=one_adder) as session:
        device = session.device()
        assert device.info.boot_error == BootError.SELF_TEST
        assert device.info.selftest_vectors == 2 and device.info.selftest_equal < 2
        assert session.banner.endswith(
            f"self-test: {device.info.selftest_equal} of 2 vectors equal, error 9: self test"
        )
        tested = device.self_test()
        assert not tested.passed and tested.vectors == 2
        with pytest.raises(Refusal) as refused:
            next(device.classify([coloured("red").tobytes()]))
        assert refused.value.reply.status == Status.NOT_READY
        assert refused.value.reply.boot_error == BootError.SELF_TEST
        assert not session.board.leds & GREEN
