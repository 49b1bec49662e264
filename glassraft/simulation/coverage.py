"""How often each interesting situation came about, so that "N seeds passed" says what they passed through.

A situation that never occurs in some thousand seeds is a defect of the simulator: its schedule has to
be changed until it does. Names are said in `SITUATIONS`, counted where they are seen.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final

SITUATIONS: Final[Mapping[str, str]] = {
    "clusters_of_3": "clusters of 3 nodes at first",
    "clusters_of_4": "clusters of 4",
    "clusters_of_5": "clusters of 5",
    "clusters_of_7": "clusters of 7",
    "long_runs": "runs that were ten times longer",
    "runs_on_files": "runs on real SQLite files",
    "elections": "terms with a leader",
    "elections_won_after_a_fault": "leaders elected while the network was cut or a node down",
    "votes_split": "terms in which there were candidates and no leader",
    "leaders_with_older_entries": "leaders elected with entries of older terms not yet committed (§5.4.2)",
    "older_entries_committed": "commits that took entries of an older term along",
    "leaders_deposed": "leaders that stepped down",
    "leaders_without_quorum": "of these, since no majority answered (diss. §6.2)",
    "leaders_deposed_with_uncommitted": "leaders that stepped down with entries not committed",
    "pre_votes_refused_for_a_leader": "pre-votes refused by a voter that hears a leader (diss. §9.6)",
    "pre_votes_refused_for_the_log": "pre-votes refused since the candidate's log was behind",
    "two_leaders_at_once": "elections while an older leader still believed that it leads",
    "refused_votes_for_the_log": "votes refused since the candidate's log was behind (§5.4.1)",
    "refused_appends": "AppendEntries refused since the entry before was not there (§5.3)",
    "logs_repaired": "logs whose conflicting entries were removed (§5.3)",
    "entries_truncated": "entries removed so",
    "clusters_without_quorum": "moments at which fewer than a majority ran",
    "crashes": "processes that ended by a fault",
    "power_failures": "of these, with what was not synced",
    "cut_before_saving": "processes cut before the disk was written",
    "cut_while_syncing": "processes cut while the disk was being synced",
    "cut_after_saving": "processes cut between persisting and sending",
    "cut_before_sending": "processes cut before a message",
    "cut_before_applying": "processes cut between committing and applying",
    "cut_before_queue_commit": "processes cut before the queue's transaction was committed",
    "cut_before_answering": "processes cut after applying, before the client was told",
    "cut_when_elected": "leaders cut as they were elected",
    "cut_at_first_commit": "leaders cut at the first commit of their term",
    "queues_behind_at_a_start": "restarts with a queue older than what had been applied",
    "pauses": "processes paused",
    "partitions": "clusters cut in two",
    "one_way_cuts": "links cut one way",
    "leader_isolated": "leaders cut off",
    "ahead_isolated": "the node with the longest log cut off",
    "servers_added": "learners that became voters (diss. §4.2.1)",
    "servers_removed": "servers removed",
    "leaders_removed": "of these, leaders that removed themselves (diss. §4.2.2)",
    "leads_handed_over": "leads handed over to another (diss. §3.10)",
    "transfers_failed": "transfers refused or given up",
    "changes_refused": "changes of membership refused: another under way, or no commit in the term yet",
    "changes_in_doubt": "changes of membership whose operator never learned what came of them",
    "changes_during_a_partition": "changes of membership committed while links were cut",
    "configurations_truncated": "configurations lost with the entries that held them",
    "strides_compacted": "strides of entries that went from a log (§7)",
    "snapshots_made": "snapshots made",
    "chunks_received": "chunks of snapshots received",
    "snapshots_installed": "snapshots installed",
    "snapshots_with_log_kept": "of these, where the log went on behind them",
    "snapshots_overtaken": "snapshots under way when an append made them needless",
    "cut_before_installing": "processes cut while a snapshot was put in place",
    "cut_after_installing": "processes cut right after a snapshot was installed",
    "cut_before_compacting": "processes cut before entries went from the log",
    "cut_before_a_chunk": "processes cut before a chunk was written",
    "late_votes": "votes of an older term that came while their candidate stood again, unheard",
    "doubled_votes": "votes that came twice to a candidate without a majority",
    "longer_log": "leaders nobody heard, with more entries than those of a later term (§5.4.1)",
    "figure_8": "entries of an older term on a majority, before the return of a leader without them (Figure 8)",
    "late_acknowledgements": "acknowledgements of an older term that came when their leader led again",
    "late_append": "entries that came again, as sent first, behind later ones",
    "several_removed_at_once": "minorities that asked for removals until they would be the majority",
    "lost_change": "changes of membership that their leader alone had, and lost",
    "change_before_the_first_commit": "changes in two terms whose majorities would share nobody (the bug of 2015)",
    "cut_at_a_snapshot": "servers cut at a snapshot of the leader for which they had just voted",
    "overtaken_snapshot": "snapshots that were checked while another leader sent what they stand for",
    "earlier_rounds_answered": "answers to earlier rounds that came for a read after another's commit (diss. §6.4)",
    "read_before_the_first_commit": "new leaders asked for a read when only the old one knew what is committed",
    "forgetful_voters": "voters that started anew just as a rival asked, under a lease",
    "hand_over_unheard": "leaders that handed over and heard nothing of it",
    "late_answers": "leaders answered late, and then unheard, under a lease",
    "clock_jumps": "wall clocks set",
    "slow_disks": "disks that took long for a save",
    "messages_lost": "requests or replies lost",
    "messages_doubled": "messages that came twice",
    "proposals_refused_full": "proposals refused since too much waits for a majority",
    "operations": "operations of clients that were answered",
    "outcomes_unknown": "operations whose outcome their client never learned",
    "retries": "calls asked again",
    "retries_after_a_lost_answer": "of these, since the answer was lost",
    "answered_from_the_session": "duplicate submissions answered from the session",
    "reads": "linearizable reads answered",
    "reads_under_a_lease": "reads answered by a leader that had a lease (diss. §6.4.1)",
    "reads_refused": "reads refused by a server that does not lead, or no longer",
    "reads_during_a_partition": "reads answered while links were cut",
    "leases_expired": "leases that ran out",
    "stale_tokens_refused": "completions and the like refused for their token",
    "jobs_dead": "jobs out of attempts",
    "jobs_succeeded": "jobs that succeeded",
    "workers_died": "workers that died holding leases",
    "schedules_fired": "due times of schedules that submitted a job, or that were run by hand",
    "schedules_skipped": "due times skipped, since the last job was unfinished or they were long ago",
    "schedules_caught_up": "due times that had passed with others after them",
    "firings_too_late": "firings that changed nothing, since another leader's or an edit had come before",
    "ticks": "Ticks proposed, since something came due",
}
"""Each situation's name, and what it is."""


class Coverage(Counter[str]):
    """Counts by situation. A name that is not in SITUATIONS is a mistake."""

    def saw(self, situation: str, times: int = 1) -> None:
        """It came about."""
        self[situation] += times


def table(counts: Mapping[str, int], seeds: int) -> str:
    """All situations with their counts, in their order, those that never came about marked."""
    width = max(len(text) for text in SITUATIONS.values())
    lines = [f"{'in ' + format(seeds, ',') + ' seeds':<{width}}       times   a seed"]
    for name, text in SITUATIONS.items():
        count = counts.get(name, 0)
        mark = "" if count else "   never"
        lines.append(f"{text:<{width}}  {count:>10,}  {count / max(seeds, 1):>7.2f}{mark}")
    return "\n".join(lines)


def never_seen(counts: Mapping[str, int]) -> list[str]:
    """The situations that did not come about."""
    return [name for name in SITUATIONS if not counts.get(name, 0)]
