"""Devices that are not here, for compilation alone; and why there are none where their compilers are missing."""

import contextlib
import os
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # read when JAX is first used
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")

import jax
from jax.experimental import topologies

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98 device_memory_size: 84929347584
  shared_memory_per_block_optin: 232448 cuda_compute_capability { major: 9 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 12 }
runtime_version { major: 13 minor: 0 patch: 0 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
WHEELS = {
    "tpu": "libtpu",
    "cuda": "jax-cuda12-plugin, jax-cuda12-pjrt and nvidia-cuda-nvcc-cu12",
}


class Missing(Exception):
    """There is no compiler for the device; says which packages have it."""


def one_device(platform: str) -> jax.sharding.Sharding:
    """A TPU v5e or an H100, as the place of an array.

    Raises:
        Missing: nothing here compiles for it.
    """
    try:
        if platform == "tpu":
            topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
        else:
            topology = topologies.get_topology_desc("h100", platform="cuda", target_config=H100, topology="1x1x1")
    except Exception as error:  # each plugin has its own way to be missing
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Missing(f"Nothing here compiles for {platform}: it takes {WHEELS[platform]} ({first}).") from None
    mesh = jax.sharding.Mesh(topology.devices[:1], ("d",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def in_sight(platform: str) -> contextlib.AbstractContextManager[Any]:
    """A context in which Pallas's Triton knows the device that it is lowered for, as it wants to from jax 0.11 on."""
    if platform == "tpu" or jax.__version_info__ < (0, 11):
        return contextlib.nullcontext()
    sharding: Any = jax.sharding
    device = sharding.AbstractDevice(device_kind="NVIDIA H100 80GB HBM3", num_cores=None, platform="gpu")
    return sharding.use_abstract_mesh(sharding.AbstractMesh((), (), abstract_device=device))
