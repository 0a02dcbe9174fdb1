"""Fused beside cuDNN and beside scans on a device, and what compilers make of it for a device that is not here.

python -m benchmarks.kernels             the first
python -m benchmarks.kernels.compiled    the second
"""
