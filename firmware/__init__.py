"""What runs beside the accelerator: the host tool, and the contract of its transports."""

from model.errors import starting

starting()
