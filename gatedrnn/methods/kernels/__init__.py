"""Both loops of a segment as Pallas kernels, one each, for any cell: what a step does is said once, for all devices.

| file | what |
| --- | --- |
| `_loops` | the loops that `segmented` is given |
| `_body` | what a kernel does, from the cell's own `pointwise` and the Jacobian's blocks |
| `_call` | the kernel over tiles of the batch and chunks of time, of blocks of arrays |
| `_tpu`, `_triton`, `_mosaic` | what differs between devices; the last makes its own kernel, |
| `_block`, `_cluster` | which multiplies in one block of threads, or in a cluster of them |
| `_budget` | what fits into the memory beside the processor |
| `_fit` | whether there is a kernel, or why not |
| `_choice` | which one, where a device has several |
"""
