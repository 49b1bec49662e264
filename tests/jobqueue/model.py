"""The queue in plain dicts: what queue.db must say after the same commands, written down a second time.

It knows nothing of SQLite, indexes or budgets of writes, and takes the straightest way to each
answer: sort everything, look at everything.
"""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

HOUR_MS = 3_600_000
FINISHED = ("succeeded", "dead", "cancelled")


@dataclass
class Limits:
    """Small enough that a short test reaches them."""

    due: int = 3
    never_started: int = 3
    releases: int = 4
    cancel_grace: int = 6_000
    prune: int = 2
    taken: int = 50
    prune_every: int = 2
    kept: int = 3
    least_retention: int = 1_000
    firings: int = 3
    retention: dict[str, int] = field(
        default_factory=lambda: {"succeeded": 5_000, "dead": 40_000, "cancelled": 30_000}
    )


@dataclass
class Queue:
    limits: Limits
    now: int = 0
    gap: int = 0
    index: int = 0
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    cascades: set[tuple[int, str]] = field(default_factory=set)
    held: set[tuple[str, str]] = field(default_factory=set)
    """(earlier, later): the later job is not finished, as far as is known."""
    linked: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)
    max_running: dict[str, int] = field(default_factory=dict)
    rates: dict[str, list[Any]] = field(default_factory=dict)
    """[starts, ms, tokens, since]: tokens as fractions of one, counted in thousandths rounded down."""
    keys: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    """The job that holds the key, and when it is free; None while the job is not finished."""

    schedules: dict[str, dict[str, Any]] = field(default_factory=dict)

    # Time

    def opening(self, stamp: int) -> None:
        self.index += 1
        if stamp > self.now:
            self.gap += stamp - self.now if self.now else 0
            self.now = stamp

    def begin(self, stamp: int, adding: int = 0) -> None:
        """A command with this stamp: time first."""
        self.index += 1
        self.now = max(self.now, stamp)
        due = [(job["lease"] + self.gap, 0, id) for id, job in self.jobs.items() if job["state"] == "running"]
        due += [(job["deadline"], 1, id) for id, job in self.jobs.items() if self.may_start_late(job)]
        due += [(job["at"], 2, id) for id, job in self.jobs.items() if job["state"] == "scheduled"]
        due += [(free, 4, id) for id, free in self.keys.values() if free is not None]
        due += [(at, 3, id) for at, id in self.cascades]
        budget = self.limits.due
        for at, kind, id in sorted(due)[: self.limits.due]:
            if at > self.now or budget <= 0:
                continue
            budget -= 1
            if kind == 3:
                self.cascades.discard((at, id))
                used = self.cascade(id, budget + 1)
                if used > budget:
                    self.cascades.add((self.now, id))
                budget -= max(used - 1, 0)
            elif kind == 1:
                if self.jobs[id]["state"] not in ("running", *FINISHED):
                    self.leave(self.jobs[id], self.ended_late(self.jobs[id]))
                self.jobs[id]["told_late"] = True
            elif kind == 4:
                self.keys = {where: held for where, held in self.keys.items() if held != [id, at]}
            elif kind == 2:
                if self.jobs[id]["state"] == "scheduled":
                    self.jobs[id]["state"] = "ready"
            else:
                self.lease_over(self.jobs[id])
        for session in [id for id, session in self.sessions.items() if session["used"] + HOUR_MS <= self.now]:
            del self.sessions[session]
        self.prune(adding)

    def may_start_late(self, job: dict[str, Any]) -> bool:
        """Whether the job's deadline is still to be looked at."""
        return job["deadline"] is not None and not job["told_late"] and job["state"] not in FINISHED

    def ended_late(self, job: dict[str, Any]) -> str:
        return "dead" if job["failures"] else "cancelled"

    def too_late(self, job: dict[str, Any], delay: int = 0) -> bool:
        return job["deadline"] is not None and self.now + delay >= job["deadline"]

    def prune(self, adding: int = 0) -> None:
        if self.index % self.limits.prune_every and adding < self.limits.prune_every:
            return
        budget = max(self.limits.prune, 2 * adding)
        kept = [job for job in self.jobs.values() if job["state"] in FINISHED and job["prune"] is not None]
        expired = sorted((job["prune"], job["id"]) for job in kept if job["prune"] <= self.now)
        budget -= self.remove([id for _, id in expired[:budget]])
        for queue in sorted({job["queue"] for job in self.jobs.values()}):
            for state in sorted(FINISHED):
                same = [job for job in self.jobs.values() if (job["queue"], job["state"]) == (queue, state)]
                old = [job for job in same if job["finished"] <= self.now - self.limits.least_retention]
                old = [job for job in old if job["prune"] is not None]
                old.sort(key=lambda job: (job["finished"], job["id"]))
                few = old[: max(0, min(budget, len(same) - self.limits.kept))]
                budget -= self.remove([job["id"] for job in few])

    def remove(self, ids: list[str]) -> int:
        """Those that are still needed are kept, and not looked at again."""
        removed = 0
        for id in ids:
            if self.is_needed(id):
                self.jobs[id]["prune"] = None
            else:
                self.forget(id)
                removed += 1
        return removed

    def forget(self, id: str) -> None:
        del self.jobs[id]
        self.held = {link for link in self.held if link[1] != id}

    # What one job's end means for others

    def is_needed(self, id: str) -> bool:
        return any(earlier == id for earlier, _ in self.held)

    def cascade(self, id: str, budget: int) -> int:
        job = self.jobs.get(id)
        if job is None:
            return 0
        used = 0
        if job["state"] in FINISHED:
            for earlier in sorted(earlier for earlier, later in self.held if later == id)[:budget]:
                self.held.remove((earlier, id))
                other = self.jobs.get(earlier)
                if (
                    other
                    and other["state"] in FINISHED
                    and other["prune"] is None
                    and not self.is_needed(earlier)
                ):
                    other["prune"] = self.now
                used += 1
            for later in self.links(id, 0)[: budget - used]:
                self.jobs[later]["after"][id] = self.count(job, self.jobs[later])
                used += 1
        if job["brings_back"] and job["state"] not in ("dead", "cancelled"):
            for later in self.links(id, 2)[: budget - used]:
                self.jobs[later]["after"][id] = 1
                if self.jobs[later]["state"] == "cancelled":
                    self.retry(later, None)
                used += 1
        return used

    def links(self, id: str, status: int) -> list[str]:
        return sorted(later for later, job in self.jobs.items() if job["after"].get(id) == status)

    def count(self, job: dict[str, Any], later: dict[str, Any]) -> int:
        if later["state"] != "waiting":
            return 1
        if job["state"] != "succeeded" and later["on_dependency"] != "run":
            self.leave(later, "cancelled")
            return 2
        later["after"][job["id"]] = 1
        if 0 not in later["after"].values():
            later["at"] = max(later["at"], self.now) if later["delay"] is None else self.now + later["delay"]
            self.leave(later, "scheduled" if later["at"] > self.now else "ready")
        return 1

    def next_due(self) -> int | None:
        times = [job["lease"] + self.gap for job in self.jobs.values() if job["state"] == "running"]
        times += [job["at"] for job in self.jobs.values() if job["state"] == "scheduled"]
        times += [at for at, _ in self.cascades]
        times += [self.token_at(rate) for rate in self.rates.values() if self.tokens(rate, self.now) < 1_000]
        times += [free for _, free in self.keys.values() if free is not None]
        times += [job["deadline"] for job in self.jobs.values() if self.may_start_late(job)]
        return min(times, default=None)

    def lease_over(self, job: dict[str, Any]) -> None:
        if job["to_stop"]:
            job["never_started"] = job["releases"] = 0
            self.leave(job, "cancelled")
        elif not job["started"]:
            job["never_started"] += 1
            dead = job["never_started"] >= self.limits.never_started
            self.leave(job, self.ended_late(job) if self.too_late(job) else "dead" if dead else "ready")
        else:
            self.failed(job, retry=True)

    # Sessions

    def recall(self, session: str, number: int, low: int) -> Any:
        """The stored answer, the name of a refusal, or None when the command is to be run."""
        known = self.sessions.get(session)
        if known is None:
            if number > 1:
                return "session_expired"
            self.sessions[session] = {"used": self.now, "low": low, "answers": {}}
            return None
        known["used"] = self.now
        known["low"] = max(known["low"], low)
        known["answers"] = {n: answer for n, answer in known["answers"].items() if n >= known["low"]}
        if number < known["low"]:
            return "stale_number"
        return known["answers"].get(number)

    def remember(self, session: str, number: int, answer: Any) -> None:
        self.sessions[session]["answers"][number] = answer

    # Commands

    def submit(self, ids: list[str], items: list[dict[str, Any]]) -> Any:
        """The answer, or the name of a refusal."""
        keys = {where: held[0] for where, held in self.keys.items()}
        answer, how = list(ids), ["new"] * len(ids)
        for position, item in enumerate(items):
            where = (item.get("queue", "default"), item.get("key"))
            if where[1] is not None and where in keys:
                if item.get("on_conflict") == "refuse":
                    return "key_held"
                answer[position], how[position] = keys[where], "existing"
            keys.setdefault(where, ids[position])
        for item in items:
            named = self.named(item, answer)
            if any(earlier not in self.jobs and earlier not in ids for earlier in named):
                return "not_found"
        for position, (id, item) in enumerate(zip(ids, items, strict=True)):
            holder = answer[position]
            if holder == id:
                self.add(id, item, self.named(item, answer))
            elif item.get("on_conflict") == "replace" and holder not in ids + answer[:position]:
                how[position] = self.replace(self.jobs.get(holder), item)
        return {"jobs": answer} | ({"how": how} if answer != ids else {})

    def named(self, item: dict[str, Any], ids: list[str]) -> list[str]:
        return sorted({ids[each] if isinstance(each, int) else each for each in item.get("after", [])})

    def replace(self, holder: dict[str, Any] | None, item: dict[str, Any]) -> str:
        if holder is None or holder["state"] not in ("waiting", "ready", "scheduled"):
            return "existing"
        at = item.get("at_ms") or self.now + item.get("delay_ms", 0)
        self.change(holder, at=at, priority=item.get("priority", 0))
        holder.update(args=item.get("args", []), kwargs=item.get("kwargs", {}))
        return "replaced"

    def change(self, job: dict[str, Any], at: int | None = None, priority: int | None = None) -> None:
        job["at"] = job["at"] if at is None else max(at, self.now)
        job["priority"] = job["priority"] if priority is None else priority
        if job["state"] != "waiting":
            job["state"] = "scheduled" if job["at"] > self.now else "ready"
        elif at is not None:
            job["delay"] = None

    def add(self, id: str, item: dict[str, Any], named: list[str]) -> None:
        at = item.get("at_ms") or self.now + item.get("delay_ms", 0)
        self.jobs[id] = {
            "id": id,
            "state": "scheduled" if at > self.now else "ready",
            "at": max(at, self.now),
            "queue": item.get("queue", "default"),
            "priority": item.get("priority", 0),
            "timeout": item.get("timeout_ms"),
            "own_lease": item.get("lease_ms"),
            "max_attempts": item.get("max_attempts", 10),
            "allowed": item.get("max_attempts", 10),
            "to_stop": False,
            "deadline": item.get("deadline_ms"),
            "told_late": False,
            "retention": item.get("retention_ms"),
            "args": item.get("args", []),
            "kwargs": item.get("kwargs", {}),
            "after": {},
            "on_dependency": item.get("on_dependency"),
            "delay": item.get("delay_ms"),
            "brings_back": False,
            "key": item.get("key"),
            "unique_for": item.get("unique_for_ms", 0),
            "backoff": {"base_ms": 2_000, "factor": 3_000, "cap_ms": HOUR_MS, **item.get("backoff", {})},
            **dict.fromkeys(("attempt", "failures", "never_started", "releases", "token", "started"), 0),
            "ends": {},
        }
        if "start_within_ms" in item:
            self.jobs[id]["deadline"] = self.now + item["start_within_ms"]
        self.come_after(self.jobs[id], named, item.get("at_ms") or 0)
        if "key" in item:
            self.keys[self.jobs[id]["queue"], item["key"]] = [id, None]

    def come_after(self, job: dict[str, Any], named: list[str], at: int) -> None:
        for earlier in named:
            state = self.jobs[earlier]["state"]
            run = state in FINISHED and job["on_dependency"] == "run"
            job["after"][earlier] = 1 if state == "succeeded" or run else 0
            self.held.add((earlier, job["id"]))
            self.linked |= {earlier, job["id"]}
            if state in FINISHED and job["after"][earlier] == 0:
                self.cascades.add((self.now, earlier))
        if 0 in job["after"].values():
            job.update(state="waiting", at=max(at, self.now))

    def size(self, job: dict[str, Any]) -> int:
        return sum(len(json.dumps(job[part], separators=(",", ":"))) for part in ("args", "kwargs"))

    def take(self, queues: list[str], count: int, lease: int) -> list[list[Any]]:
        ready = [job for job in self.jobs.values() if job["state"] == "ready" and job["queue"] in queues]
        ready = [job for job in ready if not self.too_late(job)]
        ready.sort(key=lambda job: (queues.index(job["queue"]), -job["priority"], job["id"]))
        room = {queue: self.may_start(queue) for queue in queues}
        allowed = []
        for job in ready:
            if room[job["queue"]] > 0:
                room[job["queue"]] -= 1
                allowed.append(job)
        ready = allowed[:count]
        while len(ready) > 1 and sum(map(self.size, ready)) > self.limits.taken:
            ready.pop()
        for queue in {job["queue"] for job in ready} & set(self.rates):
            rate = self.rates[queue]
            began = sum(job["queue"] == queue for job in ready)
            rate[2:] = [self.tokens(rate, self.now) - 1_000 * began, self.now]
        for job in ready:
            lease_now = self.now - self.gap
            job["cap"] = lease_now + job["timeout"] + 10_000 if job["timeout"] else None
            job.update(state="running", token=self.index, started=0, attempt=job["attempt"] + 1)
            job["lease"] = self.lease_until(job, lease)
        return [[job["id"], self.index] for job in ready]

    def may_start(self, queue: str) -> int:
        if queue in self.paused:
            return 0
        running = sum((job["queue"], job["state"]) == (queue, "running") for job in self.jobs.values())
        free = self.max_running[queue] - running if queue in self.max_running else 10**9
        return min(free, self.tokens(self.rates[queue], self.now) // 1_000 if queue in self.rates else 10**9)

    def tokens(self, rate: list[Any], now: int) -> int:
        starts, per, tokens, since = rate
        return int(min(1_000 * starts, tokens + (now - since) * starts * 1_000 // per))

    def token_at(self, rate: list[Any]) -> int:
        at = self.now
        while self.tokens(rate, at) < 1_000:
            at += 1
        return at

    def set_queue(self, queue: str, settings: dict[str, Any]) -> None:
        if "paused" in settings:
            self.paused = self.paused - {queue} | ({queue} if settings["paused"] else set())
        if "max_running" in settings:
            self.max_running.pop(queue, None)
            if settings["max_running"]:
                self.max_running[queue] = settings["max_running"]
        if "rate" in settings:
            before = self.rates.pop(queue, None)
            if settings["rate"]:
                full = settings["rate"][0] * 1_000
                tokens = full if before is None else min(full, self.tokens(before, self.now))
                self.rates[queue] = [*settings["rate"], tokens, self.now]

    def lease_until(self, job: dict[str, Any], lease: int) -> int:
        until: int = self.now - self.gap + (job["own_lease"] or lease)
        return until if job["cap"] is None else min(until, job["cap"])

    def still_leased(self, taken: list[list[Any]]) -> list[list[Any]]:
        return [[id, token] for id, token in taken if id in self.jobs and self.holds(self.jobs[id], token)]

    def holds(self, job: dict[str, Any], token: int) -> bool:
        return job["state"] == "running" and job["token"] == token

    def extend(self, id: str, token: int, lease: int) -> Any:
        job = self.jobs.get(id)
        if job is None or not self.holds(job, token):
            return self.why(job, token)
        job["lease"] = max(job["lease"], self.lease_until(job, lease))
        job["started"] = 1
        job["never_started"] = 0
        return job["lease"] + self.gap

    def end(
        self, how: str, id: str, token: int, delay: int = 0, retry: bool = True, handed_on: int | None = None
    ) -> str:
        """Complete, fail or release: the state the job goes to, or why not."""
        job = self.jobs.get(id)
        if job is None:
            return "not_found"
        if (how, token) in job["ends"]:
            return str(job["ends"][how, token])
        if not self.holds(job, token):
            return self.why(job, token)
        if how == "complete":
            job["never_started"] = job["releases"] = 0
            if handed_on is not None:
                new = to_text(self.index * 1_024 + handed_on)
                self.add(new, {"task": "t"}, [id])
            self.leave(job, "succeeded")
        elif how == "fail":
            self.failed(job, retry)
        else:
            job["releases"] += 1
            job["never_started"] = 0
            dead = job["releases"] >= self.limits.releases
            after = "dead" if dead else "scheduled" if delay else "ready"
            after = self.stopped(job, self.ended_late(job) if self.too_late(job, delay) else after)
            job["at"] = self.now + delay if after == "scheduled" else job["at"]
            self.leave(job, after)
        job["ends"][how, token] = job["state"]
        return str(job["state"])

    def why(self, job: dict[str, Any] | None, token: int) -> str:
        if job is None:
            return "not_found"
        return "stale_token" if token <= job["token"] else "wrong_state"

    def failed(self, job: dict[str, Any], retry: bool) -> None:
        job["failures"] += 1
        job["never_started"] = job["releases"] = 0
        if job["to_stop"] or not retry or job["failures"] >= job["allowed"]:
            return self.leave(job, self.stopped(job, "dead"))
        backoff = job["backoff"]
        grown = backoff["base_ms"] * (backoff["factor"] // 1_000) ** (job["failures"] - 1)
        delay = min(grown, backoff["cap_ms"])
        hashed = hashlib.sha256(f"{number_of(job['id'])}:{job['attempt']}".encode()).digest()
        delay += delay * int.from_bytes(hashed[:4], "big") // 2**34
        if self.too_late(job, delay):
            return self.leave(job, "dead")
        if delay:
            job["at"] = self.now + delay
        self.leave(job, "scheduled" if delay else "ready")
        return None

    def stopped(self, job: dict[str, Any], otherwise: str) -> str:
        return "cancelled" if job["to_stop"] else otherwise

    # By hand

    def cancel(self, id: str) -> str:
        if id not in self.jobs:
            return "not_found"
        job = self.jobs[id]
        if job["state"] in ("succeeded", "dead"):
            return "wrong_state"
        if job["state"] not in ("running", "cancelled"):
            self.leave(job, "cancelled")
        elif job["state"] == "cancelled":
            return "cancelled"
        elif not job["to_stop"]:
            job["to_stop"] = True
            last = self.now - self.gap + self.limits.cancel_grace
            job["cap"] = last if job["cap"] is None else min(job["cap"], last)
            job["lease"] = min(job["lease"], last)
        return str(job["state"])

    def retry(self, id: str, attempts: int | None, dependents: bool = True) -> str:
        if id not in self.jobs:
            return "not_found"
        job = self.jobs[id]
        if job["state"] not in ("dead", "cancelled"):
            return "wrong_state"
        where = (job["queue"], job["key"])
        if self.keys.get(where, [id])[0] != id:
            return "key_held"
        if job["key"] is not None:
            self.keys[where] = [id, None]
        job.update(state="ready", at=self.now, failures=0, never_started=0, releases=0, to_stop=False)
        for earlier in job["after"]:
            other = self.jobs.get(earlier)
            job["after"][earlier] = 1 if other is None or other["state"] in FINISHED else 0
            self.held.add((earlier, id))
        if 0 in job["after"].values():
            job["state"] = "waiting"
        job["brings_back"] = dependents
        if dependents and id in self.linked:
            self.cascades.add((self.now, id))
        job["told_late"] = self.too_late(job)
        job["deadline"] = None if self.too_late(job) else job["deadline"]
        job["allowed"] = attempts or job["max_attempts"]
        return str(job["state"])

    def update(self, id: str, changes: dict[str, Any]) -> str:
        if id not in self.jobs:
            return "not_found"
        job = self.jobs[id]
        if job["state"] not in ("waiting", "scheduled", "ready"):
            return "wrong_state"
        queue = changes.get("queue", job["queue"])
        if queue != job["queue"] and job["key"] is not None:
            if (queue, job["key"]) in self.keys:
                return "key_held"
            self.keys[queue, job["key"]] = self.keys.pop((job["queue"], job["key"]))
        job["queue"] = queue
        at = changes.get("at_ms")
        self.change(
            job, self.now + changes["delay_ms"] if "delay_ms" in changes else at, changes.get("priority")
        )
        job["args"] = changes.get("args", job["args"])
        job["kwargs"] = changes.get("kwargs", job["kwargs"])
        return str(job["state"])

    def purge(self, id: str) -> str:
        if id not in self.jobs:
            return "not_found"
        if self.jobs[id]["state"] not in ("succeeded", "dead", "cancelled"):
            return "wrong_state"
        if self.is_needed(id):
            return "wrong_state"
        self.forget(id)
        return ""

    # Schedules

    def set_schedule(self, name: str, wanted: dict[str, Any]) -> None:
        known = self.schedules.get(name, {"last": None, "history": []})
        times = [wanted.get(part) for part in ("every_ms", "cron", "zone")]
        due = known["due"] if known.get("times") == times else wanted["due_ms"]
        new = {"version": self.index, "times": times, "due": due, "overlap": wanted["overlap"]}
        self.schedules[name] = {**known, **new, "job": wanted["job"]}

    def fire_schedule(self, name: str, version: int, due: int, next_due: int, wanted: int | None) -> str:
        """The event, or "" where it changes nothing."""
        schedule = self.schedules.get(name)
        if schedule is None or (schedule["version"], schedule["due"]) != (version, due):
            return ""
        schedule["due"] = next_due
        return self.note(schedule, due, "skipped") if wanted is None else self.fire(schedule, wanted)

    def run_schedule(self, name: str) -> str:
        return self.fire(self.schedules[name], None) if name in self.schedules else "not_found"

    def fire(self, schedule: dict[str, Any], due: int | None) -> str:
        last = self.jobs.get(schedule["last"])
        if last is not None and last["state"] not in FINISHED:
            if schedule["overlap"] == "skip":
                return self.note(schedule, due, "skipped")
            if schedule["overlap"] == "cancel":
                self.cancel(last["id"])
        id = to_text(self.index * 1_024)
        answer = self.submit([id], [schedule["job"]])
        if isinstance(answer, str):
            return self.note(schedule, due, "refused")
        if answer.get("how") == ["existing"]:
            return self.note(schedule, due, "skipped")
        [schedule["last"]] = answer["jobs"]
        return self.note(schedule, due, "fired")

    def note(self, schedule: dict[str, Any], due: int | None, event: str) -> str:
        schedule["history"] = [*schedule["history"], (self.now, due, event)][-self.limits.firings :]
        return event

    def leave(self, job: dict[str, Any], state: str) -> None:
        job["state"] = state
        if state in FINISHED:
            job["finished"] = self.now
            if job["id"] in self.linked:
                self.cascades.add((self.now, job["id"]))
            if job["key"] is not None:
                free = self.now + job["unique_for"] if job["unique_for"] else None
                self.keys[job["queue"], job["key"]] = [job["id"], free]
                if free is None:
                    del self.keys[job["queue"], job["key"]]
            job["prune"] = self.now + (job["retention"] or self.limits.retention[state])


def to_text(number: int) -> str:
    digits = ""
    while number:
        digits = "0123456789abcdefghjkmnpqrstvwxyz"[number % 32] + digits
        number //= 32
    return "abcdefghjkm"[len(digits) - 3] + digits


def number_of(id: str) -> int:
    """The id's base 32, read by hand."""
    return sum("0123456789abcdefghjkmnpqrstvwxyz".index(d) * 32**n for n, d in enumerate(reversed(id[1:])))
