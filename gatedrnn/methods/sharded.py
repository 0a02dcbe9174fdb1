"""Data parallel: each device of a mesh runs its rows of the batch; weight gradients are summed over the devices."""

import math
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, PartitionSpec

from gatedrnn._cell import Cell
from gatedrnn._check import check_list, fail, shown
from gatedrnn._device import platform
from gatedrnn._forms import Carry
from gatedrnn._jax import is_static, mesh_that_is_set
from gatedrnn._method import Method, check_method_value
from gatedrnn._outputs import Outputs
from gatedrnn._sequence import Sequence
from gatedrnn.methods.auto import Auto

AXIS = "batch"
AnyMesh = Mesh | AbstractMesh


@jax.tree_util.register_static
@dataclass(frozen=True)
class Sharded:
    """Shards the batch over a mesh and runs another method on every shard.

    On a CPU a recurrence keeps one core busy; two host devices use two cores, also inside the loop. Ask for them
    before JAX is first used, `jax.config.update("jax_num_cpu_devices", 2)`, and `Sharded()` uses them.

    Attributes:
        mesh: the devices, as `jax.sharding.Mesh(jax.devices(), ("batch",))`; by default the mesh that is set, or as
            many of those of the default platform as divide the batch evenly.
        axes: names of the mesh's axes over which the batch is split; all by default.
        method: how each shard is evaluated.

    Raises:
        ValueError: `mesh` is no Mesh, or has no axis of a given name; when called, the batch does not divide evenly
            over a mesh.

    Example:
        >>> import jax, gatedrnn as gr
        >>> params = gr.lstm.init(jax.random.key(0), 8, 16)
        >>> xs = jax.numpy.ones((100, 2 * jax.device_count(), 8))
        >>> carry, ys = gr.unroll(gr.lstm, params, xs, method=gr.Sharded())
    """

    mesh: Mesh | None = None
    axes: tuple[str, ...] | None = None
    method: Method = Auto()

    def __post_init__(self) -> None:
        if not isinstance(self.mesh, Mesh | None):
            raise fail("mesh", "None or a jax.sharding.Mesh", repr(self.mesh))
        if self.axes is not None:
            if self.mesh is None:
                raise fail("axes", "None where no `mesh` is given", shown(self.axes))
            names = self.mesh.axis_names
            expected = f"a list of at least one of the mesh's axes, {names}"
            axes = tuple(check_list("axes", expected, self.axes))
            named = all(isinstance(axis, str) and axis in names for axis in axes)
            if not axes or not named or len(set(axes)) < len(axes):
                raise fail("axes", expected, shown(self.axes))
            object.__setattr__(self, "axes", axes)
        check_method_value(self.method)

    def piece(self, steps: int, rows: int) -> tuple[int, int]:
        """T and B of what its method is given."""
        mesh = self.over(rows)
        shards = math.prod(mesh.shape[axis] for axis in self.axes or mesh.axis_names)
        if rows % shards:
            raise fail("xs", f"of a batch that {shards} shards divide evenly", f"B = {rows}")
        return steps, rows // shards

    def over(self, rows: int) -> AnyMesh:
        """The mesh, for a batch of B = `rows`."""
        found: AnyMesh | None = self.mesh or mesh_that_is_set()
        if found is not None:
            return found
        devices = jax.devices(platform())
        even = [n for n in range(1, len(devices) + 1) if not is_static(rows) or rows % n == 0]
        return Mesh(np.array(devices[: max(even)]), (AXIS,))

    def __call__(self, cell: Cell, params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Carry, Any]:
        self.piece(*sequence.xs.shape[:2])
        mesh = self.over(sequence.xs.shape[1])
        axes = self.axes or mesh.axis_names
        rows, steps = PartitionSpec(axes), PartitionSpec(None, axes)
        every: Any = dict.fromkeys(sequence.steps, steps)
        specs = replace(sequence, carry=rows, initial=rows, **every)

        def shard(params: Any, sequence: Sequence, outputs: Outputs) -> tuple[Carry, Any]:
            return self.method(cell, params, sequence, outputs)

        around = jax.sharding.get_abstract_mesh()
        if not around.empty and dict(around.shape) != dict(mesh.shape):
            raise fail("mesh", f"the one that jax.set_mesh has set, {dict(around.shape)}", dict(mesh.shape))
        return jax.shard_map(
            shard,
            mesh=automatic(mesh) if isinstance(mesh, Mesh) and around.empty else None,
            in_specs=(PartitionSpec(), specs, PartitionSpec()),
            out_specs=(rows, steps if outputs.per_step else rows),
            check_vma=False,  # the methods' own derivative rules do not state what varies; the sums are tested
        )(params, sequence, outputs)


def automatic(mesh: Mesh) -> Mesh:
    """The same devices; axes that are part of an array's type would have to be named in every operation."""
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * mesh.devices.ndim)
