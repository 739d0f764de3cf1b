"""Power that fails while learned classes are saved: after it there are the old ones or the new
ones, whole, and learning goes on. Cuts are counted in steps of the flash model: each byte that is
programmed, each 256 bytes that are erased; the step that comes then is left half done."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from firmware.layout import LEARNED_SLOTS, SECTOR_BYTES
from firmware.protocol import BootError, Command
from tests.system.helpers import (
    Learned,
    Session,
    coloured,
    features_of,
    flash_image,
    slot,
    slots,
)

PAGE = 256
SECTOR_STEPS = SECTOR_BYTES // PAGE
HEAD_BYTES = 24
PROBE = coloured("blue", 77)


def steps_of(network, learned) -> int:
    """Of a save: sectors erased, bytes programmed."""
    size = len(slot(network, 0, learned))
    return SECTOR_STEPS * -(-size // SECTOR_BYTES) + size


def label(text) -> bytes:
    return text.encode().ljust(16, b"\0")


def newest(network, flash) -> Learned:
    """What the flash holds, by this test's own reading of it."""
    found = [one for one in slots(network, flash) if one is not None]
    return max(found, key=lambda one: one[0])[1] if found else Learned()


def fail(session, steps, command, argument, data) -> None:
    """A command whose save comes to `steps` steps, no further."""
    session.board.cut_after(steps)
    session.send(command, argument, data)
    session.wait(lambda status: not status["powered"])


def after(session, network, plan, *states):
    """Power comes back: the device, and which of the states it is in. It decides accordingly."""
    device = session.restart()
    assert device.info.boot_error == BootError.NONE
    state = newest(network, session.board.flash())
    assert state in states
    assert device.class_names(learned=True) == state.labels
    if state.classes:
        [decision] = device.classify([PROBE.tobytes()], learned=True)
        assert decision.logits == state.logits(plan, features_of(network, [PROBE])[0])
    return device, state


class Learner:
    """A device that knows two labels, and loses its power again and again."""

    def __init__(self, session, network, plan, image):
        self.session, self.network, self.plan = session, network, plan
        self.images = [coloured(colour, seed) for seed in range(2) for colour in ("red", "green")]
        self.features = features_of(network, self.images)
        before = Learned().shown("one", self.features[0])
        self.state = before.shown("two", self.features[1])
        flash = bytearray(image)
        for start, sequence, state in zip(LEARNED_SLOTS, (3, 4), (before, self.state), strict=True):
            content = slot(network, sequence, state)
            flash[start : start + len(content)] = content
        self.device = session.restart(bytes(flash))
        assert self.device.class_names(learned=True) == ["one", "two"]

    def learn(self, text, number) -> None:
        """Show an image; saved, answered, and in the flash."""
        [step] = self.device.learn(text, [self.images[number].tobytes()])
        self.state = self.state.shown(text, self.features[number])
        assert step.images == self.state.classes[step.index][1]
        self.check()

    def forget(self, text) -> None:
        self.state = self.state.without(text)
        assert self.device.forget(text) == len(self.state.classes)
        self.check()

    def check(self) -> None:
        assert newest(self.network, self.session.board.flash()) == self.state

    def cut(self, steps) -> bool:
        """Power fails while "one" is shown a second image. Whether that is known afterwards. Then
        it is forgotten and learned anew, which takes both slots."""
        old, new = self.state, self.state.shown("one", self.features[3])
        probe = features_of(self.network, [PROBE])[0]
        assert old.logits(self.plan, probe) != new.logits(self.plan, probe)
        data = label("one") + self.images[3].tobytes()
        fail(self.session, steps, Command.LEARN, 1, data)
        self.device, self.state = after(self.session, self.network, self.plan, old, new)
        known = self.state == new
        self.forget("one")
        self.learn("one", 0)
        return known

    @property
    def steps(self) -> int:
        """Of the save in which the power fails."""
        return steps_of(self.network, self.state)


def boundaries(steps, class_bytes) -> list[int]:
    """Cuts where something begins or ends: erasing, head, classes, labels, counts, CRC-32."""
    data = SECTOR_STEPS
    first, second = data + HEAD_BYTES, data + HEAD_BYTES + class_bytes
    return [0, 1, data - 1, data, data + 1, data + 4, data + 16, first - 1, first, first + 16,
            first + 20, second - 1, second, steps - 5, steps - 4, steps - 1]  # fmt: skip


def test_power_fails_in_a_save(board, network, plan, image):
    """Where parts of the slot begin and end. Nothing new is known before the last byte is."""
    learner = Learner(board, network, plan, image)
    steps = learner.steps
    for cut in boundaries(steps, 16 + 4 + 4 * plan.features):
        known = learner.cut(cut)
        assert cut == steps - 1 or not known, cut
    # One step later the power does not fail any more.
    before = board.board.status()["steps"]
    board.board.cut_after(steps)
    learner.learn("one", 3)
    assert board.board.status()["steps"] == before + steps
    assert board.board.status()["powered"]


@pytest.mark.slow
def test_power_fails_at_each_byte(network, plan, image):
    """Of a save of two classes, and at each step of the erasing before it."""

    def run(first):
        with Session(image) as session:
            learner = Learner(session, network, plan, image)
            steps = learner.steps
            for cut in range(first, steps, 2):
                known = learner.cut(cut)
                assert cut == steps - 1 or not known, cut
            return steps

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(run, range(2)))
    assert done[0] == done[1] == SECTOR_STEPS + HEAD_BYTES + 2 * (20 + 4 * plan.features) + 4


@pytest.mark.parametrize("cut", [0, 9, SECTOR_STEPS + 12, "last"])
def test_power_fails_in_the_first_save(board, network, plan, image, cut):
    """There is nothing old: nothing, or the new class."""
    shown = coloured("red")
    new = Learned().shown("first", features_of(network, [shown])[0])
    cut = steps_of(network, new) - 1 if cut == "last" else cut
    board.restart(image)
    fail(board, cut, Command.LEARN, 1, label("first") + shown.tobytes())
    device, state = after(board, network, plan, Learned(), new)
    [step] = device.learn("first", [shown.tobytes()])
    assert step.images == (2 if state == new else 1)
    assert newest(network, board.board.flash()) == state.shown(
        "first", features_of(network, [shown])[0]
    )


@pytest.mark.parametrize("cut", [5, SECTOR_STEPS + 30])
def test_power_fails_in_forget(board, network, plan, image, cut):
    learner = Learner(board, network, plan, image)
    old, new = learner.state, learner.state.without("one")
    fail(board, cut, Command.FORGET, 0, label("one"))
    device, state = after(board, network, plan, old, new)
    assert state == old
    assert device.forget("one") == 1
    assert after(board, network, plan, new)


def test_power_is_switched_off_while_the_flash_is_busy(network, plan, image):
    """With the data sheet's typical times: of a sector a part is erased, of a page one written."""
    with Session(image, timing="typical") as session:
        for what, delay in (("erases", 0), ("erases", 0.01), ("programs", 0)):
            learner = Learner(session, network, plan, image)
            old, new = learner.state, learner.state.shown("two", learner.features[3])
            before = session.board.status()[what]
            session.send(Command.LEARN, 1, label("two") + learner.images[3].tobytes())
            session.wait(lambda status, what=what, before=before: status[what] > before)
            time.sleep(delay)
            session.board.power_off()
            after(session, network, plan, old, new)


@pytest.mark.slow
def test_power_fails_at_random(board, network, plan, image):
    """Again and again, with nothing saved in between; commands of all kinds."""
    rng = random.Random(4)
    learner = Learner(board, network, plan, image)
    state, seen = learner.state, set()
    for _ in range(80):
        number = rng.randrange(len(learner.images))
        text = rng.choice(("one", "two", "three"))
        if rng.random() < 0.3 and text in state.labels:
            new, request = state.without(text), (Command.FORGET, 0, label(text))
        else:
            new = state.shown(text, learner.features[number])
            request = (Command.LEARN, 1, label(text) + learner.images[number].tobytes())
        steps = steps_of(network, new)
        cut = rng.choice((rng.randrange(steps), steps - 1))
        fail(board, cut, *request)
        _, found = after(board, network, plan, state, new)
        seen.add(found == new)
        state = found
    assert seen == {False, True}


# --- more than a page, more than a sector ---------------------------------------------------------


CLASSES = 16


@pytest.fixture(scope="module")
def large(wide_network, firmware):
    """A flash whose slots have 16 classes of 64 features each: 18 pages, two sectors."""
    rng = random.Random(8)
    features = wide_network.classifier.weights.shape[1]
    states = [Learned()]
    for count in (1, 2):
        classes = tuple(
            (f"class {number}", count, tuple(rng.randrange(count * 60) for _ in range(features)))
            for number in range(CLASSES)
        )
        states.append(Learned(classes))
    flash = bytearray(flash_image(wide_network, firmware))
    for start, sequence, state in zip(LEARNED_SLOTS, (6, 7), states[1:], strict=True):
        content = slot(wide_network, sequence, state)
        flash[start : start + len(content)] = content
    return bytes(flash), states[2]


def cut_large(session, network, large, cut, *, again):
    """Power fails while the newest of 16 classes is shown another image."""
    flash, old = large
    shown = coloured("red", 5)
    new = old.shown("class 15", features_of(network, [shown])[0])
    request = Command.LEARN, 1, label("class 15") + shown.tobytes()
    assert session.restart(flash).info.learned == CLASSES
    fail(session, cut, *request)
    device = session.restart()
    state = newest(network, session.board.flash())
    assert state in (old, new)
    assert state == old or cut == steps_of(network, new) - 1
    assert (device.info.boot_error, device.info.learned) == (BootError.NONE, CLASSES)
    assert device.class_names(learned=True) == state.labels
    if again:
        [step] = device.learn("class 15", [shown.tobytes()])
        assert (step.index, step.images) == (15, 3)
        assert newest(network, session.board.flash()) == new


@pytest.mark.parametrize(
    "cut",
    [
        SECTOR_STEPS,  # one sector erased
        2 * SECTOR_STEPS + PAGE,  # one page written
        2 * SECTOR_STEPS + SECTOR_BYTES,  # one sector written
    ],
)
def test_power_fails_in_a_large_save(board, wide_network, large, cut):
    cut_large(board, wide_network, large, cut, again=cut == SECTOR_STEPS)


@pytest.mark.slow
def test_power_fails_at_each_page(board, wide_network, large):
    """In the last byte before each boundary of pages and sectors, and in the first one behind."""
    _, old = large
    steps = steps_of(wide_network, old)
    written = 2 * SECTOR_STEPS
    bounds = [1, SECTOR_STEPS, *range(written, steps, PAGE), steps]
    for bound in bounds:
        for cut in (bound - 1, bound):
            if cut < steps:
                again = cut in (bounds[1], bounds[-1] - 1)
                cut_large(board, wide_network, large, cut, again=again)
