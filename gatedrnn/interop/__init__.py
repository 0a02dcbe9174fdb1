"""The same cells in other frameworks: one file each, which imports its framework; nothing here imports any.

Each file has `from_*`, which gives `(cell, params)`, `to_*`, which takes them back, and `verify_*`, which proves them:
the largest error between `gatedrnn.unroll` and the framework's own forward and backward pass, values and gradients
(`verify_onnx`: values alone, since onnxruntime has no backward pass).
"""
