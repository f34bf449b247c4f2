"""The tables of service.db. What is published stays: a change is a further migration."""

from __future__ import annotations

__all__ = ["MIGRATIONS"]

_FIRST = """
CREATE TABLE resources (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, creator_id TEXT NOT NULL,
    description TEXT NOT NULL, public INTEGER NOT NULL, state INTEGER NOT NULL,
    message TEXT NOT NULL, filename TEXT, size INTEGER, checksum TEXT, upload_time TEXT,
    mirror_id TEXT REFERENCES mirrors (id), algorithm_id TEXT, tags TEXT NOT NULL,
    train_params TEXT, git_address TEXT);
CREATE INDEX resources_by_name ON resources (kind, name);
CREATE TABLE algorithm_versions (
    id TEXT PRIMARY KEY, algorithm_id TEXT NOT NULL REFERENCES resources (id) ON DELETE CASCADE,
    commit_id TEXT, create_time TEXT NOT NULL);
CREATE TABLE projects (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, creator_id TEXT NOT NULL, description TEXT NOT NULL,
    is_default INTEGER NOT NULL, create_time TEXT NOT NULL, update_time TEXT NOT NULL);
CREATE UNIQUE INDEX one_default_project ON projects (creator_id) WHERE is_default;
CREATE TABLE quota_groups (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, capacity TEXT NOT NULL, defaults TEXT NOT NULL);
CREATE TABLE mirrors (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE train_tasks (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, project_id TEXT NOT NULL REFERENCES projects (id),
    algorithm_id TEXT NOT NULL, creator_id TEXT NOT NULL, description TEXT NOT NULL,
    algorithm_git_ref TEXT NOT NULL, train_params TEXT NOT NULL, train_params_prefix TEXT NOT NULL,
    train_params_delimeter TEXT NOT NULL, envs TEXT NOT NULL, files TEXT NOT NULL,
    resource_request TEXT NOT NULL, num_nodes INTEGER NOT NULL, nproc_per_node INTEGER NOT NULL,
    entrypoint TEXT NOT NULL, output TEXT, mirror_id TEXT, state INTEGER NOT NULL,
    exit_code INTEGER, message TEXT NOT NULL, engine TEXT NOT NULL, handle TEXT, results_id TEXT,
    final_metric REAL, create_time TEXT NOT NULL, finish_time TEXT);
CREATE INDEX train_tasks_by_project ON train_tasks (project_id);
INSERT INTO mirrors VALUES ('MIRR0000000000000000000000000000', 'QUICKSTART')
"""

_RESTARTS = "ALTER TABLE train_tasks ADD COLUMN max_restarts INTEGER NOT NULL DEFAULT 0"

_REQUESTS = """
CREATE TABLE requests (
    id TEXT PRIMARY KEY, digest TEXT NOT NULL, time REAL NOT NULL,
    task_id TEXT NOT NULL REFERENCES train_tasks (id) ON DELETE CASCADE);
CREATE INDEX requests_by_digest ON requests (digest)
"""

# Values may be secrets. A task that has not been started still needs them.
_NO_VALUES = """
PRAGMA secure_delete = ON;
UPDATE train_tasks SET envs = '' WHERE handle IS NOT NULL OR state NOT IN (0, 1)
"""

_ANSWERED = """
ALTER TABLE requests ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;
CREATE INDEX requests_by_task ON requests (task_id)
"""

MIGRATIONS = (_FIRST, _RESTARTS, _REQUESTS, _NO_VALUES, _ANSWERED)
"""Statements by version of the schema, from 1 on."""
