"""What runs a training task: this machine, a Ray cluster, or Slurm."""
