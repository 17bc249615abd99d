"""A report of finished runs: one HTML page, its tables as CSV and its pictures as PNG."""
