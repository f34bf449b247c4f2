"""Rank and number of ranks, as the launcher of this process set them in the environment.

RANK and WORLD_SIZE come first (torchrun sets them), then the pairs of Open MPI, of MPICH and Intel
MPI, and of Slurm's srun: inside a Slurm job, the ranks of mpirun are the ones that count. One
variable of a pair without the other is an error: each process would take itself for rank 0, and
read what the others read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from aisio.config import first_set
from aisio.errors import ConfigError

_LAUNCHERS = (
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("SLURM_PROCID", "SLURM_NTASKS"),
)


class World(NamedTuple):
    """What the environment says about this process.

    Attributes:
        rank: Its rank, from 0.
        ranks: Number of ranks.
        is_known: Whether the environment says both; if it says nothing, there is one rank.
        warning: What to tell the user if the variables are ambiguous; else "".
    """

    rank: int
    ranks: int
    is_known: bool = True
    warning: str = ""


def world_from_environ(environ: Mapping[str, str] | None = None) -> World:
    """Return the rank and the number of ranks that the environment says.

    Args:
        environ: Read these variables instead of those of this process.

    Raises:
        ConfigError: A value is not an integer, or a rank is not below its number of ranks; only one
            of RANK and WORLD_SIZE is set, and no launcher sets the other; only LOCAL_RANK is set,
            and it is above 0.
    """
    rank, size = _read_integer("RANK", environ), _read_integer("WORLD_SIZE", environ)
    if rank is not None and size is not None:
        return _checked_world(rank, size, ("RANK", "WORLD_SIZE"))
    launched = _from_launcher(environ)
    if rank is None and size is None:
        return _launched_or_single(launched, environ)
    if launched is not None and rank in (None, launched.rank) and size in (None, launched.ranks):
        return launched
    if rank is None and size == 1:
        return World(0, 1)
    present, missing = f"WORLD_SIZE={size}", "RANK"
    if size is None:
        present, missing = f"RANK={rank}", "WORLD_SIZE"
    raise ConfigError(
        f"{present} without {missing}: each process would read what the others read; start it by"
        f" torchrun, srun or mpirun, set both, or call torch.distributed.init_process_group first"
    )


def _launched_or_single(launched: World | None, environ: Mapping[str, str] | None) -> World:
    if launched is not None:
        return launched
    tasks = _read_integer("SLURM_NTASKS", environ) or 1
    local = _read_integer("LOCAL_RANK", environ)
    advice = "if it is one of several ranks, set RANK and WORLD_SIZE"
    if local:
        raise ConfigError(f"LOCAL_RANK={local}, and nothing says the rank: set RANK and WORLD_SIZE")
    if local == 0:
        return World(0, 1, False, f"LOCAL_RANK=0, and nothing says the rank: {advice}")
    if tasks > 1:
        warning = f"SLURM_NTASKS={tasks}, but srun did not start this process: {advice}"
        return World(0, 1, False, warning)
    return World(0, 1, False)


def _from_launcher(environ: Mapping[str, str] | None) -> World | None:
    for names in _LAUNCHERS:
        rank, size = (_read_integer(name, environ) for name in names)
        if rank is None or size is None:
            continue
        # A batch script, or a shell of salloc, has SLURM_PROCID=0 for any number of tasks.
        if names[0] != "SLURM_PROCID" or rank or first_set("SLURM_STEP_ID", environ=environ):
            return _checked_world(rank, size, names)
    return None


def _checked_world(rank: int, size: int, names: tuple[str, str]) -> World:
    if not 0 <= rank < size:
        raise ConfigError(
            f"{names[0]}={rank} and {names[1]}={size} do not fit:"
            f" 0 <= {names[0]} < {names[1]} is needed"
        )
    return World(rank, size)


def _read_integer(name: str, environ: Mapping[str, str] | None) -> int | None:
    text = first_set(name, environ=environ)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r} is not a whole number") from None
