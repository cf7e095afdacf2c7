"""Errors that a user can mend: one line that names the thing, the file or key, and the mend."""


class TandemError(Exception):
    """Base of every error that is the user's to mend; shown as one line, without a traceback."""


class ConfigError(TandemError):
    """A setting that cannot work: an unknown key, a value out of range, parts that do not fit together."""


class DataError(TandemError):
    """Images, masks, labels or splits that cannot be used as they are."""
