"""How a build treats its user: timed stages with progress, outputs that are never half there."""

import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.status import Status
from rich.text import Text

from model.common import heartbeat
from model.common.errors import UserError
from model.common.files import locked
from model.common.lookalikes import as_shown
from model.common.terminal import say, spinner

__all__ = ["Stage", "Stages", "Staging"]


class Stage:
    """One stage under way. `note` tells what it is doing; `result` is printed at its end."""

    def __init__(self, text: str, console: Console, status: Status | None):
        self.result = ""
        self._last = text
        self._text = text
        self._console = console
        self._status = status

    def note(self, line: str) -> None:
        """Tell the user what the stage is doing: beside the spinner, or as a line of its own."""
        if line == self._last:
            return
        self._last = line
        if self._status is None:
            say(self._console, f"  {line}")
        else:
            self._status.update(Text(as_shown(f"{self._text}: {line}", self._console.encoding)))

    def line(self, line: str) -> None:
        """Print a line that stays, wherever the user looks."""
        say(self._console, f"  {line}")


class Stages:
    """The stages of a build: `with stages("synthesis", "Synthesising") as stage:`.

    A terminal shows a spinner while a stage runs; elsewhere each stage prints plain lines.
    ``seconds`` holds what each finished stage took.
    """

    def __init__(self, console: Console):
        self.seconds: dict[str, float] = {}
        self._console = console
        self._current: Stage | None = None

    @contextlib.contextmanager
    def __call__(self, name: str, text: str) -> Iterator[Stage]:
        started = time.monotonic()
        terminal = self._console.is_terminal
        status = self._console.status(text, spinner=spinner(self._console)) if terminal else None
        if not terminal:
            say(self._console, f"{text} ...")
        stage = self._current = Stage(text, self._console, status)
        with heartbeat.quiet() if terminal else heartbeat.doing(lambda: "still at it"):
            with status or contextlib.nullcontext():
                yield stage
        self._current = None
        taken = self.seconds[name] = time.monotonic() - started
        result = f", {stage.result}" if stage.result else ""
        done = f"{text}: {taken:.1f} s{result}" if terminal else f"  done in {taken:.1f} s{result}"
        say(self._console, done)

    def note(self, line: str) -> None:
        """Tell something about the stage under way."""
        if self._current:
            self._current.note(line)
        else:
            say(self._console, line)

    def shout(self, line: str) -> None:
        """Print a warning that nobody overlooks."""
        say(self._console, f"\n*** {line} ***\n", style="bold red")


class Staging:
    """A folder within the output folder, whose files are moved into place if the block succeeds.

    If the block raises, what was in place stays, and the logs of the attempt are kept in the
    output folder's ``failed/logs``. Ctrl-C and SIGTERM keep nothing (under
    `model.common.errors.run_cli`).

    Raises `UserError` if another build works in the same output folder, or if that is no folder.
    """

    def __init__(self, output: Path):
        self.output = output
        self.failed = output / "failed"
        self._scratch: list[Path] = []

    def __enter__(self) -> "Staging":
        if self.output.exists() and not self.output.is_dir():
            raise UserError(f"--output must be a folder, but {self.output} is a file")
        self._made = not self.output.exists()
        # A build replaces its own `logs` and `failed`; such folders of somebody else's stay.
        foreign = (self.output / "logs").exists() and not (self.output / "report.json").exists()
        if self.failed.exists():
            foreign |= not self.failed.is_dir() or os.listdir(self.failed) != ["logs"]
        if foreign:
            raise UserError(
                f"{self.output.resolve()} holds logs that are not a build's: name another folder "
                "with --output"
            )
        with contextlib.ExitStack() as stack:
            self.output.mkdir(parents=True, exist_ok=True)
            stack.callback(self._remove_empty)
            busy = (
                f"Another build is at work in {self.output}: wait for it, or name another --output"
            )
            stack.enter_context(locked(self.output / ".lock", busy))
            for stale in self.output.glob(".partial-*"):
                shutil.rmtree(stale)
            self.directory = Path(tempfile.mkdtemp(prefix=".partial-", dir=self.output)).resolve()
            stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
            self._held = stack.pop_all()
        return self

    def __exit__(self, kind, error, traceback) -> None:
        with self._held:
            self._clear_scratch()
            if kind is None:
                with _uninterrupted():
                    self._publish()
            elif isinstance(error, Exception):
                self._keep_logs()

    def _remove_empty(self) -> None:
        if self._made:
            with contextlib.suppress(OSError):  # it holds something
                self.output.rmdir()

    def write(self, name: str, content: bytes | str) -> None:
        """Write one output file."""
        data = content.encode() if isinstance(content, str) else content
        (self.directory / name).write_bytes(data)

    def scratch(self, name: str) -> Path:
        """A folder for work that is no output: only its `*.log` files are kept, among the logs."""
        folder = self.directory / name
        folder.mkdir()
        self._scratch.append(folder)
        return folder

    def _clear_scratch(self) -> None:
        logs = self.directory / "logs"
        for folder in self._scratch:
            for log in sorted(folder.rglob("*.log")):
                logs.mkdir(exist_ok=True)
                os.replace(log, logs / f"{folder.name}-{log.name}")
            shutil.rmtree(folder, ignore_errors=True)

    def _publish(self) -> None:
        # The report last: where it is, the files that it speaks of are.
        entries = sorted(self.directory.iterdir(), key=lambda path: path.name == "report.json")
        for entry in entries:
            target = self.output / entry.name
            if entry.is_dir():
                shutil.rmtree(target, ignore_errors=True)
            os.replace(entry, target)
        shutil.rmtree(self.failed, ignore_errors=True)

    def _keep_logs(self) -> None:
        shutil.rmtree(self.failed, ignore_errors=True)
        logs = self.directory / "logs"
        if logs.is_dir() and any(logs.iterdir()):
            self.failed.mkdir()
            os.replace(logs, self.failed / "logs")


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals wait until the block is through (in the main thread, which alone answers them)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = [signal.SIGINT, signal.SIGTERM]
    before = [signal.signal(number, lambda one, _: came.append(one)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        for one in came[:1]:
            signal.raise_signal(one)
