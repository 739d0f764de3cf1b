"""The trainable DHAM: shapes, activations, quantised layers, networks."""
