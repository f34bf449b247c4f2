"""Training tasks: code, data and hyperparameters become a job, on one machine or many.

Names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisio.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from aisio.tasks.algorithm_sync import sync_algorithm
    from aisio.tasks.code.errors import RequiredLocalCommitError
    from aisio.tasks.errors import (
        AnyLearnAuthException,
        AnyLearnException,
        AnyLearnMissingParamException,
        AnyLearnNotSupportedException,
        InvalidArguments,
        ResourceError,
        TaskStateError,
    )
    from aisio.tasks.metrics import Metric, report_final_metric, report_intermediate_metric
    from aisio.tasks.objects.chunks import (
        AsyncResourceDownloader,
        AsyncResourceUploader,
        ResourceDownloader,
        ResourceUploader,
        SyncResourceDownloader,
        SyncResourceUploader,
    )
    from aisio.tasks.objects.projects import Mirror, Project, QuotaGroup
    from aisio.tasks.objects.resources import Algorithm, Dataset, File, Model
    from aisio.tasks.objects.train_task import TrainTask
    from aisio.tasks.quickstart import quick_train, resume_unfinished_local_train_tasks
    from aisio.tasks.records.local import TrainProfile
    from aisio.tasks.sdk import init_sdk
    from aisio.tasks.service.service import TaskService
    from aisio.tasks.states import ResourceState, TaskState

_NAMES_BY_MODULE = {
    "aisio.tasks.algorithm_sync": ("sync_algorithm",),
    "aisio.tasks.code.errors": ("RequiredLocalCommitError",),
    "aisio.tasks.errors": (
        "AnyLearnAuthException",
        "AnyLearnException",
        "AnyLearnMissingParamException",
        "AnyLearnNotSupportedException",
        "InvalidArguments",
        "ResourceError",
        "TaskStateError",
    ),
    "aisio.tasks.metrics": ("Metric", "report_final_metric", "report_intermediate_metric"),
    "aisio.tasks.objects.chunks": (
        "AsyncResourceDownloader",
        "AsyncResourceUploader",
        "ResourceDownloader",
        "ResourceUploader",
        "SyncResourceDownloader",
        "SyncResourceUploader",
    ),
    "aisio.tasks.objects.projects": ("Mirror", "Project", "QuotaGroup"),
    "aisio.tasks.objects.resources": ("Algorithm", "Dataset", "File", "Model"),
    "aisio.tasks.objects.train_task": ("TrainTask",),
    "aisio.tasks.quickstart": ("quick_train", "resume_unfinished_local_train_tasks"),
    "aisio.tasks.records.local": ("TrainProfile",),
    "aisio.tasks.sdk": ("init_sdk",),
    "aisio.tasks.service.service": ("TaskService",),
    "aisio.tasks.states": ("ResourceState", "TaskState"),
}
__all__ = [
    "Algorithm",
    "AnyLearnAuthException",
    "AnyLearnException",
    "AnyLearnMissingParamException",
    "AnyLearnNotSupportedException",
    "AsyncResourceDownloader",
    "AsyncResourceUploader",
    "Dataset",
    "File",
    "InvalidArguments",
    "Metric",
    "Mirror",
    "Model",
    "Project",
    "QuotaGroup",
    "RequiredLocalCommitError",
    "ResourceDownloader",
    "ResourceError",
    "ResourceState",
    "ResourceUploader",
    "SyncResourceDownloader",
    "SyncResourceUploader",
    "TaskService",
    "TaskState",
    "TaskStateError",
    "TrainProfile",
    "TrainTask",
    "init_sdk",
    "quick_train",
    "report_final_metric",
    "report_intermediate_metric",
    "resume_unfinished_local_train_tasks",
    "sync_algorithm",
]

__getattr__, __dir__ = lazy_exports(__name__, _NAMES_BY_MODULE)
