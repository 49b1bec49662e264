"""What happened and why: the newest sentences, each with its time, its node and its section of the paper."""

from collections.abc import Iterator

from glassraft.window.scene import glyphs
from glassraft.window.scene.stage import Stage
from glassraft.window.shapes import Shape, Text

PITCH = 32.0
TOP = 41.0


def rows(height: float) -> int:
    """How many sentences fit into a panel of that height."""
    return max(1, int((height - TOP - 2) / PITCH))


def shapes(stage: Stage) -> Iterator[Shape]:
    """The list, the newest at the bottom; scrolled back where the view says so."""
    sentences = stage.model.sentences
    fits = rows(stage.height)
    end = max(min(fits, len(sentences)), len(sentences) - stage.view.story_back)
    if not sentences:
        yield Text("story empty", 16, TOP + PITCH / 2, "nothing has happened yet", stage.theme.muted, "body")
    for row, at in enumerate(range(max(0, end - fits), end)):
        sentence = sentences[at]
        y, key = TOP + PITCH / 2 + row * PITCH, f"story {row}"
        yield Text(f"{key} time", 15, y, stage.clock(sentence.ts), stage.theme.muted, "mono")
        left = 15 + max(56.0, stage.measure(stage.clock(sentence.ts), "mono") + 10)
        yield from glyphs.chip(key, left, y, sentence.node, sentence.term, stage.theme)
        section = stage.measure(sentence.section, "mono") + 12 if sentence.section else 0
        words = stage.fit(sentence.text, "body", stage.width - 17 - section - left - 41)
        yield Text(f"{key} text", left + 41, y, words, stage.theme.ink, "body")
        if sentence.section:
            yield Text(
                f"{key} section", stage.width - 17, y, sentence.section, stage.theme.muted, "mono", "e"
            )
    if stage.view.story_back:
        yield Text(
            "story back", stage.width - 17, 20, "scrolled back: End returns", stage.theme.muted, "label", "e"
        )
