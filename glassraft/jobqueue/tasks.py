"""Tasks: functions that a job can name. A worker runs only what was registered here, by name.

    @task
    def primes(start: int, stop: int) -> int: ...      # a job's task is then "primes"

    @task(name="reports.monthly", queue="reports", timeout=600, give_up_on=(ValueError,))
    def monthly(year: int, month: int) -> str: ...

    primes(1, 100)                                      # runs here
    primes.submit(1, 100)                               # a job, in the queue that glassraft.configure named
    monthly.options(delay=60).submit(2026, month=11)

worker.py starts the processes in which `call` runs; inline.py calls it here.
"""

import functools
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Generic, ParamSpec, TypeVar, Unpack, overload

from glassraft.errors import BadArgument
from glassraft.jobqueue.default_queue import default_queue
from glassraft.jobqueue.fields import check_name, payload
from glassraft.jobqueue.job import Job
from glassraft.jobqueue.outcomes import Cancel, GiveUp, Snooze
from glassraft.jobqueue.task_options import CallOptions, TaskOptions, check_options

P = ParamSpec("P")
R = TypeVar("R")

Errors = tuple[type[BaseException], ...]


class Submittable(Generic[P, R]):
    """A task together with options for its jobs."""

    def __init__(self, name: str, function: Callable[P, R], job_options: Mapping[str, Any]) -> None:
        self.name = name
        self.function = function
        self.job_options = job_options

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Submit a call to the queue that glassraft.configure named. Raises BadArgument, NoQueue, and what
        JobQueue.submit raises. The arguments are checked before anything is sent."""
        return default_queue().submit(self, *args, **kwargs)

    def spec(self, *args: P.args, **kwargs: P.kwargs) -> Mapping[str, Any]:
        """The call as JobQueue.submit_many takes it. Raises BadArgument where it does not fit the signature."""
        self.check_call(args, kwargs)
        return {"task": self.name, "args": args, "kwargs": kwargs, **self.job_options}

    def options(self, **options: Unpack[CallOptions]) -> "Submittable[P, R]":
        """The same task with these options instead of its own, for one call or more."""
        merged = {**self.job_options, **options}
        check_options(self.name, merged)
        return Submittable(self.name, self.function, merged)

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
        self.arguments(args, kwargs)

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
        """What each parameter gets, defaults included, however a call is spelt. Raises BadArgument as check_call."""
        try:
            bound = inspect.signature(self.function).bind(*args, **kwargs)
            bound.apply_defaults()
            return bound.arguments
        except TypeError as error:
            raise BadArgument(f"{error}; it is called {self.call}") from None


class Task(Submittable[P, R]):
    """A registered function, which still can be called."""

    def __init__(
        self,
        name: str,
        function: Callable[P, R],
        job_options: Mapping[str, Any] = MappingProxyType({}),
        retry_on: Errors | None = None,
        give_up_on: Errors = (),
    ) -> None:
        super().__init__(name, function, job_options)
        self.retry_on = retry_on
        self.give_up_on = give_up_on
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here and now."""
        return self.function(*args, **kwargs)

    def may_retry(self, error: BaseException) -> bool:
        """Whether another attempt could end otherwise than with this error."""
        if isinstance(error, (GiveUp, *self.give_up_on)):
            return False
        return self.retry_on is None or isinstance(error, self.retry_on)


_tasks: Final[dict[str, Task[..., Any]]] = {}

TASKS: Final[Mapping[str, Task[..., Any]]] = MappingProxyType(_tasks)
"""Every task registered in this process, by name."""


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str = "",
    retry_on: Errors | None = None,
    give_up_on: Errors = (),
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str = "",
    retry_on: Errors | None = None,
    give_up_on: Errors = (),
    **options: Any,
) -> Any:
    """Registers a function as a task, under its own name or the one given. BadArgument if that is taken.

    `retry_on`: only these exceptions are worth another attempt (all are, if not given); `give_up_on`: these
    are not. Further options are those of its jobs: see TaskOptions.
    """

    def register(function: Callable[..., Any]) -> Task[..., Any]:
        named = check_name(name or getattr(function, "__name__", ""), "a task's name")
        check_options(named, options)
        known = _tasks.get(named)
        if known is not None and _origin(known.function) != _origin(function):
            raise BadArgument(f"two functions are named {named!r}: give one of them another, @task(name=...)")
        _tasks[named] = Task(named, function, MappingProxyType(options), retry_on, give_up_on)
        return _tasks[named]

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
    retry: bool = True
    """Whether a failed job is worth another attempt."""
    snooze_s: float | None = None
    """The task asked to be run again after so long, for the reason in `error`."""
    cancel: bool = False
    """The task asked for its job to be cancelled, for the reason in `error`."""


def modules_of(tasks: Iterable[Task[..., Any]]) -> list[str]:
    """What another process has to import to know these tasks. The program itself it runs anyway."""
    return sorted({task.function.__module__ for task in tasks} - {"__main__", "__mp_main__"})


def load(modules: Sequence[str]) -> None:
    """Makes this process know the tasks of these modules."""
    for module in modules:
        importlib.import_module(module)


def call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Done:
    """Runs a task. Whatever it raises, even SystemExit, is told and never lost."""
    task = TASKS.get(name)
    if task is None:
        return Done(False, error=f"no task {name!r} is known here", retry=False)
    try:
        result = task.function(*args, **kwargs)
        if inspect.iscoroutine(result):
            result = _awaited(result)
    except Snooze as said:
        return _snoozed(said)
    except Cancel as said:
        return Done(False, error=str(said), cancel=True)
    except BaseException as error:
        return _failed(error, task.may_retry(error))
    finally:
        sys.stdout.flush()
    return _kept(name, result)


def _kept(name: str, result: Any) -> Done:
    match result:
        case Snooze():
            return _snoozed(result)
        case Cancel():
            return Done(False, error=str(result), cancel=True)
        case GiveUp():
            return _failed(result, retry=False)
    try:
        return Done(True, payload(result, "result"))
    except BadArgument as error:
        return Done(False, error=f"{name} returned what cannot be kept: {error}")


def _awaited(coroutine: Any) -> Any:
    """What an async function returns, on an event loop of its own."""
    import asyncio  # only for those who have such tasks

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    # Whoever submits to an inline queue from a coroutine has a loop in this thread already.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, asyncio.run, coroutine).result()


def _snoozed(said: Snooze) -> Done:
    return Done(False, error=str(said), snooze_s=max(0.0, said.seconds))


def _failed(error: BaseException, retry: bool) -> Done:
    frames = error.__traceback__.tb_next if error.__traceback__ else None  # without this file's own
    text = "".join(traceback.format_exception(type(error), error, frames))
    said = "".join(traceback.format_exception_only(type(error), error)).strip()
    return Done(False, error=said, traceback=text, retry=retry)
