"""What runs beside the accelerator: the host tool, and the contract of its transports."""

from decisivenets_packages import check

check("hw", "model", "sim")

from model.errors import starting  # noqa: E402

starting()
