"""StoringTransaction: files that are written within a block, and appear at its end."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from fsspec.transaction import Transaction

from aisio.errors import ConfigError

__all__ = ["StoringTransaction"]


class StoringTransaction(Transaction):  # type: ignore[misc]  # fsspec has no types
    """A transaction that ends however it ends: no file of it remains, nor of a later one.

    In fsspec before 2026.3 the file system of one that failed kept back whatever was written later.
    """

    fs: Any

    def start(self) -> None:
        """Begin to keep files back.

        Raises:
            ConfigError: A transaction of this file system is under way.
        """
        if self.fs._intrans:
            raise ConfigError("transaction: one is under way, and would lose its files to another")
        super().start()

    def complete(self, commit: bool = True) -> None:
        """Store all files, one after the other, or drop them; the first that fails is the last.

        Raises:
            ConfigError: A file was not closed, so that some of it may not be written yet. Nothing
                is stored.
            StorageError: A file could not be stored. Neither are those that were opened after it.
        """
        fs, files = self.fs, [*self.files]
        self.files.clear()
        self.fs = fs._transaction = None
        fs._intrans = False
        with ExitStack() as stack:
            for file in files:
                stack.callback(file.discard)  # of no effect on one that is stored
            if not commit:
                return
            for file in files:
                if not file.closed:
                    raise ConfigError(
                        f"transaction: {file.path} was not closed in it, so nothing was stored: "
                        f"close each file, as by a `with` statement"
                    )
            for file in files:
                file.commit()
