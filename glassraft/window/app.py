"""The window itself: Tk's loop, panels, pointer, keys and menu; and nothing that it shows.

Each frame takes what the source has, lets the model advance, and paints the panels whose turn it
is. Nothing on this thread ever waits: sources and actions have threads of their own.
"""

import sys
import time
import tkinter
import tkinter.font
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

from glassraft.events import Event
from glassraft.window import DisplayMissing, layout
from glassraft.window.actions import KEYS, NODE_ACTIONS, Doer, NodeAction
from glassraft.window.controls import Controls
from glassraft.window.layout import Box
from glassraft.window.model import Model
from glassraft.window.painters import Fonts, Painter, Sprites, be_aware_of_scaling, scale_of
from glassraft.window.scene import PANELS, Stage, help, story
from glassraft.window.scene.stage import Offer
from glassraft.window.shapes import Layer, Picture, Rect, Spot
from glassraft.window.source import RecordedSource, Source
from glassraft.window.theme import DARK, LIGHT
from glassraft.window.view import TABS, View, What

FRAME_S = 1 / 60
STILL_FRAME_S = 1 / 12
SLOWER = {"header": 0.2, "logs": 0.1, "tabs": 0.1, "time": 1 / 30, "cluster": 0.0}
"""How long a panel may stay as it is when nothing was clicked, seconds."""

REST_SHARE = 0.6
"""At least so much of a frame's work is left free after it: nodes share the machine."""


class Window:
    """One window on one source. Raises DisplayMissing where there is no display."""

    def __init__(
        self, title: str, members: Sequence[int], controls: Controls, source: Source, label: str = ""
    ) -> None:
        be_aware_of_scaling()
        try:
            self.root = tkinter.Tk(className="Glassraft")
        except tkinter.TclError as error:
            raise DisplayMissing(f"no window can be opened: {error}; run without one (--headless)") from error
        self.model, self.view, self.theme = Model(members), View(), LIGHT
        self.frames = 0
        self._is_open = True
        self._controls, self._source, self._doer = controls, source, Doer(controls)
        self._live, self._label = source.live, label
        self._scale = scale_of(self.root)
        self._fonts = Fonts(self.root, self._scale)
        self._images = Sprites(self.root)
        self._painters: dict[str, Painter] = {}
        self._boxes: dict[str, Box] = {}
        self._spots: dict[str, tuple[Spot, ...]] = {}
        self._drawn_at: dict[str, float] = {}
        self._help: tkinter.Canvas | None = None
        self._menu: tkinter.Menu | None = None
        self._past: Iterator[Event] | None = None
        self._failures: set[str] = set()
        self._interrupted: BaseException | None = None
        self._arrange(title)
        self._bind()

    def run(self) -> None:
        """Show the window until it is closed. Ctrl-C closes it too, and is raised again."""
        self.start()
        try:
            self.root.mainloop()
        finally:
            self._is_open = False
            self._source.stop()
        if self._interrupted is not None:
            raise self._interrupted

    def start(self) -> None:
        """Start the source and the frames; they go on in Tk's loop."""
        self._source.start()
        if isinstance(self._source, RecordedSource):
            self._past = self._source.events()
        self.root.after(0, self._frame)

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self._is_open

    def close(self) -> None:
        """Close the window; `run` returns."""
        self._is_open = False
        self._source.stop()
        self.root.destroy()

    # Frames

    def _frame(self) -> None:
        began = time.perf_counter()
        try:
            self._advance()
            if self.root.winfo_viewable():
                self._paint(began)
            self.frames += 1
        finally:
            if self._is_open:
                took = time.perf_counter() - began
                wished = FRAME_S if self._live or self._past is not None else STILL_FRAME_S
                self.root.after(max(1, round(1000 * max(wished - took, took * REST_SHARE))), self._frame)

    def _advance(self) -> None:
        self.model.put(self._source.take())
        if self._live:
            self.model.advance(time.time())
        elif self._past is not None:
            self._read_on(self._past)
        if len(self.model.ids) != self._rows:  # a node has joined
            self._lay_out()
        for words in self._doer.said():
            self.view.say(words, time.monotonic())
            self._redraw("header")

    def _read_on(self, past: Iterator[Event]) -> None:
        """Read the recorded run piece by piece, so that the window answers meanwhile."""
        words = f"reading: {sum(node.last_seq for node in self.model.fold.nodes.values()):,} events"
        self.view.say(words, time.monotonic())
        if self.model.load(past):
            self._past = None
            self.view.notice = ""
        self._redraw()

    def _paint(self, now: float) -> None:
        moment = time.monotonic()
        for name, painter in self._painters.items():
            last = self._drawn_at.get(name)
            if last is not None and (now - last < SLOWER[name] or (not self._live and name != "header")):
                continue
            self._drawn_at[name] = now
            picture = PANELS[name](self._stage(self._boxes[name], moment))
            self._spots[name] = picture.spots
            painter.paint(self._framed(name, picture))

    def _stage(self, box: Box, moment: float) -> Stage:
        offer = Offer(self._controls.can("submit", 0)[0], self._live, self._label)
        return Stage(
            self.model, self.view, self.theme, self._fonts.measure, box.width, box.height, moment, offer
        )

    def _framed(self, name: str, picture: Picture) -> Picture:
        """A panel's picture with its frame."""
        if name == "header":
            return picture
        box, theme = self._boxes[name], self.theme
        frame = Rect(
            "frame", 0, 0, box.width, box.height, theme.panel, theme.border, 1, 5, theme.window, Layer.GROUND
        )
        return Picture((frame, *picture.shapes), picture.spots)

    def _redraw(self, *names: str) -> None:
        """Paint these panels, or all, with the next frame."""
        for name in names or tuple(self._painters):
            self._drawn_at.pop(name, None)

    # Panels

    def _arrange(self, title: str) -> None:
        root, scale = self.root, self._scale
        root.title(title)
        root.configure(background=self.theme.window)
        root.minsize(*(round(side * scale) for side in layout.MINIMUM))
        room = (root.winfo_screenwidth(), root.winfo_screenheight() - 40)
        width, height = (
            min(round(side * scale), most) for side, most in zip(layout.WISHED, room, strict=True)
        )
        root.geometry(f"{width}x{height}")
        for name in layout.PANELS:
            canvas = tkinter.Canvas(root, highlightthickness=0, borderwidth=0)
            ground = self.theme.window if name == "header" else self.theme.panel
            self._painters[name] = Painter(canvas, self._fonts, self._images, scale, ground)
        self._size = (width, height)
        self._lay_out()
        self._colour()

    def _lay_out(self) -> None:
        scale, (width, height) = self._scale, self._size
        self._rows = len(self.model.ids)
        self._boxes = layout.panels(width / scale, height / scale, self._rows)
        for name, box in self._boxes.items():
            self._painters[name].canvas.place(
                x=round(box.x0 * scale),
                y=round(box.y0 * scale),
                width=round(box.width * scale),
                height=round(box.height * scale),
            )
        self._images.forget()
        self._redraw()

    def _colour(self) -> None:
        self.root.configure(background=self.theme.window)
        for name, painter in self._painters.items():
            painter.lies_on(self.theme.window if name == "header" else self.theme.panel)
            painter.canvas.configure(background=self.theme.window)
        self._redraw()

    # Pointer

    def _bind(self) -> None:
        root = self.root
        root.protocol("WM_DELETE_WINDOW", self.close)
        root.report_callback_exception = self._failed
        root.bind("<Configure>", self._resized)
        root.bind("<Key>", self._key)
        for name, painter in self._painters.items():
            canvas = painter.canvas
            canvas.bind("<Motion>", lambda event, name=name: self._moved(name, event))  # type: ignore[misc]
            canvas.bind("<Leave>", lambda event, name=name: self._point(name, None))  # type: ignore[misc]
            canvas.bind("<Button-1>", lambda event, name=name: self._clicked(name, event))  # type: ignore[misc]
            canvas.bind("<Button-3>", lambda event, name=name: self._clicked(name, event))  # type: ignore[misc]
        for wheel in ("<MouseWheel>", "<Button-4>", "<Button-5>"):
            self._painters["tabs"].canvas.bind(wheel, self._wheel)

    def _resized(self, event: "tkinter.Event[tkinter.Misc]") -> None:
        if event.widget is self.root:
            self._size = (event.width, event.height)
            self._lay_out()

    def _at(self, name: str, event: "tkinter.Event[tkinter.Misc]") -> What | None:
        x, y = event.x / self._scale, event.y / self._scale
        return next((spot.what for spot in self._spots.get(name, ()) if spot.box.holds(x, y)), None)

    def _moved(self, name: str, event: "tkinter.Event[tkinter.Misc]") -> None:
        self._point(name, self._at(name, event))

    def _point(self, name: str, what: What | None) -> None:
        if what != self.view.over:
            self.view.over = what
            self._painters[name].canvas.configure(cursor="hand2" if what and what[0] != "cell" else "")
            self._redraw(name)

    def _clicked(self, name: str, event: "tkinter.Event[tkinter.Misc]") -> None:
        self._close_help()
        what = self._at(name, event)
        match what:
            case ("node", int(id)):
                self.view.selected = id
                self._redraw()
                self._open_menu(id, event.x_root, event.y_root)
            case ("tab", str(tab)):
                self.view.tab = next(known for known, _ in TABS if known == tab)
            case ("submit",):
                self._doer.submit()
            case _ if name == "cluster":
                self.view.selected = None
        self._redraw()

    def _wheel(self, event: "tkinter.Event[tkinter.Misc]") -> None:
        up = event.num == 4 or (event.num != 5 and event.delta > 0)
        self._scroll(3 if up else -3)

    def _scroll(self, rows: int) -> None:
        fits = story.rows(self._boxes["tabs"].height)
        most = max(0, len(self.model.sentences) - fits)
        self.view.story_back = max(0, min(most, self.view.story_back + rows))
        self._redraw("tabs")

    # The menu of a node

    def _open_menu(self, id: int, x: int, y: int) -> None:
        if self._menu is not None:
            self._menu.destroy()
        theme = self.theme
        menu = self._menu = tkinter.Menu(
            self.root,
            tearoff=False,
            font=self._fonts.fonts["body"],
            background=theme.panel,
            foreground=theme.ink,
            activebackground=theme.halo,
            activeforeground=theme.ink,
            disabledforeground=theme.faint,
            relief="solid",
            borderwidth=1,
            activeborderwidth=3,
        )
        for what in NODE_ACTIONS:
            able, reason = self._controls.can(what.action, id)
            words = f"{what.words} n{id}" + ("" if able or not reason else f": {reason}")
            menu.add_command(
                label=words,
                accelerator=what.key,
                state="normal" if able else "disabled",
                command=lambda what=what: self._doer.node(what, id),  # type: ignore[misc]
            )
        path = self._controls.log_path(id)
        menu.add_command(
            label="Open its log" + ("" if path else ": not on this machine"),
            accelerator="O",
            state="normal" if path else "disabled",
            command=lambda: self._doer.open_log(id),
        )
        menu.tk_popup(x, y)

    # Keys

    def _key(self, event: "tkinter.Event[tkinter.Misc]") -> None:
        if int(event.state) & 0x4 or (sys.platform == "darwin" and int(event.state) & 0x8):
            return  # with Control or Command it is not for us
        key = event.char.lower() if event.char and event.char.isprintable() else event.keysym
        if key == "?" and self._help is None:
            self._open_help()
            return
        self._close_help()
        acts: dict[str, Callable[[], None]] = {
            "k": lambda: self._act(NODE_ACTIONS[0]),
            "r": lambda: self._act(NODE_ACTIONS[1]),
            "p": self._pause_or_resume,
            "l": lambda: self._act(NODE_ACTIONS[4]),
            "o": lambda: self._on_selected(self._doer.open_log),
            "s": self._doer.submit,
            "d": self._other_theme,
            "Escape": lambda: self.view.select(None),
            "Left": lambda: self._turn_tab(-1),
            "Right": lambda: self._turn_tab(1),
            "Up": lambda: self._scroll(1),
            "Down": lambda: self._scroll(-1),
            "Prior": lambda: self._scroll(6),
            "Next": lambda: self._scroll(-6),
            "End": lambda: self._scroll(-len(self.model.sentences)),
            "Home": lambda: self._scroll(len(self.model.sentences)),
        }
        act = acts.get(key)
        if key.isdecimal() and int(key) in self.model.ids:
            self.view.select(int(key))
        elif act is not None:
            act()
        self._redraw()

    def _act(self, what: NodeAction) -> None:
        self._on_selected(lambda id: self._doer.node(what, id))

    def _pause_or_resume(self) -> None:
        def turn(id: int) -> None:
            resumes = self._controls.can("resume", id)[0]
            self._doer.node(NODE_ACTIONS[3 if resumes else 2], id)

        self._on_selected(turn)

    def _on_selected(self, act: Callable[[int], None]) -> None:
        if self.view.selected is None:
            self.view.say("choose a node first: its number, or a click", time.monotonic())
        else:
            act(self.view.selected)

    def _turn_tab(self, by: int) -> None:
        names = [name for name, _ in TABS]
        self.view.tab = names[(names.index(self.view.tab) + by) % len(names)]

    def _other_theme(self) -> None:
        self.theme = DARK if self.theme is LIGHT else LIGHT
        self._colour()

    # Help

    def _open_help(self) -> None:
        width, height = help.WIDTH, help.height(len(KEYS))
        scale = self._scale
        canvas = self._help = tkinter.Canvas(
            self.root, highlightthickness=1, highlightbackground=self.theme.faint, background=self.theme.panel
        )
        canvas.bind("<Button-1>", lambda _event: self._close_help())
        canvas.place(
            relx=0.5, rely=0.5, anchor="center", width=round(width * scale), height=round(height * scale)
        )
        painter = Painter(canvas, self._fonts, self._images, scale, self.theme.panel)
        painter.paint(help.picture(self._stage(Box(0, 0, width, height), 0.0), KEYS))

    def _close_help(self) -> None:
        if self._help is not None:
            self._help.destroy()
            self._help = None

    # What goes wrong here

    def _failed(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Ctrl-C closes; anything else is a fault in the drawing: told once, and the window goes on."""
        if isinstance(error, KeyboardInterrupt):
            self._interrupted = error
            self.close()
            return
        words = "".join(traceback.format_exception(kind, error, trace))
        if words not in self._failures:
            self._failures.add(words)
            print(f"the window could not draw something; it goes on\n{words}", file=sys.stderr)
