"""Reports of finished runs: statistics, tables, plots and the page of `mtlgym report`."""
