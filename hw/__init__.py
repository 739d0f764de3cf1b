"""The accelerator: plan, RTL, and a board's bitstream."""

from decisivenets_packages import check

check("model", "sim")
