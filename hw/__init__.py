"""The accelerator: planned, generated, verified, synthesised for a board."""

from decisivenets_packages import check

check("model", "sim")

from model.errors import starting  # noqa: E402

starting()
