"""Show a composition in the shell: the text as it is written, the progress of each step, a summary."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from limner.errors import LimnerError
from limner.text import count_words, dollars, printable

if TYPE_CHECKING:
    from limner.agents.meter import Meter
    from limner.document import Article
    from limner.workflows.state import Event

STEPS = {
    "spot": "Finding places for images",
    "retrieve": "Searching the library",
    "select": "Choosing images",
    "arrange": "Arranging them",
    "check": "Checking them",
    "generate": "Generating images",
}


class _Rate(ProgressColumn):
    """The rate per minute, once two batches are done."""

    def render(self, task: Task) -> Text:
        """As "54/min"."""
        return Text(f"{60 * task.speed:.0f}/min" if task.speed else "")


class Terminal:
    """Shows a composition. The article's text goes to standard output, everything about it to standard error."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._tasks: dict[str, int] = {}
        self._writing = False

    def on_event(self, event: Event) -> None:
        """Show one event of the graph."""
        kind = event.get("kind")
        if self.quiet:
            return
        if kind == "text":
            self._writing = True
            sys.stdout.write(printable(event.get("text", "")))
            sys.stdout.flush()
        elif kind == "step":
            self._end_text()
            self._step(event)

    def say(self, text: str, style: str = "") -> None:
        """Print one line of progress; text from outside is never read as markup."""
        self._end_text()
        self.console.print(printable(text), style=style, markup=False)

    def close(self) -> None:
        """End the text and the progress bars."""
        self._end_text()
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._tasks.clear()

    @contextmanager
    def counting(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """A progress bar for a count: call it with (done, of). It appears once there is something to wait for."""
        with self._bars(_Rate(), TextColumn("left"), TimeRemainingColumn()) as bars:
            task: list[int] = []

            def count(done: int, of: int) -> None:
                if not task:  # earlier work does not count in the rate
                    task.append(bars.add_task(what, total=of, completed=done))
                bars.update(task[0], completed=done, total=of)  # type: ignore[arg-type]

            yield count

    def _bars(self, *more: ProgressColumn) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            *more,
            console=self.console,
            disable=self.quiet,
        )

    def _step(self, event: Event) -> None:
        if self._progress is None:
            self._progress = self._bars()
            self._progress.start()
        step, done, of = event.get("step", ""), event.get("done", 0), event.get("of", 0)
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(STEPS.get(step, step), total=of or 1)
        self._progress.update(self._tasks[step], completed=done if of else 1, total=of or 1)  # type: ignore[arg-type]

    def _end_text(self) -> None:
        if self._writing:
            sys.stdout.write("\n\n")
            sys.stdout.flush()
            self._writing = False


class Stopped(LimnerError):
    """Ctrl-C. The message says what is kept, and how to go on."""

    exit_code = 130


@contextmanager
def leaving_at_once(terminal: Terminal, line: Callable[[], str]) -> Iterator[None]:
    """Make Ctrl-C end the program at once, with a line.

    Threads and LangGraph would first wait for the current model calls, which may take minutes. Use it where leaving
    loses nothing, because what is finished is committed, and nothing else is open for writing.
    """

    def leave(_signal: int, _frame: object) -> None:
        terminal.close()
        print(f"limner: {line()}", file=sys.stderr, flush=True)
        os._exit(Stopped.exit_code)

    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def summary(article: Article, meter: Meter) -> list[str]:
    """Print the article and its cost, one line each."""
    words = sum(count_words(p.plain) for p in article.paragraphs)
    lines = [f"{article.title}: {len(article.paragraphs)} paragraphs, {words} words, {images(article)}."]
    found = article.made_with.get("language")
    if isinstance(found, dict) and found.get("confidence"):
        lines.append(f"Language: {article.language}, found with a confidence of {found['confidence']:.2f}.")
    if meter.roles:
        parts = [
            f"{role} {u.prompt}+{u.completion} in {u.calls} call{'s' * (u.calls != 1)}"
            + (" (estimated)" if u.estimated else "")
            for role, u in meter.roles.items()
        ]
        cost = f", {dollars(meter.cost)}" if meter.cost else ""
        lines.append(f"Tokens (prompt+answer): {', '.join(parts)}; {meter.total} in all{cost}.")
    return [*lines, *article.notes]


def images(article: Article) -> str:
    """The number of images, in words."""
    count = len(article.illustrations)
    made = sum(1 for i in article.illustrations if i.digital_source_type)
    count_text = "no image" if not count else f"{count} image{'s' * (count != 1)}"
    return f"{count_text}, {made} of them generated" if made else count_text
