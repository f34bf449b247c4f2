"""The states of tasks and resources."""

from __future__ import annotations

from aisio.tasks.states import ResourceState, TaskState


def test_any_31_numbers_are_those_of_anylearn():
    """Databases and programs hold the numbers."""
    assert {state.name: state.value for state in TaskState} == {
        "CREATED": 0,
        "RUNNING": 1,
        "SUCCESS": 2,
        "DELETED": -1,
        "FAIL": -2,
        "ABORT": -3,
    }
    assert [state.value for state in ResourceState] == [1, 2, 3, -1, -2]


def test_any_31_a_task_is_finished_when_it_will_never_run_again():
    """Created and running tasks are not."""
    finished = {state.value for state in TaskState if state.finished}
    assert finished == {2, -1, -2, -3}
