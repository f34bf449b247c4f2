"""`aisio completion`. What is completed: tests/cli/test_completion.py."""

from __future__ import annotations


def test_the_script_is_printed(run):
    """The help says where to put it; other shells are refused."""
    assert run("completion", "zsh").stdout.startswith("#compdef aisio")
    assert 'eval "$(aisio completion bash)"' in run("completion", "--help").stdout
    assert run("completion", "tcsh").exit_code == 2
