"""A bad line between host tool and simulated board: it recovers within one time-out, and what the
client accepts is always right."""

import random

import numpy as np
import pytest

from firmware.client import Device
from firmware.frames import request
from firmware.link import Link, NoAnswer
from firmware.ports import SIMULATED_SLOWNESS, open_serial
from firmware.protocol import Command, Counter
from hw.register_map import REGISTER_MAP
from hw.soc.accelerator_registers import IDENTITY
from tests.system.helpers import BAUD, Session, coloured, logits_of
from tests.system.noise import FAULTS, NoisyPort

IMAGES = [coloured(name, seed) for seed, name in enumerate(("red", "green", "blue"))]


@pytest.fixture
def quiet(board, image):
    """The board anew, with nothing learned; no text of the stand-alone mode between its answers."""
    board.restart(image)
    return board


def link_over(port, *, tries=20):
    """A link that does not wait long: a reply takes 0.05 to 0.3 s of simulation."""
    return Link(port, baud=BAUD, timeout=0.5, tries=tries)


def check_some(device, network):
    """Requests whose answer is known."""
    decisions = list(device.classify([image.tobytes() for image in IMAGES]))
    logits = logits_of(network, IMAGES)
    assert [one.logits for one in decisions] == logits.tolist()
    assert [one.decision for one in decisions] == np.argmax(logits, 1).tolist()
    assert device.class_names() == list(network.classes)
    assert device.read(0, 1) == [IDENTITY]
    assert device.info.network_hash == network.sha256


def answers_at_once(session):
    """INFO within one time-out, by a link that knows nothing of what was before."""
    link = Link(session.port, baud=BAUD, slowness=SIMULATED_SLOWNESS, tries=1)
    device = Device(link)
    assert link.repeats == 0
    return device


@pytest.mark.parametrize("fault", FAULTS)
def test_noise(quiet, network, fault):
    """With a fault every 300 bytes or so, all requests get their right answer in the end."""
    port = NoisyPort(quiet.port, fault, seed=5, rarity=300)
    link = link_over(port)
    check_some(Device(link), network)
    assert port.faults >= 2
    answers_at_once(quiet)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fault", FAULTS)
def test_much_noise(quiet, network, fault, seed):
    port = NoisyPort(quiet.port, fault, seed=seed, rarity=100)
    device = Device(link_over(port, tries=60))
    for _ in range(8):
        check_some(device, network)
        device.read_info()
    assert port.faults >= 20
    answers_at_once(quiet)


def test_noise_between_frames(quiet, network):
    """Random bytes while nobody asks: the next request is answered at once."""
    rng = random.Random(3)
    for size in (1, 20, 400):
        quiet.port.write(rng.randbytes(size))
        answers_at_once(quiet)
    check_some(quiet.device(), network)


def test_a_lost_reply_learns_once(quiet):
    """The request is sent again, and answered again, but executed once."""
    port = NoisyPort(quiet.port, "dropped", seed=1, rarity=1, directions=())
    device = Device(link_over(port))
    image = coloured("red").tobytes()
    write = port.write

    def lose_the_reply(data):
        port.directions = () if port.directions or device.link.repeats else ("in",)
        return write(data)

    port.write = lose_the_reply
    [shown] = device.learn("x", [image])
    assert (shown.index, shown.images) == (0, 1)
    assert device.link.repeats >= 1
    port.write, port.directions = write, ()
    assert device.counters()[Counter.REPEATED] >= 1
    assert device.counters()[Counter.SAVES] == 1
    device.forget()


@pytest.mark.parametrize("divisor", [12, 4.5])
def test_wrong_rate_for_a_while(image, network, divisor):
    """The host sends at a half, and at four thirds, of the rate; then at the right one."""
    with Session(image) as session:
        session.device()
        session.board.set_divisor(divisor)
        link = Link(session.port, baud=BAUD, timeout=0.3, tries=3)
        with pytest.raises(NoAnswer):
            Device(link)
        session.wait(lambda status: status["queued"] == 0)
        session.board.set_divisor(0)
        check_some(answers_at_once(session), network)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_unplugged_in_a_frame(image, network, share):
    """The port closed in the middle of a request, and opened anew."""
    with Session(image) as session:
        device = session.device()
        line = bytearray()
        write = session.port.write
        session.port.write = line.extend
        device.link._start(device._request(Command.CLASSIFY, 0, IMAGES[0].tobytes()))
        session.port.write = write
        write(bytes(line[: int(share * len(line))]))
        session.wait(lambda status: status["queued"] == 0)
        session.port.close()
        session.port = open_serial(session.board.port, baud=BAUD)
        session.link = Link(session.port, baud=BAUD, slowness=SIMULATED_SLOWNESS, tries=1)
        device = session.device()
        assert session.link.repeats == 0
        check_some(device, network)


def test_flood(quiet, network):
    """More bytes at once than the FIFO holds, while the device works."""
    device = answers_at_once(quiet)
    before = device.counters()[Counter.OVERRUNS]
    learn = b"flooded".ljust(16, b"\0") + IMAGES[0].tobytes()
    quiet.send(Command.LEARN, 1, learn)  # saves: the device is busy for long
    quiet.port.write(random.Random(1).randbytes(3000))
    quiet.wait(lambda status: status["queued"] == 0)
    quiet.port.reset_input_buffer()
    device = Device(link_over(quiet.port))
    assert device.counters()[Counter.OVERRUNS] > before
    assert device.class_names(learned=True) == ["flooded"]
    check_some(answers_at_once(quiet), network)
    device.forget()


def test_a_host_that_does_not_read(quiet, network):
    """Replies pile up, as for a host that hangs; then they are told from what is asked now."""
    address = REGISTER_MAP.window("WEIGHTS").base.to_bytes(4, "little")
    for _ in range(25):
        quiet.port.write(
            request(Command.READ, 7, 32, address) + request(Command.READ, 8, 1, address)
        )
    quiet.wait(lambda status: status["queued"] == 0)
    link = Link(quiet.port, baud=BAUD, slowness=SIMULATED_SLOWNESS)
    check_some(Device(link), network)
    assert link.strays > 20
