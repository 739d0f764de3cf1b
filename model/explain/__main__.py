"""``python -m model.explain --network FILE IMAGE``: one decision explained, as an HTML page."""

from collections.abc import Sequence
from pathlib import Path

from model import zoo
from model.common import files
from model.common.errors import Parser, UserError, nearest, run_cli
from model.data.picture_files import shown
from model.data.pictures import PictureOptions, add_picture_options
from model.explain.attribution import Explanation, explain
from model.explain.page import page
from model.explain.picture import find_picture
from model.zoo.opening import open_network

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program."""
    parser = Parser(
        prog="python -m model.explain",
        description="Explain one decision of a network: which maps won where, and which of them "
        "carried the class. Writes one HTML page that needs nothing else.",
    )
    add = parser.add_argument
    text = "any picture, - for standard input, or cifar10:test:N with --data"
    add("image", metavar="IMAGE", help=text)
    add("--network", default=zoo.DEFAULT, metavar="FILE", help="network file, or a name of the zoo")
    add("--class", dest="name", metavar="NAME", help="explain this class, not the one decided for")
    add("--output", metavar="FILE", help="page to write (default: build/explain/IMAGE.html)")
    add("--data", type=Path, metavar="DIR", help="folder of the data set's binary version")
    add_picture_options(parser, folders=False)
    options = parser.parse_args(arguments)
    network = open_network(options.network)
    if options.output is not None:
        for source in (zoo.find(options.network), Path(options.image)):
            files.check_output(options.output, "--output", keep=source)
    chosen = None
    if options.name is not None:
        if options.name not in network.classes:
            raise UserError(f"Class {options.name!r}: {nearest(options.name, network.classes)}")
        chosen = network.classes.index(options.name)
    picture = find_picture(options.image, network, options.data, PictureOptions.of(options))
    name = f"{Path(options.image).stem}.html"
    output = Path(options.output or files.in_build("explain", name))
    explanation = explain(network, picture.pixels, chosen)
    files.write(output, page(explanation, title=picture.title, label=picture.label))
    print(_summary(explanation))
    print(f"page: {shown(output)}")
    return 0


def _summary(explanation: Explanation) -> str:
    classes, logits = explanation.network.classes, explanation.logits
    text = f"{classes[explanation.decided]}, logit {logits[explanation.decided]}"
    if explanation.chosen != explanation.decided:
        text += f"; explained: {classes[explanation.chosen]}, {logits[explanation.chosen]}"
    if explanation.runner is not None:
        lead = explanation.targets[1].total
        text += f", {abs(lead)} {'ahead of' if lead >= 0 else 'behind'} "
        text += classes[explanation.runner]
    return text


if __name__ == "__main__":
    run_cli(main)()
