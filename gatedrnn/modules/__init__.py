"""Layers for the frameworks that have modules: one file each, which imports its framework; nothing here imports any.

`nnx` and `linen` take flax's own cells and run them by `gatedrnn.unroll`; `Recurrent`, of all three, holds any cell or
network of this library.
"""
