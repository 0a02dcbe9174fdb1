"""The same cells in other frameworks: one file each, which imports its framework; nothing here imports any.

Every file has, per kind of module: `from_*` gives `(cell, params)`, `to_*` takes them back, and `verify_*` proves it, by
the largest error of outputs and gradients between `gatedrnn.unroll` and the framework's own forward and backward passes.
"""
