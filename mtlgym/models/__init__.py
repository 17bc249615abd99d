"""One nn.Module a file: a shared `trunk` and one head a task in `heads`."""
