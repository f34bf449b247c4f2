"""What the server answers: rows of the registry as Anylearn's JSON. Pure.

Source: what anylearn 0.15.5 needs in an answer, found by answering it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from aisio.tasks.metrics import Metric
from aisio.tasks.service.rows import MirrorRow, ProjectRow, QuotaGroupRow, ResourceRow, TrainTaskRow

__all__ = [
    "log_reply",
    "metric_reply",
    "mirror_reply",
    "project_reply",
    "quota_group_reply",
    "resource_reply",
    "task_reply",
    "utc",
]

Json = dict[str, Any]
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


def resource_reply(row: ResourceRow, git_address: str = "") -> Json:
    """Return an algorithm, data set, model or file."""
    filename = row.filename or ""
    reply: Json = {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "state": row.state,
        "public": int(row.public),
        "upload_time": row.upload_time or "",
        "filename": filename,
        "is_zipfile": int(filename.endswith(_ARCHIVES)),
        "file": filename,
        "size": row.size or 0,
        "creator_id": row.creator_id,
        "node_id": "",
        "owner": [],
        "message": row.message,
    }
    if row.kind == "model":
        reply["algorithm_id"] = row.algorithm_id or ""
    if row.kind == "algorithm":
        reply |= {
            "tags": row.tags,
            "mirror_id": row.mirror_id or "",
            "train_params": row.train_params or "",
            "follows_anylearn_norm": 0,
            "git_address": git_address,
            "git_migrated": int(bool(git_address)),
        }
    return reply


def project_reply(row: ProjectRow) -> Json:
    """Return a project."""
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "creator_id": row.creator_id,
        "create_time": row.create_time,
        "update_time": row.update_time,
        "datasets": [],
    }


def mirror_reply(row: MirrorRow) -> Json:
    """Return an environment."""
    return {"id": row.id, "name": row.name, "requirements": ""}


def quota_group_reply(row: QuotaGroupRow, allocated: Mapping[str, float]) -> Json:
    """Return a quota group, with what tasks that run have of it."""
    return {
        "id": row.id,
        "name": row.name,
        "level": "",
        "node_level": "",
        "capacity": json.loads(row.capacity),
        "default": json.loads(row.defaults),
        "allocated": dict(allocated),
    }


def task_reply(row: TrainTaskRow, secret_key: str) -> Json:
    """Return a task; its secret permits to report metrics for it."""
    return {
        "id": row.id,
        "name": row.name,
        "description": row.description,
        "state": row.state,
        "public": 0,
        "creator_id": row.creator_id,
        "owner": [],
        "project_id": row.project_id,
        "algorithm_id": row.algorithm_id,
        "algorithm_git_ref": row.algorithm_git_ref,
        "args": row.train_params,
        "train_params_prefix": row.train_params_prefix,
        "train_params_delimeter": row.train_params_delimeter,
        "envs": row.envs,
        "files": row.files,
        "results_id": row.results_id or "",
        "secret_key": secret_key,
        "create_time": row.create_time,
        "finish_time": row.finish_time or "",
        "final_metric": row.final_metric,
        "resource_request": row.resource_request,
        "num_nodes": row.num_nodes,
        "nproc_per_node": row.nproc_per_node,
        "max_restarts": row.max_restarts,
        "entrypoint": row.entrypoint,
        "output": row.output or "",
        "mirror_id": row.mirror_id or "",
        "message": row.message,
        "exit_code": row.exit_code,
    }


def log_reply(
    lines: Sequence[str], direction: str, after: int, limit: int, create_time: str
) -> list[Json]:
    """Return some lines of a log.

    Lines have no times of their own. Clients show `offset` as the time, in milliseconds: it is that
    of the task's creation, plus the line's number, so that each line has its own.

    Args:
        lines: All lines.
        direction: "init": the last lines, newest first. "back": those after a line, oldest first.
            "front": those before it, newest first.
        after: Number of that line; -1 for the beginning.
        limit: How many lines.
        create_time: When the task was made.
    """
    start = int(datetime.fromisoformat(create_time).timestamp() * 1000)
    numbers = range(len(lines))
    if direction == "init":
        chosen = numbers[max(0, len(lines) - limit) :][::-1]
    elif direction == "front":
        end = len(lines) if after < 0 else min(after, len(lines))
        chosen = numbers[max(0, end - limit) : end][::-1]
    else:
        chosen = numbers[after + 1 : after + 1 + limit]
    return [
        {
            "id": f"{number}",
            "offset": start + number,
            "offset_index": number,
            "offset_time": "",
            "text": lines[number],
        }
        for number in chosen
    ]


def utc(seconds: float) -> datetime:
    """Return a time in seconds since 1970 as UTC, without a time zone, to the microsecond."""
    return datetime.fromtimestamp(seconds, timezone.utc).replace(tzinfo=None)


def metric_reply(metric: Metric, number: int) -> Json:
    """Return a metric; its time is UTC, in a form that the next request may give back."""
    return {
        "id": f"{number}",
        "metric": metric.value,
        "reported_at": utc(metric.time).isoformat(" ", "microseconds"),
        "name": metric.name,
        "step": metric.step,
        "rank": metric.rank,
    }
