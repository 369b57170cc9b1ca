"""What pydantic found wrong, if it is little: each error takes kilobytes, and a file can hold millions."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

MOST_ERRORS = 1000


def few_errors(error: ValidationError) -> list[ErrorDetails]:
    """Return the errors, or none of them where there are more than MOST_ERRORS."""
    return error.errors(include_url=False) if error.error_count() <= MOST_ERRORS else []
