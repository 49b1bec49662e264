"""The faults of a run, drawn from the seed: storms with a calm after each, in which the cluster must get on again.

A schedule is data: each fault says when it comes, whom it meets and for how long, so a run can be
played again with some of them left out, until the shortest is found that still fails. Whom a fault
meets is often said by role ("leader"), since the faults that find most are those at the worst
moment. Next: faults.py, which carries them out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

from glassraft.simulation.coups import STORIES, snapshots
from glassraft.simulation.coups.coup import Coup, Story
from glassraft.simulation.network import Weather

EFFECTS: Final = (
    "save", "sync", "saved", "send", "apply", "commit", "answer", "elected", "first_commit",
    "chunk", "place", "install", "installed", "compact",
)  # fmt: skip
"""Where a process can be cut: before each of these; "saved" is right after persisting."""

ROLES: Final = ("leader", "candidate", "ahead", "behind")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. `at` is seconds after its storm began; `lasts_s` seconds, where it ends again."""

    at: float
    kind: str
    """The name of a function of faults.py."""
    who: str = ""
    """A role of ROLES, or "n3"; the number counts round, so it fits every size."""
    lasts_s: float = 0.0
    effect: str = ""
    """Of a cut: before which effect, and so many times later (`count`). Of a coup: its story."""
    count: int = 0
    power: bool = False
    amount: float = 0.0
    """Milliseconds of a jump, a clock's rate, seconds of a slow disk's save."""
    weather: Weather | None = None

    def __str__(self) -> str:
        words = [f"{self.at:.3f} s", self.kind, self.who, self._what]
        words.append(f"for {self.lasts_s:g} s" if self.lasts_s else "")
        words.append("with the power" if self.power else "")
        words.append(f"by {self.amount:g}" if self.amount else "")
        words.append(str(self.weather) if self.weather else "")
        return " ".join(word for word in words if word)

    @property
    def _what(self) -> str:
        if self.kind == "coup":
            return self.effect
        return f"before {self.effect} number {self.count + 1}" if self.effect else ""


@dataclass(frozen=True, slots=True)
class Storm:
    """Faults over so many seconds; then everything heals, until the cluster serves again."""

    lasts_s: float
    faults: tuple[Fault, ...] = ()


Schedule = tuple[Storm, ...]


def _who(random: Random) -> str:
    """Half of the time by role."""
    return random.choice(ROLES) if random.random() < 0.5 else f"n{random.randrange(1, 8)}"


def _short(random: Random, most_s: float) -> float:
    return round(random.uniform(0.05, most_s), 3)


def crash(random: Random, at: float) -> Fault:
    """A process ends, and comes back after a while."""
    return Fault(at, "crash", _who(random), _short(random, 1.5), power=random.random() < 0.4)


def cut(random: Random, at: float) -> Fault:
    """A process ends between two effects of a turn."""
    effect = random.choice((*EFFECTS, "saved", "saved", "compact", "commit", "any"))
    who = "leader" if random.random() < 0.5 and effect != "elected" else _who(random)
    return Fault(
        at,
        "cut",
        who,
        _short(random, 1.2),
        effect=effect,
        count=random.choice((0, 0, 1, 3, 9)),
        power=random.random() < 0.5,
    )


def first_commit(random: Random, at: float) -> Fault:
    """A node ends right after the first commit of the next term that it leads (Figure 8)."""
    who = f"n{random.randrange(1, 8)}"
    return Fault(at, "cut", who, _short(random, 1.2), effect="first_commit", power=random.random() < 0.5)


def stillborn(random: Random, at: float) -> Fault:
    """The next leader to be elected ends soon after, mostly unheard: so arise the logs of Figure 8."""
    as_it_is_elected = random.random() < 0.1
    count = 0 if as_it_is_elected else random.randrange(3, 25)
    return Fault(at, "stillborn", "", _short(random, 1.0), count=count, power=random.random() < 0.3)


def cut_receiver(random: Random, at: float) -> Fault:
    """The next server that gets a chunk of a snapshot ends then, or at a step that follows."""
    cut = snapshots.receiver_cut(random)
    return Fault(at, "cut_receiver", "", round(cut.down_s, 3), cut.effect, cut.left, cut.power)


def majority_down(random: Random, at: float) -> Fault:
    """The power of more than half of the nodes fails at once."""
    return Fault(at, "majority_down", "", _short(random, 1.0), power=True)


def pause(random: Random, at: float) -> Fault:
    """A process stands still, with its connections open."""
    return Fault(at, "pause", _who(random), _short(random, 1.5))


def isolate(random: Random, at: float) -> Fault:
    """A node is cut off from all others, both ways."""
    who = random.choice(("leader", "ahead", _who(random)))
    return Fault(at, "isolate", who, _short(random, 2.5))


def deafen(random: Random, at: float) -> Fault:
    """A node hears nobody, and is heard."""
    return Fault(at, "deafen", _who(random), _short(random, 1.5))


def silence(random: Random, at: float) -> Fault:
    """A node is heard by nobody, and hears."""
    return Fault(at, "silence", _who(random), _short(random, 1.5))


def split(random: Random, at: float) -> Fault:
    """The cluster falls in two; the leader is in the smaller part as often as not."""
    return Fault(
        at, "split", random.choice(("leader", "")), _short(random, 2.5), count=random.randrange(1 << 16)
    )


def lag(random: Random, at: float) -> Fault:
    """Everything reaches a node late."""
    return Fault(at, "lag", _who(random), _short(random, 1.2))


def jump(random: Random, at: float) -> Fault:
    """A wall clock is set."""
    ms = random.choice((-1, 1)) * random.choice((200, 3_000, 60_000))
    return Fault(at, "jump", _who(random), amount=ms)


def drift(random: Random, at: float) -> Fault:
    """A machine's clocks run faster or slower."""
    return Fault(at, "drift", _who(random), amount=round(random.uniform(0.9, 1.1), 3))


def slow_disk(random: Random, at: float) -> Fault:
    """A disk takes long for a save."""
    return Fault(at, "slow_disk", _who(random), _short(random, 2.0), amount=random.choice((0.02, 0.1, 0.4)))


def queue_stands(random: Random, at: float) -> Fault:
    """A disk gets nowhere with the queue's file: nothing of it is synced, and no snapshot made or checked."""
    return Fault(at, "queue_stands", _who(random), _short(random, 2.5))


def worker_dies(random: Random, at: float) -> Fault:
    """A worker dies with all that it holds; another one comes."""
    return Fault(at, "worker_dies", count=random.randrange(1 << 16))


def bad_weather(random: Random, at: float) -> Fault:
    """The whole network gets worse for a while."""

    def up_to(most: float) -> float:
        return round(random.choice((0.0, most / 4, most)), 3)

    weather = Weather(
        loss=up_to(0.2),
        doubled=up_to(0.2),
        slow=up_to(0.15),
        slow_s=random.choice((1.0, 4.0)),
        reported=random.choice((0.0, 0.5, 1.0)),
    )
    return Fault(at, "set_weather", lasts_s=_short(random, 3.0), weather=weather)


def add_server(random: Random, at: float) -> Fault:
    """An operator adds a server: no fault, but at a bad moment."""
    return Fault(at, "add_server", count=random.randrange(1 << 16))


def remove_server(random: Random, at: float) -> Fault:
    """An operator removes a server, the leader as often as not."""
    return Fault(at, "remove_server", "leader" if random.random() < 0.5 else _who(random))


def transfer(random: Random, at: float) -> Fault:
    """An operator asks the leader to hand over (diss. §3.10)."""
    return Fault(at, "transfer", count=random.randrange(1 << 16))


def coup(random: Random, at: float) -> Fault:
    """A fault of several steps, each at the worst moment."""
    return _coup(random.choice(tuple(STORIES)), random, at)


def _coup(story: str, random: Random, at: float) -> Fault:
    return Fault(at, "coup", "leader", effect=story, count=random.randrange(1 << 16))


DrawFault = Callable[[Random, float], Fault]


def aimed(story: Callable[[Coup], Story]) -> DrawFault:
    """This coup."""
    return partial(_coup, story.__name__)


KINDS: Final[tuple[DrawFault, ...]] = (
    crash,
    cut,
    cut,
    cut,
    stillborn,
    stillborn,
    cut_receiver,
    majority_down,
    pause,
    isolate,
    isolate,
    deafen,
    silence,
    split,
    split,
    lag,
    jump,
    drift,
    slow_disk,
    queue_stands,
    worker_dies,
    add_server,
    add_server,
    remove_server,
    transfer,
    coup,
    coup,
    aimed(snapshots.overtaken_snapshot),
    bad_weather,
    bad_weather,
)
"""What may be drawn; what stands here twice comes twice as often."""

FAVOURITES: Final = 5
"""Each seed draws half of its faults from so many kinds only, so that one does not hide another."""

COUPS_ALONE: Final = 0.1
"""So many schedules have nothing but coups, and time for long ones: other faults would spoil most."""

BETWEEN_FAULTS_S: Final = (0.15, 0.3, 0.6)
"""On average, by seed, from one fault to the next."""


@dataclass(frozen=True, slots=True)
class Length:
    """How long a run is: its storms, in seconds each."""

    storms_s: Sequence[float] = field(default=(3.5, 3.5))


ORDINARY: Final = Length()
LONG: Final = Length(tuple([3.5] * 20))
"""Ten times as long."""


def draw(
    random: Random, length: Length = ORDINARY, favourites: Sequence[DrawFault] = (), *, only: bool = False
) -> Schedule:
    """A schedule of this length; half of its faults, or with `only` all, are favourites.

    They are drawn too unless they are given.
    """
    if not favourites and random.random() < COUPS_ALONE:
        length, favourites, only = _in_one(length), (coup,), True
    favourites = favourites or random.sample(KINDS, FAVOURITES)
    gap_s = random.choice(BETWEEN_FAULTS_S)
    others = favourites if only else KINDS
    return tuple(_draw_storm(random, lasts_s, gap_s, favourites, others) for lasts_s in length.storms_s)


def _in_one(length: Length) -> Length:
    """The first two storms and the calm between them become one storm."""
    first_s, second_s, *others_s = length.storms_s
    return Length((first_s + 2.0 + second_s, *others_s))


def _draw_storm(
    random: Random,
    lasts_s: float,
    gap_s: float,
    favourites: Sequence[DrawFault],
    others: Sequence[DrawFault],
) -> Storm:
    faults = []
    at = random.uniform(0.0, gap_s)
    while at < lasts_s:
        kinds = favourites if random.random() < 0.5 else others
        faults.append(random.choice(kinds)(random, round(at, 3)))
        at += random.expovariate(1 / gap_s)
    return Storm(lasts_s, tuple(faults))
