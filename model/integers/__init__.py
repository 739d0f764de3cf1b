"""Integer implementations of `docs/arithmetic.md`, and what is made of them."""
