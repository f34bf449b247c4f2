"""What PyTorch iterates: datasets, the shard reader, and the split over ranks and workers."""
