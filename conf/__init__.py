"""The shipped options as a package, for Hydra's own `initialize_config_module("tandem.conf")` and `pkg://tandem.conf`.

Hydra imports it when it looks for the files; then the schemas and resolvers that they refer to are known to it.
"""

from tandem.config.resolve import register

register()
