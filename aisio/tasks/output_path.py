"""Where a task may write its results."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from aisio.tasks.errors import InvalidArguments

__all__ = ["check_output"]


def check_output(output: str, code: Path | None) -> None:
    """Check the folder of the results of a task.

    Args:
        output: Its path, relative to the code.
        code: Folder of the code, if it is on this machine.

    Raises:
        InvalidArguments: It is not relative, holds "..", is the code's folder itself, or is
            something else than an empty folder.
    """
    path = PurePosixPath(output)
    is_inside = (
        bool(path.parts)
        and not path.is_absolute()
        and ".." not in path.parts
        and "\0" not in output
    )
    if not is_inside or not _is_free(output, code):
        shown = output if code is None or not is_inside else code / output
        raise InvalidArguments(
            'Invalid output path. A relative path without ".." required, and that path must be '
            "pointing at nothing or an empty directory (symlink not allowed). "
            f'Got "{shown}".'
        )


def _is_free(output: str, code: Path | None) -> bool:
    if code is None:
        return True
    path = code / output
    if path.is_symlink():
        return False
    if path.is_dir():
        return not any(path.iterdir())
    return not path.exists()
