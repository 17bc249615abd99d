"""Models: modules with a shared `trunk` and one head for each task in `heads`."""
