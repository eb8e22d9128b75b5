"""The one exception that ends a step with a single readable line instead of a traceback."""


class WinnowError(Exception):
    """Bad input or a broken file; the message names the key or file, the value and what is allowed."""
