"""The command `mtlgym list`."""

from rich.table import Column, Table

from mtlgym.cli.bench import console
from mtlgym.presets.environments import presets
from mtlgym.presets.published import figures, tables


def list_ids() -> int:
    """List the environments, and the published tables that `mtlgym bench --preset` runs."""
    table = Table("id", "data", "what it is")
    for each in presets().values():
        data = each.options.get("data", "auto") if "problem" in each.options else "synthetic"
        table.add_row(each.id, data, each.title)
    console.print(table)
    table = Table(Column("preset", no_wrap=True), "id", "what it reproduces")
    shown = [(each.name, each.env, each.title) for each in tables().values()]
    shown += [(each.name, each.env, each.title) for each in figures().values()]
    for row in shown:
        table.add_row(*row)
    console.print(table)
    return 0
