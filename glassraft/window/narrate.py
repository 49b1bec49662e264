"""What happened and why, in plain English: events to sentences, each with its section of the paper.

A sentence begins with a verb, because the node's name stands before it. What would only be
noise (heartbeats, timers, answers that went well) is left out; commits and applied commands
are drawn together while they come thick. Next: scene/story.py shows the sentences.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from glassraft.events import Event, Fold, NodeFold
from glassraft.jobqueue.ids import to_text

SECTIONS: Mapping[str, str] = {
    "term_is_stale": "§5.1",
    "term_is_newer": "§5.1",
    "election_timeout_elapsed": "§5.2",
    "may_grant_vote": "§5.2",
    "majority_would_vote": "diss. §9.6",
    "may_grant_pre_vote": "diss. §9.6",
    "leader_is_alive": "diss. §4.2.3",
    "leads_until": "diss. §6.2",
    "leader_wants_it": "diss. §3.10",
    "hands_over": "diss. §3.10",
    "is_majority": "§5.2",
    "heard_leader_of_its_term": "§5.2",
    "candidate_log_is_up_to_date": "§5.4.1",
    "opens_term_with_empty_entry": "§8",
    "log_holds_previous_entry": "§5.3",
    "entry_conflicts": "§5.3",
    "commit_index_by_majority": "§5.3",
    "retried_for_ever": "§5.5",
    "applied_in_order": "§5.3",
    "no_quorum": "§5.3",
    "needs_snapshot": "§7",
    "snapshot_is_ahead": "§7",
    "snapshot_is_doubted": "§7",
    "highest_compactable": "§7",
}
"""Which section of the paper a rule is from, by the rule's name in the events' `why`."""

CALM_S = 1.0
BUSY_S = 8.0
REMEMBERED_S = 10.0

PLAUSIBLE_S = (0.01, 3600.0)
"""A wait outside this is not told: the timer's own start was not heard of in time."""

FIRST_EVENTS = 3
"""A node's very first start is among so many of its events; any later one is a coming back."""

REFUSED_VOTE: Mapping[str, str] = {
    "term_is_stale": "refuses n{candidate} its vote: that is for an older term than {term}",
    "may_grant_vote": "refuses n{candidate} its vote: it gave it to {voted} in term {term}",
    "candidate_log_is_up_to_date": "refuses n{candidate} its vote: its own log goes further",
    "leader_is_alive": "refuses n{candidate} its vote: it hears a leader",
}

WOULD_REFUSE: Mapping[str, str] = {
    "term_is_stale": "that would be for an older term than {term}",
    "may_grant_pre_vote": "term {term} has begun already",
    "candidate_log_is_up_to_date": "its own log goes further",
    "leader_is_alive": "it hears a leader",
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One thing that happened: when (wall clock, seconds), to which node, in which term, and what."""

    serial: int
    ts: float
    node: int
    term: int
    text: str
    section: str


Move = tuple[int | str, str, str]
"""A job and the states from which and to which it went."""

Moves = tuple[Counter[tuple[str, str]], int | str]
"""How many jobs went from which state to which, and one of them."""

Tell = Callable[[int, Moves], str]
"""The words for all from an entry on, with what became of jobs."""


@dataclass(slots=True)
class _Gathered:
    """What of one kind has happened since it was last told, and how soon it may be told again."""

    told: float = float("-inf")
    pause_s: float = CALM_S
    first: int | None = None
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    job: int | str = ""
    held: tuple[Event, Tell, str] | None = None

    def take(self, moves: Iterable[Move]) -> None:
        """Count what became of jobs."""
        for self.job, before, after in moves:
            self.moves[before, after] += 1

    def text(self, now: float) -> str:
        """The words for all that was gathered, told with that; the busier, the longer the next pause."""
        assert self.held is not None
        assert self.first is not None
        words = self.held[1](self.first, (self.moves, self.job))
        quiet = now - self.told > 2 * self.pause_s
        self.pause_s = CALM_S if quiet else min(BUSY_S, self.pause_s * 1.6)
        self.told, self.first, self.moves, self.held = now, None, Counter(), None
        return words


class Narrator:
    """Tells what happened. Told of every event before it is folded, in order."""

    def __init__(self) -> None:
        self._serial = 0
        self._latest = float("-inf")
        self._gathered: dict[str, _Gathered] = {}
        self._remembered: dict[tuple[object, ...], float] = {}

    def take(self, event: Event, fold: Fold) -> Sentence | None:
        """The sentence for this event, if it is worth one."""
        tell = _TELLERS.get(event["event"])
        if tell is None:
            return None
        node = fold.nodes.get(event["node"]) or NodeFold(event["node"])
        told = tell(self, event, node)
        return self.say(event["ts"], event["node"], event["term"], *told) if told else None

    def say(self, ts: float, node: int, term: int, text: str, rule: str = "") -> Sentence:
        """A sentence with its number; `rule` names what it rests on."""
        self._serial += 1
        self._latest = max(self._latest, ts)
        return Sentence(self._serial, ts, node, term, text, SECTIONS.get(rule, ""))

    def _start(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        again = " again" if event["seq"] > FIRST_EVENTS else ""
        return f"comes up{again} as process {event.get('pid', '?')}", ""

    def _stop(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        return "stops cleanly: " + (event.get("reason") or "it was asked to"), ""

    def _role(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        return getattr(self, f"_becomes_{event['role']}")(event, node)  # type: ignore[no-any-return]

    def _becomes_candidate(self, event: Event, node: NodeFold) -> tuple[str, str]:
        term = event["term"]
        if event.get("why") == "majority_would_vote":
            return f"knows that a majority would vote for it, so it starts an election in term {term}", event[
                "why"
            ]
        if event.get("why") == "leader_wants_it":
            return f"is told by the leader to take its place, so it starts an election in term {term}", event[
                "why"
            ]
        if node.role == "candidate":
            return f"found no majority in time, so it tries again in term {term}", "election_timeout_elapsed"
        waited = event["ts"] - node.timer_started
        heard = (
            f"heard no leader for {waited:.2f} s"
            if PLAUSIBLE_S[0] < waited < PLAUSIBLE_S[1]
            else "heard no leader in time"
        )
        return f"{heard}, so it starts an election in term {term}", "election_timeout_elapsed"

    def _becomes_leader(self, event: Event, node: NodeFold) -> tuple[str, str]:
        votes, members = node.votes_granted, len(node.members) or 1
        if not votes:
            return f"has a majority of votes, so it leads term {event['term']}", "is_majority"
        who = names(votes, node.id)
        return (
            f"has the votes of {who}: {len(votes)} of {members}, so it leads term {event['term']}",
            "is_majority",
        )

    def _becomes_follower(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        leader, term = event.get("leader_id"), event["term"]
        if event.get("why") == "leads_until":
            return (
                "got no answer from a majority for an election timeout, so it leads no longer",
                "leads_until",
            )
        if node.role == "leader":
            return f"hears of term {term}, so it leads no longer", "term_is_newer"
        if leader:
            return (
                f"hears that n{leader} leads term {term}, so it gives its election up",
                "heard_leader_of_its_term",
            )
        return f"hears of term {term}, so it gives its election up", "term_is_newer"

    def _leader(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        leader = event["leader_id"]
        if not leader or node.role != "follower" or node.voted_for == leader:
            return None
        return f"hears leader n{leader} and follows it in term {event['term']}", "heard_leader_of_its_term"

    def _vote(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        candidate, why = event["candidate"], event.get("why", "")
        if candidate == node.id:
            return None
        if event["granted"]:
            return (
                f"votes for n{candidate}, whose log is no shorter than its own",
                "candidate_log_is_up_to_date",
            )
        voted = "itself" if node.voted_for == node.id else f"n{node.voted_for}"
        text = REFUSED_VOTE.get(why, "refuses n{candidate} its vote: " + why.replace("_", " "))
        return text.format(candidate=candidate, voted=voted, term=event["term"]), why

    def _pre_vote(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        candidate, why = event["candidate"], event.get("why", "")
        if event["granted"]:
            return f"would vote for n{candidate}, whose log is no shorter than its own", "majority_would_vote"
        if self._said_lately(event, "would refuse", node.id, candidate, why):
            return None
        reason = WOULD_REFUSE.get(why, why.replace("_", " ")).format(term=event["term"])
        return f"would not vote for n{candidate}: {reason}", why

    def _transfer(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        told = {
            "begun": "takes no more commands: it hands its lead over to n{target}",
            "given up": "gives up handing its lead over to n{target}",
        }.get(event["state"])
        return (told.format(target=event["target"]), "hands_over") if told else None

    def _send(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        kind = event["kind"]
        if kind == "RequestVote":
            if self._said_lately(event, "asks", node.id, event["term"], event.get("pre_vote")):
                return None
            others = [member for member in node.members if member != node.id] or [event["to"]]
            if event.get("pre_vote"):
                return (
                    f"heard no leader, and asks {names(others)} who would vote for it",
                    "majority_would_vote",
                )
            ask = "its vote" if len(others) == 1 else "their votes"
            return f"asks {names(others)} for {ask}", "election_timeout_elapsed"
        if kind == "AppendEntriesReply" and not event.get("success", True):
            return self._refused_entries(event, node)
        return None

    def _refused_entries(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        why, to = event.get("why", ""), event["to"]
        if self._said_lately(event, "refuses", node.id, to, why):
            return None
        if why == "term_is_stale" or event.get("conflict") is None:
            return (
                f"refuses what n{to} sends: its term is over, this is term {event['term']}",
                "term_is_stale",
            )
        term, index = event["conflict"]
        lacks = (
            f"its own entries are of term {term} from {index} on" if term else f"its log ends at {index - 1}"
        )
        return f"refuses what n{to} sends: {lacks}", "log_holds_previous_entry"

    def _lost(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        to, why = event["to"], event.get("why", "") or "no answer"
        if self._said_lately(event, "lost", node.id, to):
            return None
        return f"cannot reach n{to} ({why}) and goes on trying", "retried_for_ever"

    def _append(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        opening = next((row for row in event["entries"] if row[2] == "noop"), None)
        if opening is None or node.role != "leader":
            return None
        return f"begins term {opening[1]} with an empty entry at {opening[0]}", "opens_term_with_empty_entry"

    def _truncate(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        what = entries(event["from"], event["last"])
        leader = f"n{node.leader_id}'s log" if node.leader_id else "the leader's log"
        return f"removes {what}: {leader} has others there, and they were never committed", "entry_conflicts"

    def _compact(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        if self._said_lately(event, "compact", node.id):
            return None
        return (
            f"forgets its log up to {event['first'] - 1}: the queue's file holds it",
            "highest_compactable",
        )

    def _snapshot(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        return (
            f"makes a snapshot of its queue up to entry {event['index']}, for who needs what the log forgot",
            "needs_snapshot",
        )

    def _doubt(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        return (
            "will make another snapshot: a follower that had all of this one wants it anew",
            "snapshot_is_doubted",
        )

    def _install(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        leader = f"n{node.leader_id}'s snapshot" if node.leader_id else "the leader's snapshot"
        return f"takes {leader} for its queue: everything up to entry {event['index']}", "snapshot_is_ahead"

    def _commit(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        holders, index = event.get("holders"), event["index"]
        if holders is None:
            return None
        members = len(node.members) or len(holders)

        def tell(first: int, _moves: Moves) -> str:
            so = f"{index} is committed" if first >= index else f"{first} to {index} are committed"
            return f"has entry {index} on {names(holders, node.id)}: {len(holders)} of {members}, so {so}"

        return self._gather("commit", event, event["was"] + 1, (), tell, "commit_index_by_majority")

    def _apply(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        if node.role != "leader" or not event["jobs"]:
            return None

        def tell(first: int, moves: Moves) -> str:
            return f"runs {entries(first, event['last'])}: {_told(moves)}"

        return self._gather("apply", event, event["first"], event["jobs"], tell, "applied_in_order")

    def _answer(self, event: Event, node: NodeFold) -> tuple[str, str] | None:
        outcome = event["outcome"]
        if outcome != "no_quorum" or self._said_lately(event, "answer", node.id, outcome):
            return None
        return f"answers {event['method']} with “no quorum”: a majority does not reply", "no_quorum"

    def _gather(
        self, what: str, event: Event, first: int, moves: Iterable[Move], tell: Tell, rule: str
    ) -> tuple[str, str] | None:
        """What to say now of this and of what was held back before; None when it is held back too."""
        gathered = self._gathered.setdefault(what, _Gathered())
        if gathered.first is None:
            gathered.first = first
        gathered.take(moves)
        gathered.held = (event, tell, rule)
        if 0 <= event["ts"] - gathered.told < gathered.pause_s:
            return None
        return gathered.text(event["ts"]), rule

    def due(self, now: float) -> list[Sentence]:
        """Sentences about what was held back, once they have waited long enough."""
        found = []
        for gathered in self._gathered.values():
            if gathered.held is not None and now - gathered.told >= gathered.pause_s:
                event, _tell, rule = gathered.held
                ts = max(event["ts"], self._latest)
                found.append(self.say(ts, event["node"], event["term"], gathered.text(now), rule))
        return found

    def _said_lately(self, event: Event, *what: object) -> bool:
        """Whether the same was said a few seconds ago; says it otherwise."""
        last = self._remembered.get(what, float("-inf"))
        if 0 <= event["ts"] - last < REMEMBERED_S:
            self._remembered[what] = event["ts"]
            return True
        if len(self._remembered) > 500:
            self._remembered.clear()
        self._remembered[what] = event["ts"]
        return False


_TELLERS: Mapping[str, Callable[[Narrator, Event, NodeFold], tuple[str, str] | None]] = {
    "start": Narrator._start,
    "stop": Narrator._stop,
    "role": Narrator._role,
    "leader": Narrator._leader,
    "vote": Narrator._vote,
    "pre_vote": Narrator._pre_vote,
    "transfer": Narrator._transfer,
    "send": Narrator._send,
    "lost": Narrator._lost,
    "append": Narrator._append,
    "truncate": Narrator._truncate,
    "compact": Narrator._compact,
    "snapshot": Narrator._snapshot,
    "doubt": Narrator._doubt,
    "install": Narrator._install,
    "commit": Narrator._commit,
    "apply": Narrator._apply,
    "answer": Narrator._answer,
}


def names(ids: Collection[int], self_id: int | None = None) -> str:
    """ "n1, n2 and itself": the node itself comes last."""
    words = [f"n{id}" for id in sorted(ids) if id != self_id]
    if self_id is not None and self_id in ids:
        words.append("itself")
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def entries(first: int, last: int) -> str:
    """ "entry 17", "entries 17 to 19"."""
    return f"entry {first}" if first >= last else f"entries {first} to {last}"


_MOVES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("", "ready"): ("is submitted", "submitted"),
    ("", "scheduled"): ("is submitted for later", "submitted for later"),
    ("", "waiting"): ("is submitted, to come after others", "submitted"),
    ("ready", "running"): ("is taken by a worker", "taken"),
    ("running", "succeeded"): ("is done", "done"),
    ("running", "scheduled"): ("failed and will be tried again", "to be tried again"),
    ("running", "ready"): ("is given back", "given back"),
    ("running", "dead"): ("failed for good", "failed for good"),
    ("scheduled", "ready"): ("is due", "due"),
}
"""What became of a job, of one by its id and of many by their number."""


def _told(moves: Moves) -> str:
    counts, job = moves
    words = {move: _MOVES.get(move, (f"is {move[1] or 'pruned'}", move[1] or "pruned")) for move in counts}
    if counts.total() == 1:
        id = to_text(job) if isinstance(job, int) else job
        return f"job {id} {next(iter(words.values()))[0]}"
    (first, many), *others = counts.most_common(4)
    parts = [f"{many:,} {'job' if many == 1 else 'jobs'} {words[first][1]}"]
    return ", ".join(parts + [f"{count:,} {words[move][1]}" for move, count in others])
