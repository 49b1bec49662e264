"""Exactly once (diss. §6.3): a client's session, its commands' numbers, and the answers stored for them.

A session begins with its first command. A number already answered gets the same answer; one
below the lowest still awaited is refused, never run. A session unused for its ttl expires.
"""

import json
from typing import Any, Final

from glassraft.jobqueue import ids
from glassraft.jobqueue.book import Book, Refusal
from glassraft.jobqueue.fields import HOUR_MS, SECOND_MS
from glassraft.json_encoder import make_encoder

MAX_SESSIONS: Final = 200_000
MARKS_KEPT: Final = 10_000
"""How many sessions are remembered between two commands; the tables have all."""
EXPIRY_BUDGET: Final = 64
"""How many sessions a command looks at for expiry: apart from, and beside, the rows that come due."""

SESSION: Final = "SELECT low FROM sessions WHERE id = ?"
HIGHEST: Final = "SELECT max(number) FROM answers WHERE session = ?"
ANSWER: Final = "SELECT answer FROM answers WHERE session = ? AND number = ?"
TO_CHECK: Final = "SELECT id, used_ms FROM sessions WHERE check_ms <= ? ORDER BY check_ms, id LIMIT ?"

_encode = make_encoder(sort_keys=True)  # canonical JSON; the machine's own answers need no check


def ttl_ms(session: str) -> int:
    """How long a session lives unused: it is written in the session's name where it is not an hour."""
    _, _, seconds = session.partition("-")
    return int(seconds) * SECOND_MS if seconds else HOUR_MS


def recall(book: Book, op: str, session: str, number: int, low: int) -> dict[str, Any] | Refusal | None:
    """The answer that this number already has, or why it gets none; None when it is to be run now."""
    marks = _marks(book, session)
    if marks is None:
        return _open(book, session, number, low)
    known_low, highest = marks
    new_low = max(known_low, low)
    book.session_marks[session] = (new_low, highest)
    book.write("session used", [(book.now_ms, new_low, session)])
    if new_low > known_low:
        book.write("answers below", [(session, new_low)])
    if number < new_low:
        message = f"number {number} of the session is below {new_low}, the lowest that its client awaits"
        return Refusal("stale_number", message, {"number": number, "low": new_low})
    if number > highest:
        return None
    stored = book.read(ANSWER, (session, number)).fetchone()
    if stored is None:
        return None
    first_op, answer, refusal = json.loads(stored[0])
    if first_op != op:
        message = (
            f"number {number} of the session was a {first_op}, so it cannot be a {op}: number commands anew"
        )
        return Refusal("bad_argument", message, {"number": number})
    if refusal is not None:
        return Refusal(*refusal)
    return _still_leased(book, answer) if op == "Take" else answer


def is_settled(book: Book, session: str, number: int) -> bool:
    """Whether `recall` has an answer for this number, so that it need not wait for anything."""
    if not session:
        return False
    row = book.read(SESSION, (session,)).fetchone()
    if row is None:
        return number > 1
    if number < row[0]:
        return True
    return book.read(ANSWER, (session, number)).fetchone() is not None


def remember(book: Book, op: str, session: str, number: int, answer: dict[str, Any] | Refusal) -> None:
    """Stores the answer of a command that was run, or refused for what it asked: [op, answer, refusal]."""
    stored = [op, None, list(answer)] if isinstance(answer, Refusal) else [op, answer, None]
    if book.rules.answer_is_kept():
        book.write("answer", [(session, number, _encode(stored))])
    low, highest = book.session_marks[session]
    book.session_marks[session] = (low, max(highest, number))


def expire(book: Book) -> None:
    """Looks at the sessions whose time to look has come: ends those unused for their ttl, puts off the rest.

    A session in use is not touched on the way, so using it costs no write to the index.
    """
    if book.first_session_check_ms is None or book.first_session_check_ms > book.now_ms:
        return
    for session, used_ms in book.read(TO_CHECK, (book.now_ms, EXPIRY_BUDGET)).fetchall():
        ends_ms = used_ms + ttl_ms(session)
        if ends_ms > book.now_ms:
            book.write("session checked", [(ends_ms, session)])
        else:
            book.write("session expired", [(session,)])
            book.write("answers of", [(session,)])
            book.session_marks.pop(session, None)
            book.sessions -= 1
    book.find_first_session_check()


def _marks(book: Book, session: str) -> tuple[int, int] | None:
    """The session's low and the highest number that has an answer; None where there is no such session.

    Remembered, since nearly every command of a session is its newest: that one needs no look into the tables.
    """
    marks = book.session_marks.get(session)
    if marks is None:
        row = book.read(SESSION, (session,)).fetchone()
        if row is None:
            return None
        if len(book.session_marks) >= MARKS_KEPT:
            book.session_marks.clear()
        highest = book.read(HIGHEST, (session,)).fetchone()[0] or 0
        marks = book.session_marks[session] = (row[0], highest)
    return marks


def _open(book: Book, session: str, number: int, low: int) -> Refusal | None:
    if number > 1:
        message = f"the session has expired, so its command {number} was not run: begin a new one"
        return Refusal("session_expired", message, {"session": session, "number": number})
    if book.sessions >= MAX_SESSIONS:
        message = f"there are {MAX_SESSIONS:,} sessions, as many as may be: try again when some have expired"
        return Refusal("full", message, {"sessions": MAX_SESSIONS})
    check_ms = book.now_ms + ttl_ms(session)
    book.write("session", [(session, book.now_ms, low, check_ms)])
    book.sessions += 1
    book.session_marks[session] = (low, 0)
    if book.first_session_check_ms is None or check_ms < book.first_session_check_ms:
        book.first_session_check_ms = check_ms
    return None


def _still_leased(book: Book, answer: dict[str, Any]) -> dict[str, Any]:
    """A Take asked again gets the same jobs, less those whose token is no longer valid."""
    kept = []
    for text, token in answer["jobs"]:
        job = book.job(ids.from_text(text))
        if job is not None and book.rules.token_is_valid(job.state, job.token, token):
            kept.append([text, token])
    return {"jobs": kept}
