"""A failing seed is cut down to what it needs, and told in words."""

from glassraft.simulation.broken import ZOO
from glassraft.simulation.hunt import hunt, schedule_for, settings_for
from glassraft.simulation.run import plan_of
from glassraft.simulation.shrink import Case, shrink, transcript


def case_of(name: str, first: int = 0) -> Case:
    catch = hunt(name, first, 100)
    assert catch is not None
    rule = ZOO[name]
    return Case(catch.seed, settings_for(rule, catch.seed), schedule_for(rule, catch.seed), rule.parts)


def faults_in(case: Case) -> int:
    return sum(len(storm.faults) for storm in case.schedule)


def test_a_failure_that_needs_no_fault_is_left_with_none() -> None:
    case = case_of("applies-before-commit", first=1)  # in the clusters of seed 0 it takes a fault
    shrunk = shrink(case, most_runs=60)
    assert shrunk is not None
    assert faults_in(shrunk.case) == 0
    assert faults_in(case) > 0
    assert shrunk.case.settings.workers == 1
    assert shrunk.failure.property == "Only what is committed is applied"


def test_the_faults_that_matter_stay() -> None:
    case = case_of("vote-forgotten-at-a-crash")
    shrunk = shrink(case, most_runs=60)
    assert shrunk is not None
    assert 0 < faults_in(shrunk.case) < faults_in(case)
    again = shrunk.case.play()
    assert again == shrunk.failure


def test_a_transcript_ends_with_the_property() -> None:
    shrunk = shrink(case_of("votes-twice"), most_runs=30)
    assert shrunk is not None
    lines = transcript(shrunk).splitlines()
    assert lines[-1].startswith("broken at ")
    assert "One vote a term" in lines[-1]
    assert any("stands in term" in line for line in lines)
    assert any("RequestVote last=" in line for line in lines)


def test_nothing_is_made_of_a_seed_that_holds() -> None:
    plan = plan_of(0)
    assert shrink(Case(0, plan.settings, plan.schedule)) is None
