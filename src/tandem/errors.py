"""User-fixable errors: one line that names what is wrong, the file or key, and the fix."""


class TandemError(Exception):
    """Base of all errors that the user can fix; shown as one line, without a traceback."""


class ConfigError(TandemError):
    """An invalid configuration: an unknown key, a value out of range, or parts that do not fit together."""


class TrainingError(TandemError):
    """Training cannot continue: a value is not finite, or memory ran out. Files written so far are kept."""


class DataError(TandemError):
    """Images, masks, labels or splits that cannot be used."""
