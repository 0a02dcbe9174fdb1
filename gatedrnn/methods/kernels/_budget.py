"""What a kernel takes of the memory beside the processor, by sizes alone, and how it is cut so that it fits.

R rows of the batch per program, L units with those that fill up, C steps per block.
"""

from typing import NamedTuple

VMEM = 24 * 2**20  # bytes that a kernel may take, of 64 MiB at least from TPU v5 on
VMEM_SMALL = 12 * 2**20  # of 16 MiB before
SHARED = {  # bytes per block of threads, by compute capability
    "8.0": 166_912,
    "8.6": 101_376,
    "8.7": 166_912,
    "8.9": 101_376,
    "9.0": 232_448,
    "10.0": 232_448,
    "10.3": 232_448,
    "12.0": 101_376,
    "12.1": 101_376,
}
GROUP = 64  # units of four warps of a GPU, which multiply together
CLUSTERS = (1, 2, 4, 8)  # blocks of threads that may share what one has no memory for
MOSAIC_OWN = 4096  # bytes that barriers, alignment and the compiler take
MOST_STEPS, FEW_STEPS = 32, 8  # per block: more gain nothing; for fewer the batch is cut first


class Load(NamedTuple):
    """How many arrays a kernel reads and writes; of float32 but for the matrices.

    Attributes:
        matrices: [L, L].
        width: bytes of one of their numbers.
        rows: [L].
        held: [R, L], carries.
        streams: [C, R, L], one row for every step.
        flags: [C, R].
    """

    matrices: int
    width: int
    rows: int
    held: int
    streams: int
    flags: int


class Tiles(NamedTuple):
    """How a kernel is cut.

    Attributes:
        rows: R.
        lanes: L.
        chunk: C.
        blocks: of threads that share the rows, each with its part of the lanes.
        together: whether blocks pass on the cotangents of all gates at once; else of one gate after the other, which
            takes less memory.
    """

    rows: int
    lanes: int
    chunk: int
    blocks: int = 1
    together: bool = True


def matrices(load: Load, lanes: int) -> int:
    """Bytes of the matrices."""
    return load.matrices * lanes**2 * load.width


def vmem_lanes(units: int) -> int:
    """Whole registers of a TPU, of 128 lanes."""
    return -(-units // 128) * 128


def shared_lanes(units: int) -> int:
    """A power of two, and no fewer than a product of a GPU takes."""
    return max(16, 1 << (units - 1).bit_length())


def vmem(load: Load, tiles: Tiles) -> int:
    """Bytes on a TPU: what changes from block to block is there twice, a flag takes a row of 128 numbers."""
    rows, lanes, chunk = tiles[:3]
    step = rows * (load.streams * lanes + load.flags * 128)
    return matrices(load, lanes) + 8 * (load.rows * 8 * lanes + load.held * rows * lanes + chunk * step)


def vmem_limit(taken: int) -> int:
    """Bytes that the compiler is allowed, where a kernel may take so many."""
    return taken // 3 * 4


def vmem_tiles(load: Load, steps: int, batch: int, units: int, limit: int = VMEM) -> Tiles | None:
    """The largest tiles that fit on a TPU, where registers have 8 rows; None where none do."""
    lanes = vmem_lanes(units)
    for most in (128, 64, 32, 16, 8):
        programs = -(-batch // most)
        rows = -(-batch // (8 * programs)) * 8
        empty = vmem(load, Tiles(rows, lanes, 0))
        step = vmem(load, Tiles(rows, lanes, 1)) - empty
        chunk = min((limit - empty) // step, steps, MOST_STEPS)
        if chunk >= min(steps, FEW_STEPS) or (chunk >= 1 and rows == 8):
            return Tiles(rows, lanes, chunk)
    return None


def shared(load: Load, tiles: Tiles) -> int:
    """Bytes of a GPU's shared memory: the matrices, and h, or the gates' cotangents, on their way to a product."""
    rows, lanes = tiles[:2]
    return matrices(load, lanes) + 2 * rows * lanes * 4 * (load.matrices > 0)


def shared_tiles(load: Load, steps: int, units: int, limit: int) -> Tiles | None:
    """16 rows, the least of a product; None where they do not fit."""
    tiles = Tiles(16, shared_lanes(units), steps)
    return tiles if shared(load, tiles) <= limit else None


def mosaic_lanes(units: int, blocks: int) -> int:
    """Whole groups in every block."""
    return -(-units // (GROUP * blocks)) * GROUP * blocks


def mosaic_share(load: Load, lanes: int, blocks: int) -> int:
    """Bytes of the matrices in every block."""
    return matrices(load, lanes) // blocks


def mosaic(load: Load, tiles: Tiles) -> int:
    """Bytes of a block's shared memory: its share of the matrices, and h, or the cotangents of gates, in two places."""
    rows, lanes, _, blocks, together = tiles
    passed = load.matrices if together else 1
    return mosaic_share(load, lanes, blocks) + 2 * passed * rows * lanes * load.width + MOSAIC_OWN


def mosaic_tiles(
    load: Load, steps: int, batch: int, units: int, limit: int, clusters: tuple[int, ...] = CLUSTERS
) -> Tiles | None:
    """The fewest blocks, then 16 rows or 8, the fewest of a product; gates one by one only where nothing else fits.

    None where nothing does.
    """
    found = (
        Tiles(rows, mosaic_lanes(units, blocks), steps, blocks, together)
        for together in (True, False)
        for blocks in clusters
        for rows in (16, 8)
        if (rows == 8 or batch > 8) and (together or blocks > 1)
    )
    return next((tiles for tiles in found if mosaic(load, tiles) <= limit), None)
