"""The few errors this project raises on purpose.

Each is also the builtin that a caller would expect, and each text says what was wrong, what was got, what was
wanted and how to mend it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HEAError(Exception):
    """Base of every error raised on purpose."""


class InputError(HEAError, ValueError):
    """A value, a file's content or a setting is not usable."""


class MissingFileError(HEAError, FileNotFoundError):
    """A file or folder that was named does not exist."""


class UnknownNameError(HEAError, KeyError):
    """A name is not among the known ones."""

    def __str__(self) -> str:  # KeyError would show the repr
        return str(self.args[0]) if self.args else ""


class MissingDependencyError(HEAError, ImportError):
    """An optional package is needed and not installed."""


def unknown_name(what: str, got: str, known: Iterable[str]) -> UnknownNameError:
    """Build the error for an unknown name, naming the nearest known one.

    >>> str(unknown_name("radiation", "CuKb", ["CuKa", "CoKa"]))
    "unknown radiation 'CuKb'; did you mean 'CuKa'? Known: CuKa, CoKa"
    """
    names = [str(name) for name in known]
    near = difflib.get_close_matches(str(got), names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return UnknownNameError(f"unknown {what} '{got}'{hint} Known: {', '.join(names) or 'none'}")


def one_line_error(error: BaseException) -> str:
    """Write an error in one line; one that was not raised on purpose is named by its kind.

    >>> one_line_error(InputError("a.xy: empty;\\n give data")), one_line_error(ValueError("bad"))
    ('a.xy: empty; give data', 'ValueError: bad')
    """
    text = " ".join(str(error).split())
    if isinstance(error, HEAError):
        return text
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {text}"
