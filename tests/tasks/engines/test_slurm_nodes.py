"""The files in which the nodes of a Slurm job say how they are."""

from __future__ import annotations

import os

from aisio.tasks.engines.slurm_nodes import node_codes, node_result_file, record_node


def test_nodes_say_that_they_have_begun_and_how_they_ended(tmp_path):
    """A node that has not begun has no file."""
    assert node_codes(tmp_path, 2) == []
    record_node(tmp_path, 1, 0, None)
    assert node_codes(tmp_path, 2) == [None]
    record_node(tmp_path, 1, 0, 3)
    assert node_codes(tmp_path, 2) == [3]


def test_the_node_that_ended_first_comes_first(tmp_path):
    """Its failure is why the other one was ended, with 143."""
    record_node(tmp_path, 0, 0, 143)
    record_node(tmp_path, 1, 0, 7)
    os.utime(node_result_file(tmp_path, 0), ns=(2_000, 2_000))
    os.utime(node_result_file(tmp_path, 1), ns=(1_000, 1_000))
    assert node_codes(tmp_path, 2) == [7, 143]


def test_what_the_nodes_said_before_the_job_was_requeued_does_not_count(tmp_path):
    """The node that was lost may also say something late."""
    record_node(tmp_path, 0, 0, 1)
    record_node(tmp_path, 1, 1, None)
    assert node_codes(tmp_path, 2) == [None]
    record_node(tmp_path, 1, 0, 143)
    assert node_codes(tmp_path, 2) == [None]


def test_the_file_of_an_older_version_counts(tmp_path):
    """It holds the exit code alone."""
    node_result_file(tmp_path, 0).write_text('{"exit_code": 5}')
    assert node_codes(tmp_path, 1) == [5]
