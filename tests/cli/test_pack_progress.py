"""The progress of `aisio pack`."""

from __future__ import annotations

import re
import threading

from aisio.cli.pack_progress import pack_progress


def test_threads_add_up() -> None:
    """Files and bytes, with their rates."""
    with pack_progress(4000, "folder") as progress:

        def work() -> None:
            for _ in range(100):
                progress.add(5, 0)
                progress.add(5, 1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert re.fullmatch(r"400 files in [\d.]+ s: [\d,]+ files/s, [\d,]+ MB/s", str(progress))
