"""What a task reads: data sets, models, results of earlier tasks; and how its program is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aisio.sources.named import is_catalog_name
from aisio.sources.resolve import source
from aisio.tasks.dataset_sync import LocalData, sync_dataset
from aisio.tasks.errors import InvalidArguments
from aisio.tasks.objects.chunks import ResourceUploader
from aisio.tasks.objects.resources import Dataset
from aisio.tasks.resources.upload import OnProgress
from aisio.tasks.service.results import check_has_results
from aisio.tasks.service.rows import TrainTaskRow
from aisio.tasks.service.service import TaskService
from aisio.tasks.states import ResourceState

__all__ = ["Ids", "Inputs", "find_inputs"]

Ids: TypeAlias = "str | Sequence[str] | None"
"""One id, several, or none."""


@dataclass(frozen=True)
class Inputs:
    """What a task reads.

    Attributes:
        datasets: Data sets, by id; or by URL or name in the catalog, which have no folder.
        models: Ids of models.
        tasks: Earlier tasks, whose results are read.
        local: A data set of this machine.
    """

    datasets: tuple[Dataset, ...]
    models: tuple[str, ...]
    tasks: tuple[TrainTaskRow, ...]
    local: LocalData | None = None

    def placeholders(self) -> list[list[str]]:
        """Return what `upload` passes to the program, as far as it is known before."""
        passed = [str(one.id) for one in self.datasets] or (["local"] if self.local else [])
        return [passed, list(self.models), [task.id for task in self.tasks]]

    def upload(
        self,
        service: TaskService,
        uploader: ResourceUploader | None,
        on_progress: OnProgress | None,
    ) -> tuple[list[Dataset], list[list[str]]]:
        """Upload what the service does not have yet.

        Returns:
            All data sets; and what is passed to the program: data sets, models, results. The local
            data set is passed if no other is named.
        """
        datasets = list(self.datasets)
        if self.local is not None:
            row = sync_dataset(service, self.local, uploader, on_progress)
            datasets.append(Dataset.of_row(row, service))
        results = [service.train_tasks.results(task.id).id for task in self.tasks]
        passed = [str(one.id) for one in self.datasets or datasets]
        return datasets, [passed, list(self.models), results]


def find_inputs(
    service: TaskService,
    dataset_id: Ids,
    model_id: Ids,
    pretrain_task_id: Ids,
    local: LocalData | None = None,
) -> Inputs:
    """Load everything that is named by id.

    Raises:
        NotFoundError: An id is not known.
        ResourceError: A resource is not READY.
        TaskStateError: An earlier task has not finished.
    """
    return Inputs(
        tuple(_dataset(service, one) for one in _listed(dataset_id)),
        tuple(service.resources.get_ready(one, "model").id for one in _listed(model_id)),
        tuple(_finished(service, one) for one in _listed(pretrain_task_id)),
        local,
    )


def _listed(ids: Ids) -> list[str]:
    if ids is None or isinstance(ids, str):
        return [ids] if ids else []
    return list(ids)


def _dataset(service: TaskService, name: str) -> Dataset:
    if "://" in name or is_catalog_name(name):
        source(name)  # a name that the catalog does not have is an error now
        made = Dataset(name, name)
        made.state = ResourceState.READY
        return made
    return Dataset.of_row(service.resources.get_ready(name, "dataset"), service)


def _finished(service: TaskService, task_id: str) -> TrainTaskRow:
    row = service.train_tasks.refresh(task_id)
    check_has_results(row)
    return row


def with_mounts(
    hyperparams: Mapping[str, Any], names: Iterable[str], passed: Iterable[Sequence[str]]
) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters of a task, with its mounts; and the ids that it needs as folders.

    Args:
        hyperparams: Parameters of the program.
        names: Names of hyperparameters for data sets, models and results; "" passes nothing.
        passed: Their ids. URLs, and names in the catalog, are passed as they are.

    Raises:
        InvalidArguments: Two have one name.
    """
    params, files = dict(hyperparams), list[str]()
    for name, ids in zip(names, passed, strict=True):
        if not name or not ids:
            continue
        if name in params:
            raise InvalidArguments(
                f"two values for the hyperparameter {name!r}: it is the name of a mount, and in "
                f"hyperparams or the name of another mount; give the mount another name"
            )
        params[name] = [one if _is_source(one) else f'"${one}"' for one in ids]
        files += [one for one in ids if not _is_source(one) and one not in files]
    return params, files


def _is_source(name: str) -> bool:
    return "://" in name or "/" in name
