"""Errors a user can act on, each with the exit code the command line returns for it.

AnalogyError (1)
├── RecipeError    (2)  wrong usage, wrong recipe, a workspace that belongs to other inputs
├── DataError      (3)  text, audio or weights that cannot be used
├── MissingError   (4)  a package, model or file that is not here (or the hub is offline)
├── ResourceError  (5)  out of memory or disk, or a folder that cannot be written
├── GateError      (6)  the result does not meet the quality the recipe asks for
└── Interrupted  (130)  stopped by the user; the same command goes on from where it stood

A message says what happened, where (file and key), why, and what to type next, in one line.
"""


class AnalogyError(Exception):
    """Root of every error this package raises on purpose."""

    exit_code = 1


class RecipeError(AnalogyError):
    """The command or the recipe asks for something that does not exist or does not fit."""

    exit_code = 2


class DataError(AnalogyError):
    """Text, audio or weights that cannot be used as they are."""

    exit_code = 3


class MissingError(AnalogyError):
    """A package, a model or a file that is needed and not here."""

    exit_code = 4


class ResourceError(AnalogyError):
    """Memory, disk or permissions ran out."""

    exit_code = 5


class GateError(AnalogyError):
    """A finished run, or a choice, that misses the quality gate its recipe sets."""

    exit_code = 6


class Interrupted(AnalogyError):
    """Stopped by a signal; state is on disk and the same command continues."""

    exit_code = 130
