"""Training tasks: code, data and hyperparameters become a job, on one machine or many."""
