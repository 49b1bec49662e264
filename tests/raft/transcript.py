"""Scripts of commands played on a `World`, and what comes of them in words a student can check.

A file in transcripts/ is a row of blocks: commands, `---`, what came of them, an empty line.
All blocks of a file act on one cluster. After each command messages are delivered, first sent
first, until nothing is under way; time stands still, and timers run out when the script says so.

    cluster 3 [leader=n1] [empty_entries=off] [batch=1] [pre_vote=on] [check_quorum=on]
                [spare=2]      n4 and n5 are in no configuration
                [broken=RULE]  with a rule of broken.py, and without assertions
            [leases=on]
    timeout n1 n2              their election timers run out
    heartbeat n1               its heartbeat is due
    wait 0.5                   so many seconds pass; timers that are due run out when the script says so
    propose n1 a b             clients hand a and b to n1, together
    read n1 x                  a client asks n1 for a read
    add n1 n4                  an operator asks n1 to add n4         remove n1 n4
    transfer n1 n3             n1 is asked to hand its lead over to n3
    crash n1 n2                restart n1 n2
    cut n1                     cut n1 n2 | n3 n4 n5        cut n1 -> n3        heal
    hold n1 -> n3 [Kind]       keep such messages back; * is any node
    release | drop | duplicate [n1 -> n3 [Kind]]      reorder
    quiet                      show [n1 n3]     print nothing; print again, what concerns these
    logs [n1 n3]               each node's role, term, commit index and log, as terms
    refusals                   how often each node refused entries for the one before them

An entry is written index@term command, a log's end index@term. A message's term is written
where it is not the receiver's, a leader's commit index where it is news to the receiver. The
sender of an AppendEntries that was lost learns so, and tries again with its next heartbeat.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from glassraft.raft.assertions import NoAssertions
from glassraft.raft.configuration import parse_configuration
from glassraft.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    Message,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
    TimeoutNowReply,
)
from glassraft.raft.ready import Note, Refused, Settings, Transfer
from glassraft.raft.rules import Rules
from glassraft.simulation.words import (
    agreement_text,
    entries_text,
    position_text,
    request_vote_text,
    role_text,
)
from tests.raft.broken import RARE, RULES
from tests.raft.network import Pick, every
from tests.raft.world import Node, Watcher, World


def play(text: str) -> str:
    """Play a transcript's commands; the same text with what came of them now."""
    return "\n".join(block.written() for block in played(text))


@dataclass
class Block:
    """Commands as written, with comments and empty lines, and what came of them."""

    commands: list[str] = field(default_factory=list)
    outcome: list[str] = field(default_factory=list)

    def written(self) -> str:
        """As it stands in the file."""
        return "".join(line + "\n" for line in [*self.commands, "---", *self.outcome])


def played(text: str) -> list[Block]:
    """The blocks of a transcript, with what came of their commands now."""
    script = Script()
    blocks = parse(text)
    for block in blocks:
        for command in block.commands:
            script.run(command)
        block.outcome, script.lines = script.lines, []
    return blocks


def parse(text: str) -> list[Block]:
    """The blocks of a transcript, as written."""
    blocks = [Block()]
    in_outcome = False
    for line in text.splitlines():
        if in_outcome and line:
            blocks[-1].outcome.append(line)
        elif in_outcome:
            blocks.append(Block())
            in_outcome = False
        elif line == "---":
            in_outcome = True
        else:
            blocks[-1].commands.append(line)
    if not in_outcome and not blocks[-1].commands:
        blocks.pop()
    return blocks


class PaperAsPrinted(Rules):
    """The paper's figures show no empty entry at the start of a term."""

    def opens_term_with_empty_entry(self) -> bool:
        return False


BROKEN = {rules.__name__: rules for rules in RULES + RARE}

# Words for what happens

REASONS = {
    "term_is_stale": "stale term",
    "may_grant_vote": "voted for another",
    "candidate_log_is_up_to_date": "candidate's log is behind",
    "leader_is_alive": "hears a leader",
    "may_grant_pre_vote": "not a newer term",
    "not_leader": "not the leader",
    "full": "too many entries wait to be committed",
    "term_not_committed": "no entry of its term is committed yet",
    "change_under_way": "the change before is not committed yet",
    "already_member": "it is a voter",
    "not_member": "it is no member",
    "last_voter": "it is the last voter",
    "not_caught_up": "it gets entries too slowly",
    "removed": "it was removed",
    "deposed": "the leadership ended",
    "transferring": "handing over",
    "transfer_failed": "nobody else leads",
}


def entry_text(entry: Entry) -> str:
    return f"{entry.index}@{entry.term} {KINDS[entry.kind](entry.command)}"


def configuration_text(command: str) -> str:
    configuration = parse_configuration(command)
    return members_text(configuration.voters, configuration.learners)


def members_text(voters: Sequence[int], learners: Sequence[int]) -> str:
    text = " ".join(f"n{id}" for id in voters)
    return f"({text}, learning: {' '.join(f'n{id}' for id in learners)})" if learners else f"({text})"


KINDS: dict[str, Callable[[str], str]] = {
    "noop": lambda command: "(empty)",
    "command": str,
    "configuration": configuration_text,
}


def request_vote_reply_text(message: RequestVoteReply) -> str:
    vote = "pre-vote" if message.pre_vote else "vote"
    return f"{vote} granted" if message.vote_granted else f"{vote} refused, {REASONS[message.why]}"


def append_entries_text(message: AppendEntries) -> str:
    entries = entries_text(message.entries, entry_text)
    return f"AppendEntries prev={position_text(message.prev_log)} [{entries}]"


def append_entries_reply_text(message: AppendEntriesReply) -> str:
    return agreement_text(message) or f"refused, {REASONS[message.why]}"


TEXTS: dict[type, Callable[[Any], str]] = {
    RequestVote: request_vote_text,
    RequestVoteReply: request_vote_reply_text,
    AppendEntries: append_entries_text,
    AppendEntriesReply: append_entries_reply_text,
    TimeoutNow: lambda message: "TimeoutNow",
    TimeoutNowReply: lambda message: "stands",
}


def note_text(note: Note) -> str | None:
    """What a student wants to read of a note; None for what the messages tell anyway."""
    fields = note.fields
    if note.event == "commit":
        return f"commits {fields['index']}"
    if note.event == "truncate":
        first, last = fields["first"], fields["last"]
        return f"removes {first}" if first == last else f"removes {first} to {last}"
    if note.event == "membership":
        return f"uses {members_text(fields['members'], fields['learners'])}"
    if note.event == "transfer" and fields["state"] == "begun":
        return f"hands over to n{fields['target']}"
    if note.event == "role":
        return role_text(note)
    return None


class Script(Watcher):
    """Runs commands, and writes down what comes of them in `lines`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._quiet = False
        self._shown: set[int] = set()
        self._refusals: Counter[int] = Counter()

    def run(self, command: str) -> None:
        """One line of a script. Comments and empty lines do nothing."""
        words = command.partition("#")[0].split()
        if not words:
            return
        verb = COMMANDS.get(words[0])
        if verb is None:
            raise ValueError(f"{words[0]!r} is no command; known are {', '.join(COMMANDS)}")
        verb(self, words[1:])
        self.world.settle()

    # What happens

    def received(self, message: Message) -> None:
        if isinstance(message, AppendEntriesReply) and not message.success and message.conflict_index:
            self._refusals[message.sender] += 1
        self._write(self._message_text(message), message.sender, message.receiver)

    def lost(self, message: Message) -> None:
        if isinstance(message, AppendEntries):
            self.world.network.report_undelivered(message, self.world.clock)
        self._write(self._message_text(message) + ", lost", message.sender, message.receiver)

    def held(self, message: Message) -> None:
        self._write(self._message_text(message) + ", held", message.sender, message.receiver)

    def noted(self, node: Node, note: Note) -> None:
        text = note_text(note)
        if text:
            self._write(f"n{node.id} {text}", node.id)

    def refused(self, node: Node, refused: Refused) -> None:
        self._write(f"n{node.id} refuses {refused.ticket}, {REASONS[refused.why]}", node.id)

    def answered(self, node: Node, ticket: Any) -> None:
        self._write(f"n{node.id} answers {ticket}, has applied {len(node.applied)}", node.id)

    def _message_text(self, message: Message) -> str:
        text = f"n{message.sender} -> n{message.receiver} {TEXTS[type(message)](message)}"
        server = self.world.nodes[message.receiver].server
        if server is None:
            return text
        if isinstance(message, AppendEntries) and message.leader_commit > server.commit_index:
            text += f" commit={message.leader_commit}"
        if message.term != server.current_term:
            is_request = isinstance(message, RequestVote | AppendEntries | TimeoutNow)
            text += f"{'' if is_request else ','} term={message.term}"
        return text

    def _write(self, line: str, *nodes: int) -> None:
        if not self._quiet and (not self._shown or self._shown.issuperset(nodes)):
            self.lines.append(line)

    @contextmanager
    def _silence(self) -> Iterator[None]:
        was, self._quiet = self._quiet, True
        yield
        self._quiet = was

    # What is done

    def cluster(self, words: list[str]) -> None:
        options = dict(word.split("=") for word in words[1:])
        broken = BROKEN.get(options.pop("broken", ""), Rules)
        self.world = World(
            int(words[0]),
            settings=Settings(
                batch_entries=int(options.pop("batch", Settings().batch_entries)),
                pre_vote=options.pop("pre_vote", "off") == "on",
                check_quorum=options.pop("check_quorum", "off") == "on",
                lease_reads=options.pop("leases", "off") == "on",
            ),
            rules=PaperAsPrinted() if options.pop("empty_entries", "on") == "off" else broken(),
            assertions=NoAssertions() if broken is not Rules else None,
            watcher=self,
            spare=int(options.pop("spare", 0)),
        )
        leader = options.pop("leader", None)
        if options:
            raise ValueError(f"unknown options of a cluster: {', '.join(options)}")
        if leader:
            with self._silence():
                self.world.elect(node_id(leader))

    def timeout(self, words: list[str]) -> None:
        for id in node_ids(words):
            if self.world.server(id).role == "leader":
                raise ValueError(f"n{id} leads: it has no election timer")
            self.world.fire_timer(id)

    def heartbeat(self, words: list[str]) -> None:
        for id in node_ids(words):
            if self.world.server(id).role != "leader":
                raise ValueError(f"n{id} does not lead: it has no heartbeat")
            self.world.fire_timer(id)

    def wait(self, words: list[str]) -> None:
        self.world.advance(self.world.clock + float(words[0]))

    def propose(self, words: list[str]) -> None:
        self.world.propose(node_id(words[0]), *words[1:])

    def read(self, words: list[str]) -> None:
        self.world.read(node_id(words[0]), words[1])

    def add(self, words: list[str]) -> None:
        self.world.change(node_id(words[0]), "add", node_id(words[1]))

    def remove(self, words: list[str]) -> None:
        self.world.change(node_id(words[0]), "remove", node_id(words[1]))

    def transfer(self, words: list[str]) -> None:
        self.world.act(node_id(words[0]), Transfer("the transfer", node_id(words[1])))

    def crash(self, words: list[str]) -> None:
        for id in node_ids(words):
            self.world.crash(id)

    def restart(self, words: list[str]) -> None:
        for id in node_ids(words):
            self.world.restart(id)

    def cut(self, words: list[str]) -> None:
        network = self.world.network
        if "->" in words:
            return network.cut([node_id(words[0])], [node_id(words[2])], one_way=True)
        groups = [node_ids(group.split()) for group in " ".join(words).split("|")]
        if len(groups) == 1:
            groups.append([id for id in self.world.nodes if id not in groups[0]])
        for position, group in enumerate(groups):
            for other in groups[position + 1 :]:
                network.cut(group, other)

    def heal(self, words: list[str]) -> None:
        self.world.network.heal()

    def hold(self, words: list[str]) -> None:
        self.world.network.hold(" ".join(words), pick(words))

    def release(self, words: list[str]) -> None:
        network = self.world.network
        for name in [" ".join(words)] if words else list(network.holding):
            network.let_go(name)
        network.release(self.world.clock, pick(words))

    def drop(self, words: list[str]) -> None:
        with self._silence():
            self.world.network.drop(pick(words))

    def duplicate(self, words: list[str]) -> None:
        self.world.network.duplicate(pick(words))

    def reorder(self, words: list[str]) -> None:
        self.world.network.reorder()

    def quiet(self, words: list[str]) -> None:
        self._quiet = True

    def show(self, words: list[str]) -> None:
        self._quiet = False
        self._shown = set(node_ids(words))

    def logs(self, words: list[str]) -> None:
        for id in node_ids(words) or self.world.nodes:
            node = self.world.nodes[id]
            terms = " ".join(str(entry.term) for entry in node.disk.entries)
            if node.server is None:
                state = f"down      term={node.disk.hard_state.term}"
            else:
                server = node.server
                state = f"{server.role:9} term={server.current_term} commit={server.commit_index}"
            self.lines.append(f"n{id} {state:27} log {terms}".rstrip())

    def refusals(self, words: list[str]) -> None:
        each = ", ".join(f"n{id} {count}" for id, count in sorted(self._refusals.items()))
        self.lines.append(f"{sum(self._refusals.values())} refusals: {each}")


def node_id(word: str) -> int:
    """n3 is 3."""
    if not re.fullmatch(r"n\d+", word):
        raise ValueError(f"{word!r} is no node; nodes are n1, n2, ...")
    return int(word[1:])


def node_ids(words: Sequence[str]) -> list[int]:
    return [node_id(word) for word in words]


def pick(words: Sequence[str]) -> Pick:
    """`n1 -> n3 Kind` chooses messages; * is any node, no kind is every kind, nothing is everything."""
    if not words:
        return every
    if len(words) not in (3, 4) or words[1] != "->":
        raise ValueError(f"{' '.join(words)!r} chooses no messages; write n1 -> n3, * -> n3 or n1 -> n3 Kind")
    senders = None if words[0] == "*" else {node_id(words[0])}
    receivers = None if words[2] == "*" else {node_id(words[2])}
    kind = words[3] if len(words) == 4 else None

    def chosen(message: Message) -> bool:
        return (
            (senders is None or message.sender in senders)
            and (receivers is None or message.receiver in receivers)
            and kind in (None, type(message).__name__)
        )

    return chosen


COMMANDS: dict[str, Callable[[Script, list[str]], None]] = {
    command.__name__: command
    for command in (
        Script.cluster,
        Script.timeout,
        Script.heartbeat,
        Script.wait,
        Script.propose,
        Script.read,
        Script.add,
        Script.remove,
        Script.transfer,
        Script.crash,
        Script.restart,
        Script.cut,
        Script.heal,
        Script.hold,
        Script.release,
        Script.drop,
        Script.duplicate,
        Script.reorder,
        Script.quiet,
        Script.show,
        Script.logs,
        Script.refusals,
    )
}
