"""Verification: simulation of the very RTL that is synthesised."""

from decisivenets_packages import check

check("hw", "model")

from model.errors import starting  # noqa: E402

starting()
