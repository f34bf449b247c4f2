"""Rank and number of ranks from the environment: the right ones, or an error."""

from __future__ import annotations

import pytest

from aisio.errors import ConfigError
from aisio.training.ranks import world_from_environ

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "3"}
OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
MPICH = {"PMI_RANK": "2", "PMI_SIZE": "4"}
SRUN = {"SLURM_PROCID": "5", "SLURM_NTASKS": "6", "SLURM_STEP_ID": "0"}


@pytest.mark.parametrize(
    ("environ", "world"),
    [
        ({}, (0, 1)),
        ({"RANK": "", "WORLD_SIZE": ""}, (0, 1)),
        (TORCHRUN, (3, 8)),
        (OPEN_MPI, (1, 2)),
        (MPICH, (2, 4)),
        (SRUN, (5, 6)),
        ({**SRUN, "SLURM_PROCID": "0"}, (0, 6)),
        ({**TORCHRUN, **OPEN_MPI, **MPICH, **SRUN}, (3, 8)),
        ({**OPEN_MPI, **SRUN}, (1, 2)),
        ({**MPICH, **SRUN, "LOCAL_RANK": "1"}, (2, 4)),
        ({**SRUN, "WORLD_SIZE": "6"}, (5, 6)),
        ({**SRUN, "RANK": "5"}, (5, 6)),
        ({"WORLD_SIZE": "1"}, (0, 1)),
    ],
    ids=str,
)
def test_what_started_the_process_says_its_rank(environ: dict[str, str], world: tuple[int, int]):
    """Torchrun's variables first, then mpirun's, then srun's; without any there is one rank."""
    assert world_from_environ(environ)[:2] == world
    assert not world_from_environ(environ).warning


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 without RANK: each process"),
        ({"RANK": "1"}, "RANK=1 without WORLD_SIZE"),
        ({"RANK": "0"}, "RANK=0 without WORLD_SIZE"),
        ({**SRUN, "WORLD_SIZE": "12"}, "WORLD_SIZE=12 without RANK"),
        ({"WORLD_SIZE": "2", "LOCAL_RANK": "1"}, "WORLD_SIZE=2 without RANK"),
        ({"LOCAL_RANK": "1"}, "LOCAL_RANK=1, and nothing says the rank"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2 and WORLD_SIZE=2 do not fit"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "do not fit"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "do not fit"),
        ({"RANK": "x", "WORLD_SIZE": "2"}, "RANK='x' is not a whole number"),
        ({"RANK": "0", "WORLD_SIZE": "2.0"}, "WORLD_SIZE='2.0' is not a whole number"),
        ({"PMI_RANK": "4", "PMI_SIZE": "4"}, "PMI_RANK=4 and PMI_SIZE=4 do not fit"),
        ({**SRUN, "SLURM_PROCID": "7"}, "SLURM_PROCID=7 and SLURM_NTASKS=6 do not fit"),
    ],
    ids=str,
)
def test_a_rank_that_cannot_be_is_an_error(environ: dict[str, str], text: str):
    """The process would read what others read, or nothing."""
    with pytest.raises(ConfigError, match=text):
        world_from_environ(environ)


@pytest.mark.parametrize(
    ("environ", "text"),
    [
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, "SLURM_NTASKS=8, but srun did not start"),
        ({"LOCAL_RANK": "0"}, "LOCAL_RANK=0, and nothing says the rank"),
    ],
    ids=str,
)
def test_what_can_be_one_process_or_several_is_one_with_a_doubt(environ: dict[str, str], text: str):
    """A batch script runs once, whatever its number of tasks; its owner is told."""
    world = world_from_environ(environ)
    assert (world.rank, world.ranks, world.is_known) == (0, 1, False)
    assert world.warning.startswith(text)


def test_one_task_outside_srun_is_no_matter_of_doubt():
    """There is nothing to be told apart."""
    assert not world_from_environ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}).warning
