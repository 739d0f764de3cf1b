"""Training, quantisation, network files and integer references of DHAM networks.

Nothing is imported here: `hw` reads `model.network` where torch is not installed.
"""
