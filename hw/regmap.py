"""The register map in other languages: `python -m hw.regmap --format python|c|svd|csv|md`."""

from hw.bus.export import FORMATS
from hw.register_map import REGISTER_MAP
from model.common.errors import Parser, run_cli
from model.common.files import check_output, write_or_print

__all__ = ["main"]


@run_cli
def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    parser = Parser(prog="python -m hw.regmap", description=__doc__.split(": ")[0])
    parser.add_argument("--format", choices=sorted(FORMATS), required=True)
    parser.add_argument("--output", metavar="FILE", help="default: standard output")
    options = parser.parse_args(argv)
    output = None if options.output is None else check_output(options.output, "--output")
    write_or_print(output, FORMATS[options.format](REGISTER_MAP))


if __name__ == "__main__":
    main()
