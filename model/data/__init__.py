"""Data sets and pictures: images as networks take them."""
