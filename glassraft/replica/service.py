"""The methods that a node serves: what is checked, what is asked of the driver, what is answered.

Each method runs on the thread of its caller's connection. It checks its arguments, brings an
arrival to the driver, waits for what comes of it, and says so. docs/wire.md describes them
for the other side; node.py serves them.
"""

import json
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from glassraft import __version__
from glassraft.errors import BadArgument
from glassraft.events.writer import EventWriter
from glassraft.jobqueue import commands, ids
from glassraft.jobqueue.canonical import canonical, parse
from glassraft.jobqueue.fields import TooLarge
from glassraft.jobqueue.states import FINISHED
from glassraft.raft.configuration import Address
from glassraft.raft.messages import Message
from glassraft.replica.answers import (
    LaterAnswer,
    MakeAnswer,
    TakeTicket,
    each_item,
    each_submitted,
    the_one_item,
    the_one_submitted,
)
from glassraft.replica.arrivals import (
    Applied,
    ChangeArrived,
    CommandArrived,
    HandedOver,
    MessageArrived,
    NothingReady,
    Origin,
    ReadArrived,
    Result,
    TakeArrived,
    Ticket,
    TransferArrived,
    Unserved,
)
from glassraft.replica.driver import Driver
from glassraft.replica.finished import FinishedJobs
from glassraft.replica.peers import origin_of
from glassraft.replica.state import wire_state
from glassraft.replica.turn import PENDING_S, Replica
from glassraft.rpc.faults import Fault
from glassraft.rpc.methods import LATER, Call, Later, Method, as_fault
from glassraft.rpc.raft_calls import (
    APPEND_ENTRIES_SIGNATURE,
    INSTALL_SNAPSHOT_SIGNATURE,
    REQUEST_VOTE_SIGNATURE,
    TIMEOUT_NOW_SIGNATURE,
    Context,
    Reply,
    from_call,
    to_reply,
)
from glassraft.storage.queue_store import QueueStore

PEER_TIMEOUT_S = 10.0
LONGEST_WAIT_S = 60.0
"""A Take or Wait is answered after this at the latest; the client asks again."""

EVENTS_AT_ONCE = 2_000
BYTES_AT_ONCE = 1024 * 1024


SHORT = frozenset(
    (
        "Submit",
        "SubmitMany",
        "Extend",
        "Complete",
        "CompleteMany",
        "Fail",
        "Release",
        "Cancel",
        "Retry",
        "Purge",
        "Update",
        "SetQueue",
    )
)
"""Methods that only bring a command: the driver answers."""


CHANGE_REFUSED: Mapping[str, tuple[str, str]] = {
    "term_not_committed": ("change_under_way", "this leader's first entry is not committed yet; try again"),
    "change_under_way": (
        "change_under_way",
        "the change of membership before this one is not committed; try again",
    ),
    "not_caught_up": (
        "not_caught_up",
        "n{id} has not caught up: it stays a learner, and votes once it has. Does it run at its address?",
    ),
    "removed": ("not_member", "n{id} was removed before it had caught up"),
    "already_member": ("already_member", "n{id} is a member already"),
    "not_member": ("not_member", "n{id} is no member"),
    "last_voter": ("last_voter", "n{id} is the last voter: add another server first"),
}
"""The fault and its sentence for each refusal of a change."""


_TRANSFER_REFUSALS: Mapping[str, str] = {
    "transfer_under_way": "n{n} hands its lead over already",
    "no_target": "no other voter answers n{n}, so there is nobody to hand the lead over to",
    "transfer_failed": "nobody else led within an election timeout",
}


class Service:
    """One node's methods."""

    def __init__(self, id: int, cluster_id: str) -> None:
        self._id = id
        self._cluster_id = cluster_id
        self.finished = FinishedJobs()

    def serve(self, replica: Replica, driver: Driver, queue: QueueStore, writer: EventWriter) -> None:
        """Whose driver to bring calls to."""
        self._replica = replica
        self._driver = driver
        self._queue = queue
        self._writer = writer

    def methods(self) -> dict[str, Method]:
        """By name, with their signatures: the result's type first."""
        table: dict[str, tuple[Callable[..., Any], tuple[str, ...], int]] = {
            "Submit": (self.submit, ("struct", "string", "int", "int", "string"), 4),
            "SubmitMany": (self.submit_many, ("struct", "string", "int", "int", "string"), 4),
            "Take": (
                self.take,
                ("struct", "string", "int", "int", "string", "string", "int", "int", "int"),
                8,
            ),
            "Extend": (self.extend, ("struct", "string", "int", "string"), 3),
            "Complete": (self.complete, ("struct", "string", "int", "string", "string"), 3),
            "CompleteMany": (self.complete_many, ("struct", "string"), 1),
            "Fail": (self.fail, ("struct", "string", "int", "string", "string", "boolean"), 5),
            "Release": (self.release, ("struct", "string", "int", "int", "string"), 3),
            "Cancel": (self.cancel, ("struct", "string", "int", "int", "string"), 4),
            "Retry": (self.retry, ("struct", "string", "int", "int", "string", "int", "boolean"), 4),
            "Purge": (self.purge, ("struct", "string", "int", "int", "string"), 4),
            "Update": (self.update, ("struct", "string", "int", "int", "string"), 4),
            "SetQueue": (self.set_queue, ("struct", "string", "int", "int", "string", "string"), 5),
            "Get": (self.get, ("struct", "string", "boolean"), 1),
            "List": (self.list, ("struct", "string", "boolean"), 0),
            "Stats": (self.stats, ("struct", "boolean"), 0),
            "Wait": (self.wait, ("struct", "string", "int"), 2),
        }
        served = {
            name: Method(
                self._answering(name, function), signature, required, _help(function), short=name in SHORT
            )
            for name, (function, signature, required) in table.items()
        }
        served["RequestVote"] = Method(
            self.request_vote, REQUEST_VOTE_SIGNATURE, 5, _help(self.request_vote), vital=True
        )
        served["AppendEntries"] = Method(
            self.append_entries, APPEND_ENTRIES_SIGNATURE, 7, _help(self.append_entries), vital=True
        )
        served["InstallSnapshot"] = Method(
            self.install_snapshot, INSTALL_SNAPSHOT_SIGNATURE, 8, _help(self.install_snapshot)
        )
        served["AddServer"] = Method(
            self._answering("AddServer", self.add_server),
            ("struct", "int", "string", "int"),
            3,
            _help(self.add_server),
        )
        served["RemoveServer"] = Method(
            self._answering("RemoveServer", self.remove_server),
            ("struct", "int"),
            1,
            _help(self.remove_server),
        )
        served["TimeoutNow"] = Method(
            self.timeout_now, TIMEOUT_NOW_SIGNATURE, 3, _help(self.timeout_now), vital=True
        )
        served["TransferLeadership"] = Method(
            self.transfer_leadership, ("struct", "int"), 0, _help(self.transfer_leadership)
        )
        served["State"] = Method(self.state, ("struct", "int"), 0, _help(self.state))
        served["Events"] = Method(self.events, ("struct", "int"), 1, _help(self.events))
        served["Ping"] = Method(self.ping, ("struct",), 0, _help(self.ping))
        return served

    # The paper's calls

    def request_vote(
        self,
        call: Call,
        term: int,
        candidateId: int,
        lastLogIndex: int,
        lastLogTerm: int,
        context: dict[str, Any],
    ) -> str:
        """A candidate asks for this node's vote (§5.2)."""
        return self._from_peer(call, "RequestVote", (term, candidateId, lastLogIndex, lastLogTerm, context))

    def append_entries(
        self,
        call: Call,
        term: int,
        leaderId: int,
        prevLogIndex: int,
        prevLogTerm: int,
        entries: str,
        leaderCommit: int,
        context: dict[str, Any],
    ) -> str:
        """A leader replicates entries, or says that it lives (§5.3). `entries` is JSON, docs/wire.md."""
        params = (term, leaderId, prevLogIndex, prevLogTerm, entries, leaderCommit, context)
        return self._from_peer(call, "AppendEntries", params)

    def install_snapshot(
        self,
        call: Call,
        term: int,
        leaderId: int,
        lastIncludedIndex: int,
        lastIncludedTerm: int,
        offset: int,
        data: bytes,
        done: bool,
        context: dict[str, Any],
    ) -> str:
        """A leader sends a chunk of a snapshot to a node whose next entry is gone from its log (§7)."""
        params = (term, leaderId, lastIncludedIndex, lastIncludedTerm, offset, data, done, context)
        return self._from_peer(call, "InstallSnapshot", params)

    def timeout_now(self, call: Call, term: int, leaderId: int, context: dict[str, Any]) -> str:
        """The leader wants this node to stand for election at once, in its place (diss. §3.10)."""
        return self._from_peer(call, "TimeoutNow", (term, leaderId, context))

    def _from_peer(self, call: Call, method: str, params: Sequence[Any]) -> str:
        message, context = from_call(method, params, self._id)
        if context.cluster != self._cluster_id:
            raise Fault.named(
                "wrong_cluster", f"n{self._id} belongs to another cluster than n{context.sender}"
            )
        if message.sender == self._id:
            raise Fault.named("bad_argument", f"n{message.sender} is no peer of n{self._id}")
        answered = Ticket()

        def respond(reply: Message, origin: Origin) -> None:
            assert isinstance(reply, Reply)
            _give(call, to_reply(reply, self._context(origin)))
            answered.settle(NothingReady())

        self._driver.bring(MessageArrived(message, origin_of(context), respond))
        if answered.wait(PEER_TIMEOUT_S) is None:
            raise Fault.named("timeout", f"n{self._id} is too busy to answer")
        return ""

    def _context(self, origin: Origin) -> Context:
        return Context(origin.id, origin.clock, origin.wall_ms, self._id, self._cluster_id)

    # The queue: commands

    def submit(self, call: Call, session: str, number: int, low: int, job: str) -> Later:
        """Put one job, a JSON object, into its queue. Durable on a majority when this answers."""
        arguments = commands.check_submit([_json(job, "job")])
        return self._command(
            call,
            "Submit",
            arguments,
            the_one_submitted,
            (session, number, low),
        )

    def submit_many(self, call: Call, session: str, number: int, low: int, jobs: str) -> Later:
        """Put up to 1,000 jobs, a JSON list of objects, into their queues: all, or none with a fault."""
        arguments = commands.check_submit(_json(jobs, "jobs"))
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
        names = _json(queues, "queues")
        arguments = commands.check_take(worker, names, count, lease_ms)
        commands.check_session(session, number, low)
        ticket = TakeTicket(self._queue)
        wait_s = min(max(wait_ms, 0) / 1000, LONGEST_WAIT_S)
        command = CommandArrived("Take", arguments, ticket, session, number, low)
        until = time.monotonic() + wait_s
        self._driver.bring(
            TakeArrived(command, tuple(dict.fromkeys(names)), count, until, call.connection_alive)
        )
        result = ticket.wait(wait_s + 2 * PENDING_S)
        if isinstance(result, NothingReady):
            return {"jobs": "[]"}
        self._served(result)
        return {"jobs": canonical(ticket.jobs)}

    def extend(self, call: Call, worker: str, lease_ms: int, items: str) -> Later:
        """Keep leases alive: a JSON list of [id, token, fraction?, note?]. An answer for each."""
        return self._command(
            call, "Extend", commands.check_extend(worker, _json(items, "items"), lease_ms), each_item
        )

    def complete(self, call: Call, job: str, token: int, result: str, submit: str = "[]") -> Later:
        """The attempt under this token succeeded with this result, any JSON; `submit`: jobs that come of it."""
        item = [job, token, _json(result, "result"), _json(submit, "submit")]
        arguments = commands.check_complete([item])
        return self._command(call, "Complete", arguments, the_one_item)

    def complete_many(self, call: Call, items: str) -> Later:
        """Many attempts succeeded: a JSON list of [id, token, result]. An answer for each."""
        return self._command(call, "Complete", commands.check_complete(_json(items, "items")), each_item)

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
        arguments = commands.check_cancel(_json(jobs, "jobs"))
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
        arguments = commands.check_retry(_json(jobs, "jobs"), attempts or None, dependents)
        return self._command(call, "Retry", arguments, each_item, (session, number, low))

    def purge(self, call: Call, session: str, number: int, low: int, jobs: str) -> Later:
        """Remove finished jobs, with their results and histories."""
        arguments = commands.check_purge(_json(jobs, "jobs"))
        return self._command(call, "Purge", arguments, each_item, (session, number, low))

    def update(self, call: Call, session: str, number: int, low: int, changes: str) -> Later:
        """Change jobs that do not run yet: a JSON list of {"job", and any of args, kwargs, priority, ...}."""
        arguments = commands.check_update(_json(changes, "changes"))
        return self._command(call, "Update", arguments, each_item, (session, number, low))

    def set_queue(self, call: Call, session: str, number: int, low: int, queue: str, settings: str) -> Later:
        """Pause or limit a queue: `settings` is a JSON object of any of paused, max_running and rate."""
        arguments = commands.check_set_queue(queue, _json(settings, "settings"))
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
        self._driver.bring(CommandArrived(op, arguments, later, *numbered))
        return LATER

    def finish(self, call: Call, began: float, result: Result, make_answer: MakeAnswer) -> None:
        """A command's result is known: answer its call, and record that."""
        fields: dict[str, Any] = {}
        try:
            index, answer = self._served(result)
            value: Any = make_answer(index, answer)
            outcome, fields["index"] = "ok", index
            if "jobs" in answer:
                fields["jobs"] = len(answer["jobs"])
        except Fault as fault:
            value, outcome = fault, fault.name
        except Exception as error:  # within the turn, which one call's answer must not end
            traceback.print_exception(error)
            value, outcome = as_fault(call.method, error), "internal"
        _give(call, value)
        self._record(call.method, began, outcome, fields)

    def _served(self, result: Result | None) -> tuple[int, dict[str, Any]]:
        """The index and the answer. Raises the Fault that fits."""
        if not isinstance(result, Applied):
            raise self._unserved(result)
        refusal = result.outcome.refusal
        if refusal is not None:
            raise Fault.named(refusal.code_name, refusal.message, refusal.detail)
        return result.index, result.outcome.answer or {}

    def _unserved(self, result: Result | None) -> Fault:
        why = result.why if isinstance(result, Unserved) else "no_quorum"
        if why == "no_quorum":
            return self._no_quorum("outcome_unknown", "the command may still be committed")
        if why == "full":
            return Fault.named("full", "too many commands wait for a majority of the nodes; try again later")
        if why == "shutting_down":
            return Fault.named("shutting_down", f"n{self._id} is shutting down")
        name = "outcome_unknown" if why == "deposed" else "not_leader"
        said = {
            "deposed": f"n{self._id} lost the lead meanwhile",
            "transferring": f"n{self._id} hands its lead over",
        }.get(why, f"n{self._id} does not lead")
        server, addresses = self._replica.server, self._replica.addresses
        leader = server.leader_id
        detail: dict[str, Any] = {
            "leader_id": 0,
            "members": len(server.configuration.voters),
            "nodes": [addresses[id] for id in server.members if id in addresses],
        }
        if leader is None or leader == self._id or leader not in addresses:
            return Fault.named(name, f"{said}, and no leader is known yet", detail)
        host, port = addresses[leader]
        detail |= {"leader_id": leader, "host": host, "port": port}
        return Fault.named(name, f"{said}; ask n{leader} at {host}:{port}", detail)

    def _no_quorum(self, name: str, fate: str) -> Fault:
        voters = len(self._replica.server.configuration.voters)
        needed = voters // 2 + 1
        return Fault.named(
            name,
            f"no quorum: n{self._id} got no answer from a majority ({needed} of {voters} nodes are "
            f"needed) within {PENDING_S:g} s; {fate}",
            {"needed": needed, "members": voters},
        )

    # Administration

    def add_server(self, call: Call, id: int, host: str, port: int) -> dict[str, Any]:
        """Make a server that runs at this address a member. Answers once it votes (diss. §4.2.1)."""
        if id < 1 or not host or not 0 < port < 65_536:
            raise BadArgument(
                f"a server needs an id from 1 on, a host and a port, not {id}, {host!r}, {port}"
            )
        return self._change(id, "add", (host, port), LONGEST_WAIT_S)

    def remove_server(self, call: Call, id: int) -> dict[str, Any]:
        """Let a server be no member any more. Answers once that is committed (diss. §4.2.2)."""
        return self._change(id, "remove", None, 2 * PENDING_S)

    def _change(
        self, id: int, change: Literal["add", "remove"], address: Address | None, wait_s: float
    ) -> dict[str, Any]:
        ticket = Ticket()
        self._driver.bring(ChangeArrived(change, id, ticket, address))
        result = ticket.wait(wait_s)
        if isinstance(result, Applied):
            configuration = self._replica.server.configuration
            return {
                "index": result.index,
                "members": [*configuration.voters],
                "learners": [*configuration.learners],
            }
        why = result.why if isinstance(result, Unserved) else "not_caught_up" if change == "add" else ""
        if why in CHANGE_REFUSED:
            name, text = CHANGE_REFUSED[why]
            raise Fault.named(name, text.format(id=id))
        raise self._unserved(result)

    def transfer_leadership(self, call: Call, target: int = 0) -> dict[str, Any]:
        """The leader hands its lead over to the node `target`, or with 0 to the one that is furthest."""
        ticket = Ticket()
        self._driver.bring(TransferArrived(ticket, target or None))
        result = ticket.wait(2 * PENDING_S)
        if isinstance(result, HandedOver):
            return {"leader_id": result.leader_id, "term": result.term}
        why = result.why if isinstance(result, Unserved) else "transfer_failed"
        if why == "not_voter":
            raise BadArgument(f"target is {target}, which is no voter of this cluster")
        if why not in _TRANSFER_REFUSALS:
            raise self._unserved(result)
        raise Fault.named("transfer_failed", _TRANSFER_REFUSALS[why].format(n=self._id), {"why": why})

    # The queue: reads

    def get(self, call: Call, job: str, stale: bool = False) -> dict[str, Any]:
        """All about one job, as JSON."""
        number = ids.from_text(job)
        self._read(stale)
        with self._queue.reading() as reader:
            found = reader.get(job)
        if found is None:
            raise Fault.named("not_found", f"there is no job {ids.to_text(number)}")
        return {"job": canonical(found), **self._age(stale)}

    def list(self, call: Call, filter: str = "{}", stale: bool = False) -> dict[str, Any]:
        """Jobs, newest first, as JSON. `filter` is a JSON object of state, queue, task, limit, after."""
        wanted = _json(filter, "filter")
        if not isinstance(wanted, dict) or not set(wanted) <= {"state", "queue", "task", "limit", "after"}:
            raise BadArgument(
                f"filter must be an object of state, queue, task, limit and after, not {filter[:80]}"
            )
        self._read(stale)
        with self._queue.reading() as reader:
            page = reader.list(**{key: value for key, value in wanted.items() if value is not None})
        return {"jobs": canonical(page["jobs"]), "next": page["next"], **self._age(stale)}

    def stats(self, call: Call, stale: bool = False) -> dict[str, Any]:
        """Counts by queue and state, as JSON."""
        self._read(stale)
        with self._queue.reading() as reader:
            return {"stats": canonical(reader.stats()), **self._age(stale)}

    def wait(self, call: Call, jobs: str, timeout_ms: int) -> dict[str, Any]:
        """Those of the jobs (a JSON list of ids) that are finished, as soon as one is, or after the timeout.

        Where their results are large, only the first of them: ask again for the rest.
        """
        names = _json(jobs, "jobs")
        if not isinstance(names, list) or not 1 <= len(names) <= 1_000:
            raise BadArgument("jobs must be a JSON list of 1 to 1000 ids")
        numbers = [ids.from_text(name) for name in names]
        deadline = time.monotonic() + min(max(timeout_ms, 0) / 1000, LONGEST_WAIT_S)
        with self.finished.watching(numbers) as one_finished:
            self._read(stale=False)
            finished = self._finished_of(names)
            while not finished and call.connection_alive():
                left_s = deadline - time.monotonic()
                if left_s <= 0 or one_finished.wait(min(left_s, 1.0)):
                    break
            finished = finished or self._finished_of(names)
            return {"jobs": "[" + ",".join(finished) + "]"}

    def _finished_of(self, names: Sequence[str]) -> Sequence[str]:
        """Those that are finished, as JSON, up to BYTES_AT_ONCE of it."""
        finished: list[str] = []
        size = 0
        with self._queue.reading() as reader:
            for name in names:
                outcome = reader.outcome(name)
                if outcome is None:
                    raise Fault.named("not_found", f"there is no job {name}")
                if outcome["state"] in FINISHED:
                    finished.append(canonical(outcome))
                    size += len(finished[-1])
                    if size >= BYTES_AT_ONCE:
                        break
        return finished

    def _read(self, stale: bool) -> None:
        """Returns when what is applied here holds all that was committed when the call came; at once if `stale`."""
        if stale:
            return
        ticket = Ticket()
        self._driver.bring(ReadArrived(ticket))
        result = ticket.wait(2 * PENDING_S)
        if result is None or result == Unserved("no_quorum"):
            raise self._no_quorum("no_quorum", "nothing was read")
        if isinstance(result, Unserved):
            raise self._unserved(result)

    def _age(self, stale: bool) -> dict[str, int]:
        """How old a stale read may be, at least: the time since this node heard a leader."""
        if not stale or self._replica.server.role == "leader":
            return {}
        return {"stale_ms": int((time.monotonic() - self._replica.leader_heard_at) * 1000)}

    # For the window and tools

    def state(self, call: Call, since: int = 0) -> dict[str, Any]:
        """This node's role, term, log and progress, at one moment. `changed`: whether anything happened since."""
        seen: list[dict[str, Any]] = []
        try:
            self._driver.look(lambda replica: seen.append(wire_state(replica)))
        except TimeoutError as error:
            raise Fault.named("busy", f"n{self._id}: {error}") from None
        state = seen[0]
        state["changed"] = state["seq"] > since
        state["cluster"] = self._cluster_id
        return state

    def events(self, call: Call, since: int) -> dict[str, Any]:
        """What this node recorded after its event number `since`: JSON, docs/events.md; `next` to go on with."""
        lines, following = self._writer.since(since, EVENTS_AT_ONCE)
        size = 0
        for count, line in enumerate(lines):
            size += len(line)
            if size > BYTES_AT_ONCE:
                following = json.loads(lines[count])["seq"]
                lines = lines[: count + 1]
                break
        return {"events": "[" + ",".join(line.strip() for line in lines) + "]", "next": following}

    def ping(self, call: Call) -> dict[str, Any]:
        """Who this is, without asking the driver: answers as long as the process does."""
        server = self._replica.server
        return {
            "id": self._id,
            "pid": os.getpid(),
            "version": __version__,
            "cluster": self._cluster_id,
            "role": server.role,
            "term": server.current_term,
            "leader_id": server.leader_id or 0,
        }

    def _answering(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Record each answered call with its time and outcome; one that is answered later is recorded then."""

        def answer(call: Call, *params: Any) -> Any:
            began = time.perf_counter()
            outcome = "internal"
            try:
                value = function(call, *params)
                outcome = "" if value is LATER else "ok"
                return value
            except Fault as fault:
                outcome = fault.name
                raise
            except TooLarge as error:
                outcome = "too_large"
                raise Fault.named("too_large", str(error)) from None
            except BadArgument:
                outcome = "bad_argument"
                raise
            finally:
                if outcome:
                    self._record(name, began, outcome, {})

        answer.__wrapped__ = function  # type: ignore[attr-defined]  # inspect reads the parameters' names there
        return answer

    def _record(self, method: str, began: float, outcome: str, fields: Mapping[str, Any]) -> None:
        ms = round((time.perf_counter() - began) * 1000, 3)
        self._writer.write(
            "answer", self._replica.server.current_term, method=method, ms=ms, outcome=outcome, **fields
        )


def _give(call: Call, value: Any) -> None:
    """Answer a call from within the turn, which a bug on the way to one caller must not end."""
    try:
        call.respond(value)
    except Exception as error:
        traceback.print_exception(error)


def _help(function: Callable[..., Any]) -> str:
    return (function.__doc__ or "").strip()


def _json(text: str, what: str) -> Any:
    try:
        return parse(text)
    except BadArgument as error:
        raise BadArgument(f"{what}: {error}") from None
