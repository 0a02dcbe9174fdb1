"""Both loops of a segment as Pallas kernels, one each, for any cell: what a step does is said once, for all devices.

| file | what |
| --- | --- |
| `_loops` | the loops that `segmented` is given |
| `_body` | what a kernel does, from the cell's own `pointwise` and the Jacobian's blocks |
| `_call` | the kernel over tiles of the batch and chunks of time |
| `_tpu`, `_triton` | what differs between devices |
| `_budget` | what fits into the memory beside the processor |
| `_fit` | whether there is a kernel, or why not |
"""
