"""torch.distributed.checkpoint (DCP) on any store.

A checkpoint is the objects below one URL. `.metadata` says where each tensor is, and is stored
last: without it the others are no checkpoint. The files are those of torch's own FileSystemWriter,
so each reads what the other has written.
"""
