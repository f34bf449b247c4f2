"""The routes of the REST interface: each is a function of service and form, and returns JSON.

Routes are those of Anylearn. An operation that makes something returns {"data": id}, a query
returns a list of one.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from aisio.errors import NotFoundError, StorageError
from aisio.tasks.code import find_commit
from aisio.tasks.errors import InvalidArguments
from aisio.tasks.metrics import Metric
from aisio.tasks.records.locks import locked
from aisio.tasks.server.form import Form
from aisio.tasks.server.replies import (
    log_reply,
    metric_reply,
    mirror_reply,
    project_reply,
    quota_group_reply,
    resource_reply,
    task_reply,
    utc,
)
from aisio.tasks.service import TaskService
from aisio.tasks.service.rows import ResourceRow, TrainTaskRow
from aisio.tasks.service.secrets import secret_of
from aisio.tasks.states import TaskState

__all__ = ["KINDS", "ROUTES", "Context", "Operation"]

KINDS = ("algorithm", "dataset", "model", "file")
_MAX_LOG_LINES = 10_000
_HAVE_RESULTS = (TaskState.SUCCESS, TaskState.FAIL, TaskState.ABORT)
_log = logging.getLogger("aisio.tasks.server")


class Context:
    """What an operation works on.

    Args:
        service: The service.
        git_base: URL below which the repositories of algorithms are; "" without git.
        idempotency_key: The header Idempotency-Key of the request, by which a client tells one
            request from the next; "" without one.
    """

    def __init__(self, service: TaskService, git_base: str, idempotency_key: str = "") -> None:
        self.service = service
        self.idempotency_key = idempotency_key
        self._git_base = git_base

    def resource(self, row: ResourceRow) -> dict[str, Any]:
        """Return the JSON of a resource."""
        if row.kind != "algorithm" or not (row.git_address and self._git_base):
            return resource_reply(row)
        return resource_reply(row, f"{self._git_base}{row.id}.git")

    def task(self, row: TrainTaskRow) -> dict[str, Any]:
        """Return the JSON of a task."""
        return task_reply(row, secret_of(row.id, self.service.settings.home))


Operation = Callable[[Context, Form], Any]


def _resource_list(kind: str, context: Context, form: Form) -> Any:
    return [context.resource(row) for row in context.service.resources.find(kind)]


def _resource_query(kind: str, context: Context, form: Form) -> Any:
    return [context.resource(context.service.resources.get(form.text("id"), kind))]


def _resource_add(kind: str, context: Context, form: Form) -> Any:
    service, name = context.service, form.text("name")
    more: dict[str, Any] = {
        "description": form.text("description", ""),
        "public": form.flag("public"),
        "filename": form.optional("filename"),
    }
    if kind == "algorithm":
        mirror_id = form.text("mirror_id")
        if mirror_id not in {mirror.id for mirror in service.projects.mirrors()}:
            raise NotFoundError(f"there is no mirror {mirror_id!r}")
        more |= {"tags": form.text("tags", ""), "train_params": form.optional("train_params")}
        return {"data": service.algorithms.create(name, mirror_id, **more).id}
    if kind == "model":
        more["algorithm_id"] = form.optional("algorithm_id")
    return {"data": service.resources.create(kind, name, **more).id}


def _resource_update(kind: str, context: Context, form: Form) -> Any:
    row = context.service.resources.get(form.text("id"), kind)
    names = ["name", "description", "filename"]
    names += {"algorithm": ["mirror_id", "tags", "train_params"], "model": ["algorithm_id"]}.get(
        kind, []
    )
    changes: dict[str, Any] = dict(form.given(*names))
    if form.given("public"):
        changes["public"] = form.flag("public")
    if not changes.get("name", row.name):
        raise InvalidArguments(f"a {kind} needs a name")
    context.service.resources.update(row.id, **changes)
    return {"data": row.id}


def _resource_delete(kind: str, context: Context, form: Form) -> Any:
    row = context.service.resources.get_own(form.text("id"), kind)
    if not form.flag("force"):
        context.service.check_unused(row.id)
    if kind == "algorithm":
        context.service.algorithms.delete(row.id)
    else:
        context.service.resources.delete(row.id)
    return {"data": row.id}


def _own_algorithms(context: Context, form: Form) -> Any:
    """Return the algorithm itself and not a list of one; an empty list if there is none."""
    row = context.service.algorithms.by_name(form.text("name"))
    return [] if row is None else context.resource(row)


def _list_files(context: Context, form: Form) -> Any:
    return [file.name for file in context.service.resources.tree(form.text("file_id")).files]


def _sync_finish(context: Context, form: Form) -> Any:
    algorithm_id = context.service.resources.get_own(form.text("algorithm_id"), "algorithm").id
    context.service.algorithms.add_commit(algorithm_id, form.text("checkout_sha"))
    return {"data": algorithm_id}


def _mirrors(context: Context, form: Form) -> Any:
    return [mirror_reply(row) for row in context.service.projects.mirrors()]


def _projects(context: Context, form: Form) -> Any:
    return [project_reply(row) for row in context.service.projects.all()]


def _project_query(context: Context, form: Form) -> Any:
    return [project_reply(context.service.projects.get(form.text("id")))]


def _project_default(context: Context, form: Form) -> Any:
    return [project_reply(context.service.projects.default())]


def _project_add(context: Context, form: Form) -> Any:
    description = form.text("description", "")
    return {"data": context.service.projects.create(form.text("name"), description).id}


def _project_update(context: Context, form: Form) -> Any:
    changes = form.given("name", "description")
    return {"data": context.service.projects.update(form.text("id"), **changes).id}


def _project_delete(context: Context, form: Form) -> Any:
    context.service.projects.delete(form.text("id"))
    return {"data": form.text("id")}


def _quota_groups(context: Context, form: Form) -> Any:
    projects = context.service.projects
    return [quota_group_reply(row, projects.allocated(row)) for row in projects.quota_groups()]


def _quota_group(context: Context, form: Form) -> Any:
    projects = context.service.projects
    row = projects.quota_group(form.optional("id") or form.text("name"))
    return [quota_group_reply(row, projects.allocated(row))]


def _task_add(context: Context, form: Form) -> Any:
    """Make a task. `app` starts it, so that the answer need not wait for code and data.

    A client that got no answer sends its request again, which makes no second task. Once a client
    has asked for the task by its id, an equal request is not that one sent again. The names of
    tasks that `quick_train` makes are random, so two of its requests are never the same.
    """
    service = context.service
    home = service.settings.home
    # The digest is recorded, and values of `envs` may be secrets: nobody else can compute it.
    key = secret_of("requests", home)
    digest = form.digest(service.settings.user, context.idempotency_key, key)
    has_key = bool(context.idempotency_key)
    with locked(home, f"request {digest}"):
        row = service.train_tasks.of_request(digest, has_key=has_key)
        if row is None:
            row = _new_task(context, form, digest)
        else:
            _log.info("train_task/add has come again: it is task %s", row.id)
    return {"data": row.id}


def _new_task(context: Context, form: Form, digest: str) -> TrainTaskRow:
    request = context.service.projects.resolve_request(form.json("resources", None))
    algorithm_id = form.text("algorithm_id")
    return context.service.train_tasks.create(
        digest=digest,
        project_id=form.text("project_id"),
        algorithm_id=algorithm_id,
        algorithm_git_ref=_version_of(context.service, algorithm_id, form),
        name=form.text("name"),
        resource_request=json.dumps(request or []),
        num_nodes=form.integer("num_nodes", 1),
        nproc_per_node=form.integer("nproc_per_node", 1),
        max_restarts=form.integer("max_restarts", 0),
        output=form.optional("output"),
        mirror_id=form.optional("mirror_id"),
        **form.given(
            "description",
            "train_params",
            "train_params_prefix",
            "train_params_delimeter",
            "envs",
            "files",
            "entrypoint",
        ),
    )


def _version_of(service: TaskService, algorithm_id: str, form: Form) -> str:
    """Return which version of an algorithm is to run; a branch or tag becomes one.

    Raises:
        NotFoundError: There is no such version, branch or tag.
    """
    ref = form.text("algorithm_git_ref", "")
    repository = service.algorithms.repository(service.resources.get(algorithm_id, "algorithm").id)
    known = service.algorithms.versions(algorithm_id)
    if not ref or any(ref in (one.id, one.commit_id) for one in known) or not repository.is_dir():
        return ref
    return service.algorithms.add_commit(algorithm_id, find_commit(repository, ref)).id


def _task_id(context: Context, form: Form) -> str:
    """Return the id of the task that a request is about."""
    task_id = form.text("id")
    context.service.train_tasks.note_answered(task_id)
    return task_id


def _task_query(context: Context, form: Form) -> Any:
    tasks = context.service.train_tasks
    row = tasks.refresh(_task_id(context, form))
    if row.state in _HAVE_RESULTS and row.output and row.results_id is None:
        try:
            tasks.results(row.id)
        except NotFoundError:
            pass  # the task has left nothing in its folder
        except StorageError as error:
            _log.warning("the results of task %s are not stored yet: %s", row.id, error)
        row = tasks.get(row.id)
    return [context.task(row)]


def _task_list(context: Context, form: Form) -> Any:
    rows = context.service.train_tasks.all(form.optional("project_id"))
    return [context.task(row) for row in rows]


def _task_status(context: Context, form: Form) -> Any:
    row = context.service.train_tasks.refresh(_task_id(context, form))
    return {"id": row.id, "state": row.state, "message": row.message, "exit_code": row.exit_code}


def _task_abort(context: Context, form: Form) -> Any:
    return {"data": context.service.train_tasks.abort(_task_id(context, form)).id}


def _task_delete(context: Context, form: Form) -> Any:
    task_id = _task_id(context, form)
    if form.flag("force"):
        context.service.train_tasks.abort(task_id)
    context.service.train_tasks.delete(task_id)
    return {"data": task_id}


def _task_log(context: Context, form: Form) -> Any:
    row = context.service.train_tasks.get(_task_id(context, form))
    direction = form.text("direction", "init")
    limit = form.integer("limit", 100)
    if direction not in ("init", "back", "front") or not 0 < limit <= _MAX_LOG_LINES:
        raise InvalidArguments(
            f"direction must be init, back or front, and limit 1 to {_MAX_LOG_LINES}"
        )
    lines = context.service.train_tasks.logs(row.id)
    return log_reply(lines, direction, form.integer("offset_index", -1), limit, row.create_time)


def _task_metrics(context: Context, form: Form) -> Any:
    after = _timestamp(form.text("last_timestamp", "1970-01-01 00:00:00"))
    metrics = context.service.train_tasks.metrics(_task_id(context, form), final=False)
    return [
        metric_reply(metric, number)
        for number, metric in enumerate(metrics)
        if utc(metric.time) > after
    ]


def _task_final_metric(context: Context, form: Form) -> Any:
    metrics = context.service.train_tasks.metrics(_task_id(context, form), final=True)
    return {"id": form.text("id"), "final_metric": metrics[-1].value if metrics else None}


def _timestamp(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        raise InvalidArguments(f"last_timestamp={text[:50]!r} is not a time") from None


def report_metric(service: TaskService, form: Form, secret: str, *, final: bool) -> Any:
    """Store a metric that a task reports: it needs no login, but the task's secret."""
    step = form.optional("step")
    metric = Metric(
        form.number("metric"),
        time.time(),
        final,
        form.text("name", "metric"),
        None if step is None else form.integer("step"),
        form.integer("rank", 0),
    )
    service.train_tasks.report_metric(form.text("id"), metric, secret)
    return {"data": form.text("id"), "metric": metric.value}


def _transform(context: Context, form: Form) -> Any:
    """Make a model of a file in the results of a task, which are named by their own id."""
    tasks, file_id = context.service.train_tasks, form.text("file_id")
    task_id = next((row.id for row in tasks.all() if row.results_id == file_id), None)
    if task_id is None:
        raise NotFoundError(f"{file_id} is not the results of a task")
    row = tasks.model_of_results(
        task_id,
        form.text("file_path"),
        form.text("name"),
        description=form.text("description", ""),
        public=form.flag("public"),
    )
    return {"data": row.id}


def _resource_routes() -> dict[tuple[str, str], Operation]:
    operations: Mapping[tuple[str, str], Callable[..., Any]] = {
        ("GET", "list"): _resource_list,
        ("GET", "query"): _resource_query,
        ("POST", "add"): _resource_add,
        ("PUT", "update"): _resource_update,
        ("DELETE", "delete"): _resource_delete,
    }
    return {
        (method, f"{kind}/{verb}"): partial(operation, kind)
        for kind in KINDS
        for (method, verb), operation in operations.items()
    }


ROUTES: Mapping[tuple[str, str], Operation] = MappingProxyType(
    {
        **_resource_routes(),
        ("GET", "algorithm/custom"): _own_algorithms,
        ("GET", "resource/listdir"): _list_files,
        ("POST", "resource/sync_finish"): _sync_finish,
        ("POST", "model/transform"): _transform,
        ("GET", "mirror/list"): _mirrors,
        ("GET", "project/list"): _projects,
        ("GET", "project/query"): _project_query,
        ("GET", "project/default"): _project_default,
        ("POST", "project/add"): _project_add,
        ("PUT", "project/update"): _project_update,
        ("DELETE", "project/delete"): _project_delete,
        ("GET", "quota_group/list"): _quota_groups,
        ("GET", "quota_group/query"): _quota_group,
        ("POST", "train_task/add"): _task_add,
        ("GET", "train_task/query"): _task_query,
        ("GET", "train_task/list"): _task_list,
        ("GET", "train_task/status"): _task_status,
        ("PUT", "train_task/abort"): _task_abort,
        ("DELETE", "train_task/delete"): _task_delete,
        ("GET", "train_task/log"): _task_log,
        ("GET", "train_task/final_metric"): _task_final_metric,
        ("GET", "train_task/intermediate_metric"): _task_metrics,
    }
)
"""What answers a request, by method and path below /api/. `app` has those that move bytes."""
