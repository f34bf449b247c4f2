"""Rank and number of ranks, where the environment says them: what started the process does.

RANK and WORLD_SIZE come first (torchrun sets them), then the pairs of Open MPI, of MPICH and Intel
MPI, and of Slurm's srun: whoever runs mpirun within a Slurm job means the ranks of mpirun. Half a
pair would make each process rank 0, which reads what others read: that is an error.
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
    """What the environment says of this process.

    Attributes:
        rank: Its rank, from 0.
        ranks: Number of ranks.
        is_said: The environment says so; where it says nothing there is one rank.
        doubt: What its owner should know, where variables can be meant in two ways; else "".
    """

    rank: int
    ranks: int
    is_said: bool = True
    doubt: str = ""


def world_from_environ(environ: Mapping[str, str] | None = None) -> World:
    """Return the rank that the environment says.

    Args:
        environ: Read instead of the variables of this process.

    Raises:
        ConfigError: Numbers that do not fit each other or are none; one half of RANK and WORLD_SIZE
            that no launcher completes; a LOCAL_RANK above 0 and nothing else.
    """
    rank, size = _whole("RANK", environ), _whole("WORLD_SIZE", environ)
    if rank is not None and size is not None:
        return _world(rank, size, ("RANK", "WORLD_SIZE"))
    launched = _launched(environ)
    if rank is None and size is None:
        return _launched_or_alone(launched, environ)
    if launched is not None and rank in (None, launched.rank) and size in (None, launched.ranks):
        return launched
    if rank is None and size == 1:
        return World(0, 1)
    given, missing = f"WORLD_SIZE={size}", "RANK"
    if size is None:
        given, missing = f"RANK={rank}", "WORLD_SIZE"
    raise ConfigError(
        f"{given} without {missing}: each process would read what the others read; start it by"
        f" torchrun, srun or mpirun, set both, or call torch.distributed.init_process_group first"
    )


def _launched_or_alone(launched: World | None, environ: Mapping[str, str] | None) -> World:
    if launched is not None:
        return launched
    tasks = _whole("SLURM_NTASKS", environ) or 1
    local = _whole("LOCAL_RANK", environ)
    advice = "if it is one of several ranks, set RANK and WORLD_SIZE"
    if local:
        raise ConfigError(f"LOCAL_RANK={local}, and nothing says the rank: set RANK and WORLD_SIZE")
    if local == 0:
        return World(0, 1, False, f"LOCAL_RANK=0, and nothing says the rank: {advice}")
    if tasks > 1:
        doubt = f"SLURM_NTASKS={tasks}, but srun did not start this process: {advice}"
        return World(0, 1, False, doubt)
    return World(0, 1, False)


def _launched(environ: Mapping[str, str] | None) -> World | None:
    for names in _LAUNCHERS:
        rank, size = (_whole(name, environ) for name in names)
        if rank is None or size is None:
            continue
        # A batch script, and a shell of salloc, has SLURM_PROCID=0 whatever the number of tasks.
        if names[0] != "SLURM_PROCID" or rank or first_set("SLURM_STEP_ID", environ=environ):
            return _world(rank, size, names)
    return None


def _world(rank: int, size: int, names: tuple[str, str]) -> World:
    if not 0 <= rank < size:
        raise ConfigError(
            f"{names[0]}={rank} and {names[1]}={size} do not fit:"
            f" 0 <= {names[0]} < {names[1]} is needed"
        )
    return World(rank, size)


def _whole(name: str, environ: Mapping[str, str] | None) -> int | None:
    text = first_set(name, environ=environ)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{name}={text!r} is not a whole number") from None
