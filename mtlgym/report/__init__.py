"""Reports of finished runs: grouping, measures, statistics, tables, figures, `mtlgym report`."""

from importlib import import_module
from typing import Any

# Public names and their modules, imported on first use: figures and statistics take seconds.
_MODULES = {
    "Estimate": "mtlgym.report.statistics",
    "Finished": "mtlgym.bench.runs.results",
    "Measure": "mtlgym.report.measures",
    "Profile": "mtlgym.report.statistics",
    "Section": "mtlgym.report.sections",
    "estimate": "mtlgym.report.statistics",
    "gains": "mtlgym.report.measures",
    "group_runs": "mtlgym.report.sections",
    "interquartile_mean": "mtlgym.report.statistics",
    "measure_agents": "mtlgym.report.measures",
    "performance_profile": "mtlgym.report.statistics",
    "probability_of_improvement": "mtlgym.report.statistics",
    "read_finished": "mtlgym.bench.runs.results",
    "scores_of": "mtlgym.report.statistics",
    "write_page": "mtlgym.report.page",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'mtlgym.report' has no attribute {name!r}")
