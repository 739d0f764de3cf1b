"""How every program prints: consoles, one style of table, the bar.

A terminal gets what fits its window: a table that is too wide is shown row by row. Pipes and files
get lines as long as they must be, unless the variable COLUMNS says otherwise. What an encoding
cannot show is ASCII (`model.common.lookalikes`).
"""

import os
import textwrap
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import rich.table
from rich.box import SIMPLE_HEAD, Box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from model.common import heartbeat
from model.common.lookalikes import as_shown

__all__ = ["Bar", "Table", "console", "pairs", "progress_bar", "say", "spinner"]

_UNLIMITED = 100_000  # columns of a pipe or a file
_PLAIN_HEAD = Box("    \n    \n -- \n" + 5 * "    \n", ascii=True)
_NARROW = 60  # columns that a bar needs beside its numbers


def console(*, stderr: bool = False, quiet: bool = False) -> Console:
    """The console of standard output, or of standard error; a quiet one prints nothing.

    Text is printed as it is: rich's markup and highlighting are off.
    """
    made = Console(stderr=stderr, quiet=quiet, highlight=False, markup=False, emoji=False)
    if not made.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        made.width = _UNLIMITED
    return made


def spinner(made: Console) -> str:
    """Name of rich's spinner that the console can show."""
    return "line" if made.options.ascii_only else "dots"


class Table:
    """A table for people, and the one style that all programs print.

    Parameters
    ----------
    headings : str
        Of the columns, in order. A line feed breaks a heading.
    title : str
        Stands above.
    left : int
        So many columns, from the first, hold names and are aligned left, the others numbers.
    """

    def __init__(self, *headings: str, title: str | None = None, left: int = 1):
        self.headings = headings
        self.title = title
        self.left = left
        self._rows: list[tuple[str, ...]] = []
        self._total: int | None = None  # the first row of the totals

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, *cells: object) -> None:
        """Add a row; columns that are left out are empty."""
        if len(cells) > len(self.headings):
            raise ValueError(f"{len(self.headings)} columns take no {len(cells)} cells")
        texts = tuple(map(str, cells))
        self._rows.append(texts + ("",) * (len(self.headings) - len(cells)))

    def add_total(self, *cells: object) -> None:
        """Add a row that sums the others up, set off from them."""
        if self._total is None:
            self._total = len(self._rows)
        self.add(*cells)

    def show(self, to: Console) -> None:
        """Print the table, or its rows one by one where the window is too narrow for it."""
        table = self._rich(to)
        if to.measure(table, options=to.options.update(width=_UNLIMITED)).maximum <= to.width:
            to.print(table)
            return
        if self.title:
            _paragraph(to, self.title, "")
        for row in self._rows:
            _paragraph(to, row[0] or "-", "", style="bold")
            for heading, cell in zip(self.headings[1:], row[1:], strict=True):
                if cell:
                    _paragraph(to, f"{' '.join(heading.split())}: {cell}", "  ")

    def _rich(self, to: Console) -> rich.table.Table:
        table = rich.table.Table(
            title=_shown(to, self.title) if self.title else None,
            title_justify="left",
            box=_PLAIN_HEAD if to.options.ascii_only else SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for number, heading in enumerate(self.headings):
            align: Any = "left" if number < self.left else "right"
            table.add_column(_shown(to, heading), justify=align, no_wrap=True)
        for number, row in enumerate(self._rows):
            if number == self._total:
                table.add_section()
            bold = self._total is not None and number >= self._total
            table.add_row(*(_shown(to, cell) for cell in row), style="bold" if bold else None)
        return table


def pairs(to: Console, lines: Sequence[tuple[str, object]]) -> None:
    """Print names and what belongs to them, one below the other."""
    width = 2 + max((cell_len(str(_shown(to, name))) for name, _ in lines), default=0)
    for name, value in lines:
        text = f"{name}{' ' * (width - cell_len(str(_shown(to, name))))}{value}"
        _paragraph(to, text, " " * (width if to.width >= 3 * width else 2), bold=len(name))


def say(to: Console, text: str, *, style: str = "") -> None:
    """Print a text, broken between words where it is longer than the window."""
    for line in text.split("\n"):
        _paragraph(to, line, "", style=style)
    heartbeat.said()


def _paragraph(to: Console, text: str, indent: str, *, style: str = "", bold: int = 0) -> None:
    """Print lines that are broken between words only, those behind the first indented.

    `indent` of the first line too, where the text is not bold at its beginning.
    """
    text = as_shown(text, to.encoding)
    lines = textwrap.wrap(
        text,
        max(to.width, len(indent) + 10),
        initial_indent="" if bold else indent,
        subsequent_indent=indent if bold else indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    ) or [""]
    for number, line in enumerate(lines):
        shown = Text(line, style=style)
        if bold and number == 0:
            shown.stylize("bold", 0, bold)
        to.print(shown, soft_wrap=True)


def _shown(to: Console, text: str) -> Text:
    return Text(as_shown(text, to.encoding))


class Bar(Progress):
    """rich's bar on standard error in a terminal; elsewhere a line now and then (`heartbeat`).

    A context manager.
    """

    def __init__(self, *columns: ProgressColumn, to: Console | None = None, **options: Any):
        to = console(stderr=True) if to is None else to
        shown = to.is_terminal and not to.quiet
        super().__init__(*columns, console=to, disable=not shown, **options)
        self._silent = to.quiet
        self._held = ExitStack()

    def __enter__(self) -> "Bar":
        shown = not self.disable or self._silent
        self._held.enter_context(heartbeat.doing(lambda: None if shown else self.line()))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        with self._held:
            super().__exit__(*error)

    def say(self, text: str) -> None:
        """Print a line: above the bar, where there is one."""
        say(self.console, text)

    def line(self) -> str | None:
        """What is under way, in words: done, how many, and the time left."""
        under_way = [task for task in self.tasks if not task.finished]
        return _told(under_way[-1]) if under_way else None


def _told(task: Task) -> str:
    text = str(task.description)
    if task.total is not None:
        text += f", {task.completed:,.0f} of {task.total:,.0f}"
    if state := task.fields.get("state"):
        text += f", {state}"
    if task.time_remaining:
        text += f", about {heartbeat.duration(task.time_remaining)} left"
    return text


def progress_bar(*more: ProgressColumn, to: Console | None = None, **options: Any) -> Bar:
    """What is done, a bar, how many of how many, `more`, time used and left; on stderr."""
    to = console(stderr=True) if to is None else to
    bar = [BarColumn(bar_width=20 if to.width < 100 else 40)] if to.width >= _NARROW else []
    columns = [TextColumn("{task.description}", markup=False), *bar, MofNCompleteColumn(), *more]
    if to.width >= _NARROW:
        columns.append(TimeElapsedColumn())
    return Bar(*columns, TimeRemainingColumn(), to=to, **options)
