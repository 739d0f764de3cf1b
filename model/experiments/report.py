"""What an experiment leaves to be read: Markdown, plots (PNG and SVG), and one page of HTML.

Everything is made from the records alone, so that it can be made again at any time. Logs of
trainings are links; publishing copies what they lead to.
"""

import base64
import html
import os
import re
from collections.abc import Callable
from pathlib import Path

from model.common.errors import UserError
from model.common.files import locked, write
from model.experiments.plots import rendered
from model.experiments.session import Experiment, Session

__all__ = ["publish", "write_report"]

LOG = re.compile(r"\]\(log:([^)]+)\)")
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 13px; }
td, th { border-bottom: 1px solid #ccc; padding: .3em .7em; text-align: left; }
img { max-width: 100%; }
"""


def compose(experiment: Experiment, session: Session, names: list[str]) -> str:
    """The report in Markdown, with logs as `log:NAME`."""
    note = experiment.note(session.scale)
    parts = [
        f"# {experiment.name}: {experiment.summary}",
        f"**{note}**" if session.scale.name == "quick" else note,
        f"Made by `python -m model.experiments {session.command}`. "
        "Means over the seeds stand with ± half of their 95 % confidence interval (Student's t; "
        "none where n = 1).",
        experiment.tables(session).strip(),
    ]
    parts += [f"![{experiment.name}: {name}]({name}.svg)" for name in names]
    return "\n\n".join(parts) + "\n"


def page(text: str, title: str, plots: dict[str, bytes]) -> str:
    """The Markdown as one self-contained page: plots are inside it."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark").enable("table").render(text)
    for name, svg in plots.items():
        data = base64.b64encode(svg).decode()
        body = body.replace(f'src="{name}"', f'src="data:image/svg+xml;base64,{data}"')
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def write_into(
    experiment: Experiment, session: Session, folder: Path, log: Callable[[str], str]
) -> list[str]:
    """Write the report into `folder`; `log` gives a training's link. Returns the logs' names."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = {}
    for name, figure in experiment.figures(session).items():
        if session.scale.name == "quick":
            figure.text(0.995, 0.995, "QUICK RUN, no result", color="red", ha="right", va="top")
        plots[name] = rendered(figure)
    for name, kinds in plots.items():
        for kind, data in kinds.items():
            write(folder / f"{name}.{kind}", data)
    text = compose(experiment, session, list(plots))
    named = list(dict.fromkeys(LOG.findall(text)))
    text = LOG.sub(lambda found: f"]({log(found[1])})", text)
    write(folder / "table.md", text)
    svg = {f"{name}.svg": kinds["svg"] for name, kinds in plots.items()}
    write(folder / "report.html", page(text, experiment.name, svg))
    return named


def write_report(experiment: Experiment, session: Session) -> Path:
    """Write table.md, report.html and the plots beside the records; returns the table's path.

    Of all records, those of other processes too: one process at a time reads and writes, so that
    the report that stays is the one of the most records.
    """
    where = os.path.relpath(session.store.folder, session.folder)
    session.folder.mkdir(parents=True, exist_ok=True)
    with locked(session.folder / "report.lock"):
        session.records.read()
        write_into(experiment, session, session.folder, lambda name: f"{where}/{name}.jsonl")
    return session.folder / "table.md"


def publish(experiment: Experiment, session: Session, target: Path) -> Path:
    """Write the report into `target`/NAME-LABEL with its records and the logs that it links.

    Raises ``UserError`` before anything is written where a log is missing.
    """
    folder = target / session.folder.name
    records = session.records.read()
    text = experiment.tables(session)
    for name in dict.fromkeys(LOG.findall(text)):
        path = session.store.folder / f"{name}.jsonl"
        if not path.is_file():
            raise UserError(f"Cannot publish: the log {path} of a row is missing")
    named = write_into(experiment, session, folder, lambda name: f"logs/{name}.jsonl")
    write(folder / "records.jsonl", records)
    for name in named:
        (folder / "logs").mkdir(exist_ok=True)
        log = (session.store.folder / f"{name}.jsonl").read_bytes()
        write(folder / "logs" / f"{name}.jsonl", log)
    return folder
