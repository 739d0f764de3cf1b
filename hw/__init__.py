"""The accelerator: planned, generated, verified, synthesised for a board."""

from model.errors import starting

starting()
