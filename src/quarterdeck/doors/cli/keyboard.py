"""A line that is typed while other lines are printed above it."""

import asyncio
import codecs
import os
import sys
import termios
import tty
from collections.abc import Callable

PROMPT = "> "
_ENTER, _RUBOUT, _END, _CLEAR = "\r\n", "\x7f\x08", "\x04", "\x15"


class Keyboard:
    """Reads the terminal key by key; `close` gives it back as it was.

    `on_key` is offered each key while the line is empty and says whether it took it, `on_line` gets each line, `on_end`
    is told of an end of file.
    """

    def __init__(
        self, *, on_key: Callable[[str], bool], on_line: Callable[[str], None], on_end: Callable[[], None]
    ) -> None:
        self._on_key, self._on_line, self._on_end = on_key, on_line, on_end
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")
        self._line = ""
        self._escape = ""
        self._terminal = sys.stdin.fileno()
        self._before = termios.tcgetattr(self._terminal)
        tty.setcbreak(self._terminal)
        asyncio.get_running_loop().add_reader(self._terminal, self._read)

    def close(self) -> None:
        """The terminal is as it was."""
        asyncio.get_running_loop().remove_reader(self._terminal)
        termios.tcsetattr(self._terminal, termios.TCSADRAIN, self._before)
        self.hide()

    def hide(self) -> None:
        """Takes the line off the screen, so that something can be printed in its place."""
        print("\r\x1b[K", end="", flush=True)

    def show(self) -> None:
        """Puts the line back, or what there is of it on one row."""
        width = max(20, os.get_terminal_size(self._terminal).columns - len(PROMPT) - 1)
        print(f"\r\x1b[K{PROMPT}{self._line[-width:]}", end="", flush=True)

    def _read(self) -> None:
        try:
            data = os.read(self._terminal, 4_096)
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._terminal)
            self._on_end()
            return
        for key in self._decoder.decode(data):
            self._take(key)
        self.show()

    def _take(self, key: str) -> None:
        if self._escape or key == "\x1b":  # arrows and the like: a sequence ends with a letter or ~
            self._escape = "" if self._escape and (key.isalpha() or key == "~") else self._escape + key
        elif key in _ENTER:
            line, self._line = self._line.strip(), ""
            if line:
                self._on_line(line)
        elif key in _RUBOUT:
            self._line = self._line[:-1]
        elif key == _CLEAR:
            self._line = ""
        elif key == _END and not self._line:
            self._on_end()
        elif key.isprintable() and (self._line or not self._on_key(key)):
            self._line += key
