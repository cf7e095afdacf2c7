"""User-fixable errors: one line that names what is wrong, the file or key, and the fix."""


class TandemError(Exception):
    """Base of all errors that the user can fix; shown as one line, without a traceback."""


class ConfigError(TandemError):
    """An invalid configuration: an unknown key, a value out of range, or parts that do not fit together."""


class TrainingError(TandemError):
    """Training cannot go on: a value is not finite, or memory ran out. What was written so far is kept."""


class DataError(TandemError):
    """Images, masks, labels or splits that cannot be used."""
