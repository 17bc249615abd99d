"""One loader a file: find, verify, split."""
