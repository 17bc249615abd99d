"""One training: data order, model, optimizer, checkpoints."""
