# SPDX-License-Identifier: Apache-2.0
"""How the demo speaks: acts, what was seen in each, and what was missed."""
import sys
import time


class Missed(Exception):
    """Something that an act had to show did not happen."""


class Stage:
    """Prints acts and counts what was seen; one failed check ends its act."""

    def __init__(self):
        self.acts, self.figures, self.began = [], [], time.time()
        self.colour = sys.stdout.isatty()

    def act(self, number, title, play):
        """Plays one act; returns whether it was seen to its end."""
        start = time.time()
        self.say(f"\n{self._style('1', f'Act {number}  {title}')}")
        try:
            play()
            ok, why = True, ""
        except Missed as missed:
            ok, why = False, str(missed)
            self.say(self._style("31", f"  ✗ {why}"))
        except Exception as error:  # an act that breaks is an act that was not seen; the others still play
            ok, why = False, f"{type(error).__name__}: {error}"
            self.say(self._style("31", f"  ✗ {why}"))
            import traceback
            traceback.print_exc()
        self.acts.append((number, title, ok, why, time.time() - start))
        self.say(f"  {'✓ seen' if ok else '✗ not seen'} in {time.time() - start:.1f} s")
        return ok

    def seen(self, what, detail=""):
        self.say(f"  {self._style('32', '✓')} {what}" + (f"   {self._style('2', str(detail))}" if detail != "" else ""))

    def must(self, truth, what, detail=""):
        """Says what was seen, or ends the act."""
        if not truth:
            raise Missed(f"{what}   {detail}")
        self.seen(what, detail)

    def say(self, text=""):
        print(text, flush=True)

    def quote(self, text, limit=40):
        """Shows what the product printed, indented."""
        lines = text.rstrip("\n").split("\n")
        for line in lines[:limit]:
            self.say(f"    │ {line}")
        if len(lines) > limit:
            self.say(f"    │ … {len(lines) - limit} more lines")

    def table(self, rows):
        widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
        for row in rows:
            self.say("    " + "  ".join(str(cell).rjust(w) if i else str(cell).ljust(w) for i, (cell, w) in enumerate(zip(row, widths))))

    def figure(self, name, value):
        self.figures.append((name, value))

    def close(self) -> int:
        self.say(f"\n{self._style('1', 'Acts')}")
        for number, title, ok, why, seconds in self.acts:
            self.say(f"  {'✓' if ok else '✗'} {number}  {title:<64} {seconds:6.1f} s" + (f"   {why}" if why else ""))
        if self.figures:
            self.say(f"\n{self._style('1', 'Figures')}")
            for name, value in self.figures:
                self.say(f"  {name:<58} {value}")
        missing = [a for a in self.acts if not a[2]]
        self.say(f"\n{'✓ every act was seen' if not missing else f'✗ {len(missing)} of {len(self.acts)} acts were not seen'}   {time.time() - self.began:.0f} s in all")
        return 1 if missing else 0

    def _style(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def wait_for(what, check, seconds=60.0, every=0.3):
    """Asks check until it answers something true, and returns that; Missed after so many seconds."""
    end = time.time() + seconds
    last = None
    while time.time() < end:
        try:
            if got := check():
                return got
        except Missed:
            raise
        except Exception as error:  # a server that is being restarted
            last = error
        time.sleep(every)
    raise Missed(f"waited {seconds:.0f} s for {what}" + (f" (last: {last})" if last else ""))
