"""Errors that a user can mend. The command line prints their text alone and exits with 2."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Something the user gave is wrong; the message says what, where, and what would be right."""


class ConfigError(UserError):
    """An experiment file or an option: names the key and the allowed values."""


class DataError(UserError):
    """A document: names the file, the document and the field."""


class UnknownNameError(UserError, KeyError):
    """A name that no registry holds."""

    __str__ = UserError.__str__  # KeyError would print the message quoted


def did_you_mean(name: object, known: Iterable[str], most: int = 1) -> str:
    """A question with the nearest known names, to follow a sentence; empty if none is near."""
    near = difflib.get_close_matches(str(name), known, n=most)
    return f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
