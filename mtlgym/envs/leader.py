"""One environment in several processes: the first one leads, the others do what it does."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from mtlgym.distributed.process_group import Company
from mtlgym.envs.saved_state import differences
from mtlgym.training.hardware import Hardware

T = TypeVar("T")


def join(hardware: Hardware, description: dict[str, Any]) -> Company | None:
    """The processes that make this environment together; None if this one makes it alone.

    Raises:
        ValueError: as `Company.join`, and if the others' environments are not the same; names the
            options that differ.
    """
    if not hardware.distributed:
        return None
    company = Company.join(hardware.device)
    for rank, theirs in enumerate(company.gathered(description)):
        differing = differences(theirs, description)
        if differing:
            raise ValueError(f"process {rank} has made another environment: {differing}")
    return company


def lead(company: Company | None, work: Callable[..., T], *arguments: Any) -> T:
    """Do the work here and in every process that follows; alone, here.

    Args:
        company: the processes.
        work: known to those that follow by its name.
        arguments: what it is given, in all processes.

    Raises:
        RuntimeError: in a process that does not lead, or after `dismiss`.
        PartnerError: if the work failed in another process; an error in this one stays what it is.
    """
    if company is None:
        return work(*arguments)
    if company.rank or not company.is_open:
        state = "has closed the environment" if not company.is_open else "does not lead"
        hint = "" if not company.is_open else "; it has to call `env.unwrapped.follow()`"
        raise RuntimeError(f"process {company.rank} of {company.size} {state}{hint}")
    company.told((work.__name__, arguments))
    return company.together(partial(work, *arguments))


def follow(company: Company | None, works: Sequence[Callable[..., Any]]) -> None:
    """Do what the leader does, until it closes its environment.

    An error in the work is the leader's to raise.

    Raises:
        RuntimeError: in a process that leads or is alone, or if the leader is gone.
    """
    if company is None or company.rank == 0:
        raise RuntimeError(
            "follow() is for the processes of a rank above 0, with `distributed=True`"
        )
    known = {work.__name__: work for work in works}
    while company.is_open:
        name, arguments = company.told(None)
        if name == dismiss.__name__:
            company.is_open = False
        else:
            with suppress(Exception):
                company.together(partial(known[name], *arguments))


def dismiss(company: Company | None) -> None:
    """Let those that follow return; in a process that does not lead, nothing happens."""
    if company is not None and company.rank == 0 and company.is_open:
        company.is_open = False
        company.told((dismiss.__name__, ()))
