"""What a task is measured by, and how a whole model compares with single-task models."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One figure of one task.

    Attributes:
        task: the task's name.
        name: the metric's name, e.g. `mae` or `accuracy`.
        unit: physical unit of the value, empty for a pure number.
        higher_is_better: the metric's direction.
        judged: whether it counts in Delta_m and in mean scores; others are reported only.
    """

    task: str
    name: str
    unit: str = ""
    higher_is_better: bool = False
    judged: bool = True

    @property
    def key(self) -> str:
        """The name under which results hold the value: `task/name`."""
        return f"{self.task}/{self.name}"


@dataclass(frozen=True)
class Baseline:
    """The figures of single-task models, one model a task (STL).

    Attributes:
        source: where the figures come from, a paper's table or a command. Two Delta_m values
            are comparable only if their sources are the same.
        values: `task/metric` -> value in the metric's unit.
    """

    source: str
    values: Mapping[str, float]


def judged(metrics: Iterable[Metric]) -> list[Metric]:
    """Those metrics that count in Delta_m and in mean scores."""
    return [metric for metric in metrics if metric.judged]


def delta_m(
    values: Mapping[str, float], baseline: Mapping[str, float], metrics: Sequence[Metric]
) -> float:
    """The mean performance drop against single-task models, in percent; lower is better.

    Delta_m = 100 / K sum_k (-1)^{delta_k} (M_m,k - M_b,k) / M_b,k over the K metrics of all tasks,
    with delta_k = 1 where higher is better. Metrics that are not `judged` are left out.

    Source: Dai et al. (UAI 2023), eq. 5.
    Differs from it in that the mean is given in percent, as in the paper's tables.

    Raises:
        ValueError: if a metric has no value in `values` or `baseline`, or a baseline of zero.
    """
    drops = []
    for metric in judged(metrics):
        for name, table in (("values", values), ("baseline", baseline)):
            if metric.key not in table:
                raise ValueError(f"`{name}` lacks {metric.key!r}; it has {sorted(table)}")
        if baseline[metric.key] == 0:
            raise ValueError(f"the baseline of {metric.key!r} is 0: a relative drop is undefined")
        drop = (values[metric.key] - baseline[metric.key]) / baseline[metric.key]
        drops.append(-drop if metric.higher_is_better else drop)
    return 100.0 * sum(drops) / len(drops)


def mean_score(values: Mapping[str, float], metrics: Sequence[Metric]) -> float:
    """The mean over the tasks of the mean over a task's metrics, of those that are `judged`.

    Source: Wang et al. (ICLR 2019), section 3, for GLUE.

    Raises:
        KeyError: if a metric has no value.
    """
    tasks: dict[str, list[float]] = {}
    for metric in judged(metrics):
        tasks.setdefault(metric.task, []).append(values[metric.key])
    means = [sum(task) / len(task) for task in tasks.values()]
    return sum(means) / len(means)
