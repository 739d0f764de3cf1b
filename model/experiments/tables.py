"""Markdown tables of results, and what every row says about where it comes from."""

from collections.abc import Callable, Iterable, Sequence

from model.common.statistics import Interval, interval
from model.experiments.paper import SETTINGS
from model.experiments.runs import DATA_TITLES, NETWORK_TITLES, Setting, divides

__all__ = [
    "NOT_RUN",
    "ORIGIN",
    "by_seed",
    "compared_with",
    "markdown",
    "missing",
    "origin",
    "over_seeds",
    "paper_title",
    "percent",
]

NOT_RUN = "not run"
ORIGIN = ("seeds", "epochs", "hardware", "commit", "logs")  # headings that go with `origin`


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A pipe table. Raises ``ValueError`` for a row of another length than the heading."""
    lines = [list(header), ["---"] * len(header), *(list(row) for row in rows)]
    for line in lines:
        if len(line) != len(header):
            raise ValueError(f"A row has {len(line)} cells, not {len(header)}: {line}")
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def unique(values: Iterable[object]) -> str:
    return "; ".join(dict.fromkeys(str(value) for value in values))


def origin(records: Sequence[dict]) -> list[str]:
    """Cells for `ORIGIN`: seeds, epochs, hardware, commit and a link to the log of each training.

    Without records the cells say that there are none.
    """
    if not records:
        return [""] * len(ORIGIN)
    found = sorted(records, key=lambda r: r["seed"])
    return [
        ", ".join(str(r["seed"]) for r in found),
        unique(r["epochs"] for r in found),
        unique(r["hardware"] for r in found),
        unique(r["commit"] for r in found),
        " ".join(f"[{r['seed']}](log:{r['training']})" for r in found),
    ]


def by_seed(records: Iterable[dict], value: Callable[[dict], float]) -> dict[int, float]:
    """{seed: value}; raises ``ValueError`` where a seed comes twice."""
    found: dict[int, float] = {}
    for record in records:
        if record["seed"] in found:
            raise ValueError(f"Seed {record['seed']} has two records: {record['key']}")
        found[record["seed"]] = value(record)
    return found


def over_seeds(records: Sequence[dict], value: Callable[[dict], float]) -> Interval | None:
    """Interval of a value over the seeds; None without records."""
    return interval(list(by_seed(records, value).values())) if records else None


def percent(found: Interval | None, sign: bool = False) -> str:
    """ "86.12 ± 0.34 (n = 3)", "86.12 (n = 1)" or "not run"."""
    return NOT_RUN if found is None else f"{found.text(sign)} (n = {found.n})"


def paper_title(network: str, data_set: str | None = None) -> str:
    """ "paper: ResNet-18, CIFAR-10"."""
    return f"paper: {NETWORK_TITLES[network]}, {DATA_TITLES[data_set or SETTINGS[network]]}"


def compared_with(setting: Setting) -> list[str]:
    """The paper's networks to show beside ours: the same one if it is the paper's, else both."""
    return [setting.network] if setting.network in SETTINGS else list(SETTINGS)


def missing(setting: Setting, word: str, number: int) -> str:
    """What stands in place of a result: not run, and why if it cannot be."""
    reason = divides(setting, **{word: number})
    return NOT_RUN if reason is None else f"{NOT_RUN} ({reason[0].lower()}{reason[1:]})"
