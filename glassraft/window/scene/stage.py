"""What every panel's drawing is given: the facts, the choices, the colours, a measure and a size."""

from dataclasses import dataclass, field

from glassraft.window.model import Model
from glassraft.window.shapes import Measure, fit
from glassraft.window.theme import Theme
from glassraft.window.view import View

NAMES = {
    "unknown": "not heard yet",
    "down": "not running",
    "killed": "killed",
    "stopped": "stopped",
    "paused": "paused",
    "unreachable": "unreachable",
    "outside": "no member",
}
"""How people read the states in which a node does not run, or runs for nobody."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What can be asked of the cluster from here: whether jobs can be submitted, and whether it is live."""

    submit: bool = False
    live: bool = True
    label: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """One panel's size and all that it is drawn by; `moment` is a clock for what moves by itself, seconds."""

    model: Model
    view: View
    theme: Theme
    measure: Measure
    width: float
    height: float
    moment: float = 0.0
    offer: Offer = field(default_factory=Offer)

    def fit(self, text: str, font: str, width: float) -> str:
        """The text, elided where it is wider."""
        return fit(text, font, width, self.measure)

    def last_heard(self, id: int) -> str:
        """ "last heard 3.2 s ago", or what stands for it where the node was never heard."""
        heard = self.model.last_heard_s(id)
        if heard is None:
            return "not heard yet"
        if heard < 100:
            return f"last heard {heard:.1f} s ago"
        return f"last heard {heard / 60:.0f} min ago"

    def clock(self, ts: float) -> str:
        """A moment as seconds since the picture's beginning: "12.840"."""
        return f"{ts - (self.model.zero or ts):.3f}"
