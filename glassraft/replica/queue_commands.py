"""The queue's commands, as a node takes them from clients and workers.

What a user wrote is checked here, before it is proposed; the driver answers when it is applied.
Next: jobqueue/commands.py, the checks; queue_reads.py, what is asked without changing anything.
"""

import time
import traceback
from typing import Any

from glassraft.jobqueue import commands
from glassraft.jobqueue.canonical import canonical
from glassraft.replica.answers import (
    LaterAnswer,
    MakeAnswer,
    TakeTicket,
    each_item,
    each_submitted,
    the_one_item,
    the_one_submitted,
)
from glassraft.replica.arrivals import CommandArrived, NothingReady, Result, TakeArrived
from glassraft.replica.behind import LONGEST_WAIT_S, BehindQueue, from_json, give
from glassraft.replica.turn import PENDING_S
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import LATER, Call, Later, Method, as_fault


class QueueCommands:
    """One node's."""

    def __init__(self, behind: BehindQueue) -> None:
        self._behind = behind

    def methods(self) -> dict[str, Method]:
        """By name. All but Take only bring a command, which the driver answers: they are short."""
        numbered = ("struct", "string", "int", "int")
        taking = ("struct", "string", "int", "int", "string", "string", "int", "int", "int")
        return {
            "Submit": Method.of(self.submit, (*numbered, "string"), 4, short=True),
            "SubmitMany": Method.of(self.submit_many, (*numbered, "string"), 4, short=True),
            "Take": Method.of(self.take, taking, 8),
            "Extend": Method.of(self.extend, ("struct", "string", "int", "string"), 3, short=True),
            "Complete": Method.of(
                self.complete, ("struct", "string", "int", "string", "string"), 3, short=True
            ),
            "CompleteMany": Method.of(self.complete_many, ("struct", "string"), 1, short=True),
            "Fail": Method.of(
                self.fail, ("struct", "string", "int", "string", "string", "boolean"), 5, short=True
            ),
            "Release": Method.of(self.release, ("struct", "string", "int", "int", "string"), 3, short=True),
            "Cancel": Method.of(self.cancel, (*numbered, "string"), 4, short=True),
            "Retry": Method.of(self.retry, (*numbered, "string", "int", "boolean"), 4, short=True),
            "Purge": Method.of(self.purge, (*numbered, "string"), 4, short=True),
            "Update": Method.of(self.update, (*numbered, "string"), 4, short=True),
            "SetQueue": Method.of(self.set_queue, (*numbered, "string", "string"), 5, short=True),
        }

    def submit(self, call: Call, session: str, number: int, low: int, job: str) -> Later:
        """Put one job, a JSON object, into its queue. Durable on a majority when this answers."""
        arguments = commands.check_submit([from_json(job, "job")])
        return self._command(
            call,
            "Submit",
            arguments,
            the_one_submitted,
            (session, number, low),
        )

    def submit_many(self, call: Call, session: str, number: int, low: int, jobs: str) -> Later:
        """Put up to 1,000 jobs, a JSON list of objects, into their queues: all, or none with a fault."""
        arguments = commands.check_submit(from_json(jobs, "jobs"))
        return self._command(
            call,
            "Submit",
            arguments,
            each_submitted,
            (session, number, low),
        )

    def take(
        self,
        call: Call,
        session: str,
        number: int,
        low: int,
        worker: str,
        queues: str,
        count: int,
        lease_ms: int,
        wait_ms: int,
    ) -> dict[str, Any]:
        """Lease up to `count` ready jobs of the queues (a JSON list), waiting up to `wait_ms` for the first."""
        names = from_json(queues, "queues")
        arguments = commands.check_take(worker, names, count, lease_ms)
        commands.check_session(session, number, low)
        ticket = TakeTicket(self._behind.queue)
        wait_s = min(max(wait_ms, 0) / 1000, LONGEST_WAIT_S)
        command = CommandArrived("Take", arguments, ticket, session, number, low)
        until = time.monotonic() + wait_s
        self._behind.bring(
            TakeArrived(command, tuple(dict.fromkeys(names)), count, until, call.connection_alive)
        )
        result = ticket.wait(wait_s + 2 * PENDING_S)
        if isinstance(result, NothingReady):
            return {"jobs": "[]"}
        self._behind.served(result)
        return {"jobs": canonical(ticket.jobs)}

    def extend(self, call: Call, worker: str, lease_ms: int, items: str) -> Later:
        """Keep leases alive: a JSON list of [id, token, fraction?, note?]. An answer for each."""
        return self._command(
            call, "Extend", commands.check_extend(worker, from_json(items, "items"), lease_ms), each_item
        )

    def complete(self, call: Call, job: str, token: int, result: str, submit: str = "[]") -> Later:
        """The attempt under this token succeeded with this result, any JSON; `submit`: jobs that come of it."""
        item = [job, token, from_json(result, "result"), from_json(submit, "submit")]
        arguments = commands.check_complete([item])
        return self._command(call, "Complete", arguments, the_one_item)

    def complete_many(self, call: Call, items: str) -> Later:
        """Many attempts succeeded: a JSON list of [id, token, result]. An answer for each."""
        return self._command(call, "Complete", commands.check_complete(from_json(items, "items")), each_item)

    def fail(self, call: Call, job: str, token: int, error: str, traceback: str, retry: bool) -> Later:
        """The attempt under this token failed: the job is tried again after a while, or dead."""
        return self._command(
            call, "Fail", commands.check_fail([[job, token, error, traceback, retry]]), the_one_item
        )

    def release(self, call: Call, job: str, token: int, delay_ms: int, reason: str = "") -> Later:
        """Give the job back, to be run in `delay_ms` at the earliest; the attempt does not count."""
        return self._command(
            call, "Release", commands.check_release([[job, token, delay_ms, reason]]), the_one_item
        )

    def cancel(self, call: Call, session: str, number: int, low: int, jobs: str) -> Later:
        """Cancel the jobs (a JSON list of ids): at once, or, where they run, by telling them to stop."""
        arguments = commands.check_cancel(from_json(jobs, "jobs"))
        return self._command(call, "Cancel", arguments, each_item, (session, number, low))

    def retry(
        self,
        call: Call,
        session: str,
        number: int,
        low: int,
        jobs: str,
        attempts: int = 0,
        dependents: bool = True,
    ) -> Later:
        """Run dead or cancelled jobs again, with so many attempts; 0: as many as they were submitted with."""
        arguments = commands.check_retry(from_json(jobs, "jobs"), attempts or None, dependents)
        return self._command(call, "Retry", arguments, each_item, (session, number, low))

    def purge(self, call: Call, session: str, number: int, low: int, jobs: str) -> Later:
        """Remove finished jobs, with their results and histories."""
        arguments = commands.check_purge(from_json(jobs, "jobs"))
        return self._command(call, "Purge", arguments, each_item, (session, number, low))

    def update(self, call: Call, session: str, number: int, low: int, changes: str) -> Later:
        """Change jobs that do not run yet: a JSON list of {"job", and any of args, kwargs, priority, ...}."""
        arguments = commands.check_update(from_json(changes, "changes"))
        return self._command(call, "Update", arguments, each_item, (session, number, low))

    def set_queue(self, call: Call, session: str, number: int, low: int, queue: str, settings: str) -> Later:
        """Pause or limit a queue: `settings` is a JSON object of any of paused, max_running and rate."""
        arguments = commands.check_set_queue(queue, from_json(settings, "settings"))
        numbered = (session, number, low)
        return self._command(
            call, "SetQueue", arguments, lambda _, answer: {"settings": canonical(answer)}, numbered
        )

    def _command(
        self,
        call: Call,
        op: str,
        arguments: str,
        answer: MakeAnswer,
        numbered: tuple[str, int, int] = ("", 0, 0),
    ) -> Later:
        """Propose it; the driver answers the call when it is applied, without another thread in between."""
        commands.check_session(*numbered)
        later = LaterAnswer(self.finish, call, answer)
        self._behind.bring(CommandArrived(op, arguments, later, *numbered))
        return LATER

    def finish(self, call: Call, began: float, result: Result, make_answer: MakeAnswer) -> None:
        """A command's result is known: answer its call, and record that."""
        fields: dict[str, Any] = {}
        try:
            index, answer = self._behind.served(result)
            value: Any = make_answer(index, answer)
            outcome, fields["index"] = "ok", index
            if "jobs" in answer:
                fields["jobs"] = len(answer["jobs"])
        except Fault as fault:
            value, outcome = fault, fault.name
        except Exception as error:  # within the turn, which one call's answer must not end
            traceback.print_exception(error)
            value, outcome = as_fault(call.method, error), "internal"
        give(call, value)
        self._behind.record(call.method, began, outcome, fields)
