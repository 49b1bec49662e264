"""Tasks: functions that a job can name. A worker runs only what was registered here, by name.

    @task
    def primes(start, stop): ...          # a job's task is then "primes"

    @task(name="reports.monthly")
    def monthly(year, month): ...

The function stays a plain function. worker.py starts the processes in which `call` runs.
"""

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, ParamSpec, TypeVar, overload

from glassraft.errors import BadArgument
from glassraft.jobqueue.fields import check_name, payload

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Task:
    """A registered function."""

    name: str
    function: Callable[..., Any]

    @property
    def call(self) -> str:
        """How it is called, for people: name(parameters)."""
        return f"{self.name}{inspect.signature(self.function)}"

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def check_call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raises BadArgument when the function cannot be called with these."""
        try:
            inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError as error:
            raise BadArgument(f"{error}; it is called {self.call}") from None


_tasks: Final[dict[str, Task]] = {}

TASKS: Final[Mapping[str, Task]] = MappingProxyType(_tasks)
"""Every task registered in this process, by name."""


@overload
def task(function: Callable[_P, _R], /) -> Callable[_P, _R]: ...
@overload
def task(*, name: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
def task(function: Callable[..., Any] | None = None, /, *, name: str = "") -> Any:
    """Registers a function as a task, under its own name or the one given. BadArgument if that is taken."""

    def register(function: Callable[_P, _R]) -> Callable[_P, _R]:
        named = check_name(name or getattr(function, "__name__", ""), "a task's name")
        known = _tasks.get(named)
        if known is not None and _origin(known.function) != _origin(function):
            raise BadArgument(f"two functions are named {named!r}: give one of them another, @task(name=...)")
        _tasks[named] = Task(named, function)
        return function

    return register if function is None else register(function)


def _origin(function: Callable[..., Any]) -> tuple[str, str]:
    """Where a function is written: the same file may be run as a program and imported as well."""
    code = getattr(function, "__code__", None)
    return (code.co_filename if code else function.__module__, getattr(function, "__qualname__", ""))


# In a worker's process


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a call, in a form that any process can read: canonical JSON, or what went wrong."""

    ok: bool
    result: str = ""
    error: str = ""
    traceback: str = ""
    submit: Sequence[Mapping[str, Any]] = ()
    """Jobs that come to be with its completion, as JobQueue.submit_many takes them."""


def modules_of(tasks: Iterable[Task]) -> list[str]:
    """What another process has to import to know these tasks. The program itself it runs anyway."""
    return sorted({task.function.__module__ for task in tasks} - {"__main__", "__mp_main__"})


def load(modules: Sequence[str]) -> None:
    """Makes this process know the tasks of these modules."""
    for module in modules:
        importlib.import_module(module)


def call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Done:
    """Runs a task. Whatever it raises, even SystemExit, is told and never lost."""
    try:
        result = TASKS[name].function(*args, **kwargs)
    except BaseException as error:
        return _failed(error)
    try:
        return Done(True, payload(result, "result"))
    except BadArgument as error:
        return Done(False, error=f"{name} returned what cannot be kept: {error}")
    finally:
        sys.stdout.flush()


def _failed(error: BaseException) -> Done:
    frames = error.__traceback__.tb_next if error.__traceback__ else None  # without this file's own
    text = "".join(traceback.format_exception(type(error), error, frames))
    said = "".join(traceback.format_exception_only(type(error), error)).strip()
    return Done(False, error=said, traceback=text)
