"""``python -m model.golden FILE --output FILE``: replace the golden vectors of a network file."""

from collections.abc import Sequence

from model.common.errors import Parser, run_cli
from model.common.optional import need
from model.integers.golden import attach_golden
from model.network import load, save

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser(
        prog="python -m model.golden", description="Make golden vectors for a network file."
    )
    parser.add_argument("file", help="network file (.dham)")
    parser.add_argument("--output", required=True, help="network file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the generated frames")
    options = parser.parse_args(arguments)
    need("torch")
    network = save(attach_golden(load(options.file), seed=options.seed), options.output)
    coverage = network.metadata["golden"]["coverage"]
    print(
        f"{options.output}: {network.metadata['golden']['frames']} frames, "
        f"{coverage['groups'][0]} of {coverage['groups'][1]} groups and "
        f"{coverage['channels'][0]} of {coverage['channels'][1]} channels win"
    )


if __name__ == "__main__":
    run_cli(main)()
