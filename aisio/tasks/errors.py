"""What can go wrong with tasks, under the vendor's names: programs catch them.

    AisioError
    └── AnyLearnException
        ├── AnyLearnAuthException (AccessError)
        ├── AnyLearnMissingParamException (ConfigError)
        ├── AnyLearnNotSupportedException (NotSupportedError)
        ├── InvalidArguments (ConfigError)
        ├── ResourceError        a resource cannot be used: its upload failed or was not finished
        └── TaskStateError       a task is in a state that does not permit the call

What a store or the registry does not have is a NotFoundError of `aisio.errors`. A store that cannot
be reached, or refuses, is never taken for that.
"""

from __future__ import annotations

from aisio.errors import AccessError, AisioError, ConfigError, NotSupportedError

__all__ = [
    "AnyLearnAuthException",
    "AnyLearnException",
    "AnyLearnMissingParamException",
    "AnyLearnNotSupportedException",
    "InvalidArguments",
    "ResourceError",
    "TaskStateError",
]


class AnyLearnException(AisioError):
    """An error of `aisio.tasks`."""


class AnyLearnAuthException(AnyLearnException, AccessError):
    """The user is not known, or may not do this."""


class AnyLearnMissingParamException(AnyLearnException, ConfigError):
    """An argument that is needed was not given."""


class AnyLearnNotSupportedException(AnyLearnException, NotSupportedError):
    """The objects of this kind cannot do this."""


class InvalidArguments(AnyLearnException, ConfigError):
    """Arguments that contradict one another, or have no meaning."""


class ResourceError(AnyLearnException):
    """A resource cannot be used: its upload failed, or was not finished."""


class TaskStateError(AnyLearnException):
    """The task is in a state that does not permit the call."""
