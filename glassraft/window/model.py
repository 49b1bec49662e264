"""All that the window knows: items from a source, folded in order of time, a moment behind the present.

Events of several nodes come in batches; drawn as they came they would jump. So the model's
`now` runs DELAY_S behind, and an event counts when its time has come: effects follow causes,
and everything moves evenly. Where events come faster than they can be shown, messages are
passed over and the rest is folded. No thread, no display. Next: view.py and scene/.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from glassraft.events import Event, Flight, Fold, NodeFold
from glassraft.window.history import Lane
from glassraft.window.measures import Measures
from glassraft.window.narrate import CALM_S, Narrator, Sentence
from glassraft.window.source import Batch, Item, Overview, Standing
from glassraft.window.traffic import Traffic

DELAY_S = 0.18
SETTLE_S = 0.4
"""At first, until every node that answers has been heard: so that what is past is told in order."""

MAX_SENTENCES = 2000
HURRY_ABOVE = 4000
"""More events waiting than this, and messages are no longer followed one by one."""

FOLLOWED_S = 1.0
"""Messages longer ago than this are history, and not shown on their way."""

SILENT_AT_THE_END_S = 2.0
"""A node that wrote so long nothing while others did was gone; a running one writes at every heartbeat."""

CLOCKS_DIFFER_S = 1.0
_LOOK_EVERY = 64


class Model:
    """What is known of a cluster. `now` is the moment that is drawn (wall clock, seconds)."""

    def __init__(self, members: Sequence[int]) -> None:
        self._members = tuple(members)
        self._members_term = 0
        """The term of the leader who told of them; 0 while they are only those that are configured."""
        self.fold = Fold()
        self.lanes: dict[int, Lane] = {id: Lane() for id in members}
        self.traffic = Traffic()
        self.measures = Measures()
        self.sentences: deque[Sentence] = deque(maxlen=MAX_SENTENCES)
        self.standings: dict[int, Standing] = {}
        self.now = 0.0
        self.zero: float | None = None
        self.version = 0
        """Rises whenever something other than the time has changed."""
        self._narrator = Narrator()
        self._waiting: dict[int, deque[tuple[float, Event | Standing]]] = {}
        self._reached: dict[int, float] = {}
        self._offsets: dict[int, float] = {}
        self._begun: float | None = None
        self._longest_timer = 0.0

    @property
    def ids(self) -> tuple[int, ...]:
        """Every node that is a member or was heard of, in order."""
        return tuple(sorted({*self._members, *self.fold.nodes}))

    @property
    def leader(self) -> NodeFold | None:
        """The leader of the highest term among the nodes that run."""
        leaders = [node for node in self.fold.nodes.values() if node.role == "leader" and self.runs(node.id)]
        return max(leaders, key=lambda node: node.term, default=None)

    @property
    def longest_timer_s(self) -> float:
        """The longest election timeout seen: one scale for every node's arc."""
        return self._longest_timer or 1.0

    @property
    def behind_s(self) -> float:
        """How far the picture lags behind what has come in, beyond the usual moment."""
        oldest = min((rows[0][0] for rows in self._waiting.values() if rows), default=self.now)
        return max(0.0, self.now - oldest)

    def node(self, id: int) -> NodeFold:
        """What the node's events tell; an empty fold where none came yet."""
        return self.fold.nodes.get(id) or NodeFold(id)

    def state(self, id: int) -> str:
        """ "running", "killed", "stopped", "paused" (silent), "unreachable", "down", "outside" or "unknown"."""
        if self._members_term and id not in self._members:
            return "outside"
        node, standing = self.node(id), self.standings.get(id)
        met = standing.state if standing else "running"
        if met == "silent":
            return "paused"
        if met == "unreachable":
            return "unreachable"
        if node.last_seq and not node.alive:
            return "stopped"
        if met == "refusing":
            return "killed" if node.last_seq else "down"
        return "running" if node.alive else "unknown"

    def runs(self, id: int) -> bool:
        """Whether the node is up, as far as is known."""
        return self.state(id) == "running"

    def last_heard_s(self, id: int) -> float | None:
        """How long ago the node last told anything, seconds."""
        heard = self._reached.get(id)
        return None if heard is None else max(0.0, self.now - heard)

    def clock_offset(self, id: int) -> float:
        """What is added to the node's wall clock to get this machine's."""
        return self._offsets.get(id, 0.0)

    def put(self, items: Iterable[Item]) -> None:
        """Take what a source handed over; events count when their time has come."""
        for item in items:
            if isinstance(item, Batch):
                self._put_events(item)
            elif isinstance(item, Standing):
                self._queue(item.node, item.since, item)
            elif isinstance(item, Overview):
                self.measures.overview(item)
                self.version += 1

    def advance(self, wall: float, budget_s: float = 0.008) -> None:
        """Bring the picture to `wall` less the delay, working no longer than the budget allows."""
        if self._begun is None:
            self._begun = wall
        if wall < self._begun + SETTLE_S:
            return
        self.now = max(self.now, wall - DELAY_S)
        deadline = time.perf_counter() + budget_s
        done = 0
        while (first := self._first_waiting()) is not None:
            rows = self._waiting[first]
            if rows[0][0] > self.now:
                break
            at, what = rows.popleft()
            if isinstance(what, Standing):
                self._stands(what)
            else:
                recent = at > self.now - FOLLOWED_S
                self._apply(what, at, following=recent and len(rows) < HURRY_ABOVE)
            done += 1
            if done % _LOOK_EVERY == 0 and time.perf_counter() > deadline:
                break
        self.traffic.advance(self.now)
        self._tell(self._narrator.due(self.now))

    def load(self, events: Iterator[Event], budget_s: float = 0.04) -> bool:
        """Fold a finished run's next events within the budget. True at its end, which is then `now`."""
        deadline = time.perf_counter() + budget_s
        for count, event in enumerate(events, start=1):
            if event["ts"] > self.now + CALM_S:
                self._tell(self._narrator.due(self.now))
            self.now = max(self.now, event["ts"])
            self._apply(event, event["ts"], following=False)
            if count % _LOOK_EVERY == 0 and time.perf_counter() > deadline:
                return False
        self._tell(self._narrator.due(float("inf")))
        for id in self.fold.nodes:  # killed for good, or paused to the end: it never said that it stops
            if self.runs(id) and (self.last_heard_s(id) or 0.0) > SILENT_AT_THE_END_S:
                self._stands(Standing(id, "refusing", self.now))
        return True

    def _put_events(self, batch: Batch) -> None:
        if not batch.events:
            return
        skew = batch.arrived - batch.events[-1]["ts"]
        known = self._offsets.get(batch.node, 0.0)
        if batch.caught_up and abs(skew - known) > CLOCKS_DIFFER_S:
            self._offsets[batch.node] = known = skew if abs(skew) > CLOCKS_DIFFER_S else 0.0
        for event in batch.events:
            self._queue(batch.node, event["ts"] + known, event)

    def _queue(self, node: int, at: float, what: Event | Standing) -> None:
        """What a node did or how it was met, in the node's own order."""
        rows = self._waiting.setdefault(node, deque())
        before = rows[-1][0] if rows else self._reached.get(node, float("-inf"))
        rows.append((max(at, before), what))

    def _first_waiting(self) -> int | None:
        """The node whose next event comes first: by time, and at one time by Lamport's clock."""
        heads = [(rows[0][0], _clock(rows[0][1]), id) for id, rows in self._waiting.items() if rows]
        return min(heads)[2] if heads else None

    def _apply(self, event: Event, at: float, *, following: bool) -> None:
        id, name = event["node"], event["event"]
        self._reached[id] = at
        if self.zero is None:
            self.zero = at
        if "pid" in event:
            self._lives(id, event, at)
        if following or name not in ("send", "receive", "lost"):
            self._follow(event, name, at, following=following)
        node = self.fold.nodes.get(id)
        if node is None:
            return
        if name in ("role", "state", "membership"):
            self._learn_members(node)
        if name == "timer" and event["kind"] == "election":
            self._longest_timer = max(self._longest_timer, event["duration"])
        lane = self.lanes.get(id)
        if lane is None:
            lane = self.lanes[id] = Lane()
        if name == "stop":
            lane.ends(at, "stopped")
        elif node.alive and not self._was_before_pause(id, lane, at):
            lane.is_now(at, node.term, node.role)
        if name == "role" and event["role"] == "candidate":
            lane.mark(at, "candidate", event["term"])

    def _follow(self, event: Event, name: str, at: float, *, following: bool) -> None:
        sentence = self._narrator.take(event, self.fold)
        if sentence is not None:
            self._tell([sentence])
        self.measures.take(event, self.fold)
        self.fold.apply(event)
        self.version += 1
        if following and name in ("send", "lost"):
            flight: Flight | None = self.fold.messages.get(event["id"])
            if flight is not None:
                (self.traffic.sent if name == "send" else self.traffic.lost)(flight, self.now)

    def _learn_members(self, node: NodeFold) -> None:
        """Who belongs to the cluster is what its newest leader says; before there is one, who is configured."""
        if node.role == "leader" and node.term >= self._members_term and node.members:
            self._members, self._members_term = (*node.members, *node.learners), node.term

    def _was_before_pause(self, id: int, lane: Lane, at: float) -> bool:
        """What a node wrote before it was paused comes in only when it goes on."""
        return lane.open is not None and lane.open.paused and at <= self.standings[id].since

    def _lives(self, id: int, event: Event, at: float) -> None:
        """A node that is another process than before, and did not stop, was killed in between."""
        node, lane, pid = self.fold.nodes.get(id), self.lanes.get(id), event["pid"]
        if node is None or lane is None or node.pid in (0, pid):
            return
        if node.alive and lane.open is not None:
            lane.ends(node.last_ts + self.clock_offset(id), "killed")
            self._tell([self._narrator.say(node.last_ts, id, node.term, "was killed; its log stays on disk")])
        if event["event"] == "state":  # its start was no longer to be had
            self._tell([self._narrator.say(at, id, event["term"], f"comes up again as process {pid}")])

    def _stands(self, standing: Standing) -> None:
        id, was = standing.node, self.standings.get(standing.node)
        self.standings[id] = standing
        if (was.state if was else None) == standing.state:
            return
        self.version += 1
        node, lane = self.node(id), self.lanes.setdefault(id, Lane())
        heard = self._reached.get(id, standing.since)
        if standing.state == "silent" and lane.open is not None:
            lane.is_now(heard, node.term, node.role, paused=True)
            self._say(standing, "is silent: it is paused, or its machine is")
        elif standing.state == "running" and was is not None and was.state == "silent":
            if lane.open is not None:
                lane.is_now(standing.since, node.term, node.role)
            self._say(standing, "answers again")
        elif standing.state == "refusing" and node.alive and lane.open is not None:
            lane.ends(heard, "killed")
            self._say(standing, "was killed; its log stays on disk")
        elif standing.state == "unreachable":
            self._say(standing, f"cannot be reached: {standing.why or 'no way to it'}")

    def _say(self, standing: Standing, text: str) -> None:
        node = self.node(standing.node)
        self._tell([self._narrator.say(standing.since, standing.node, node.term, text)])

    def _tell(self, sentences: Iterable[Sentence]) -> None:
        self.sentences.extend(sentences)


def _clock(what: Event | Standing) -> int:
    return 0 if isinstance(what, Standing) else int(what["clock"])
