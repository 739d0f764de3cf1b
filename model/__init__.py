"""Training, quantisation, network files and integer references of DHAM networks.

Nothing heavy is imported here: `hw` reads `model.network` where torch is not installed.
"""

from model.common.errors import starting

starting()
