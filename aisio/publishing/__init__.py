"""What a running process tells of itself, for `aisio top`: off unless AISIO_TOP is set.

A process that reads, or that a Loader gives batches to, then has a folder of its own, which only
its user may read, and writes its numbers into it once a second. Nobody is waited for, and nobody
writes to the job: `aisio top` reads files. The folder is locked by its process, so what a killed
process leaves is known as such: the next process that publishes removes it, and so does `aisio
top`.
"""

from aisio.publishing.live import Live, count_by, current, publish_now

__all__ = ["Live", "count_by", "current", "publish_now"]
