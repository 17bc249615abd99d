"""Gradient-balancing methods: each maps the tasks' gradients, through their Gramian, to weights.

A method is a dataclass with `needs_gramian = True` whose call takes the Gramian K = G G^T,
(tasks, tasks), of the per-task gradients G, (tasks, parameters), and returns the weights w,
(tasks,), of the direction G^T w.
"""

GRADIENT_METHODS: dict[str, type] = {}
