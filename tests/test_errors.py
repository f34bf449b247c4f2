"""The error tree: what each class is, and that its text survives a process boundary."""

from __future__ import annotations

import pickle
import tarfile

import pytest

import aisio
from aisio import errors
from aisio.errors import AisioError

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, AisioError)
]

PROMISED = {
    "UrlError": (ValueError,),
    "ConfigError": (ValueError,),
    "NotSupportedError": (errors.ConfigError, NotImplementedError),
    "MissingExtraError": (ImportError,),
    "CatalogError": (ValueError,),
    "ArchiveError": (ValueError,),
    "CheckpointError": (ValueError,),
    "ShardError": (ValueError, tarfile.TarError),
    "StorageError": (),
    "NotFoundError": (errors.StorageError, FileNotFoundError),
    "AccessError": (errors.StorageError, PermissionError),
    "ConflictError": (errors.StorageError, FileExistsError),
    "RangeError": (errors.StorageError, ValueError),
    "ThrottledError": (errors.StorageError,),
    "UnavailableError": (errors.StorageError, ConnectionError),
    "StoreTimeoutError": (errors.StorageError, TimeoutError),
    "IntegrityError": (errors.StorageError,),
    "TruncatedError": (errors.IntegrityError, EOFError),
    "DigestError": (errors.IntegrityError, ValueError),
    "DecodeError": (errors.ShardError, ValueError, tarfile.TarError),
    "AisioError": (),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_built_from_one_string(kind: type[AisioError]) -> None:
    """A DataLoader worker sends only the class and the text."""
    error = kind("GET ais://b/o: 404")
    again = type(error)(str(error))
    assert str(again) == str(error) == "GET ais://b/o: 404"
    assert again.url is None


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_pickles_with_text_and_attributes(kind: type[AisioError]) -> None:
    """The error of a spawned worker arrives with its class and text."""
    error = pickle.loads(pickle.dumps(kind("it broke", url="ais://b/o")))
    assert type(error) is kind
    assert str(error) == "it broke"
    assert error.url == "ais://b/o"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_also_the_builtin_it_stands_for(kind: type[AisioError]) -> None:
    """Code that does not know aisio can catch FileNotFoundError and the like."""
    assert issubclass(kind, (AisioError, *PROMISED[kind.__name__]))
    assert all(issubclass(kind, builtin) for builtin in PROMISED[kind.__name__])


def test_storage_errors_carry_status_and_retry_after_through_pickle() -> None:
    """Pickling keeps the attributes."""
    error = errors.ThrottledError("slow down", status=429, retry_after_s=2.5)
    again = pickle.loads(pickle.dumps(error))
    assert (again.status, again.retry_after_s) == (429, 2.5)


def test_a_shard_error_has_its_offset() -> None:
    """The offset is an attribute as well."""
    assert errors.ShardError("cut", offset=512).offset == 512


def test_the_tree_at_the_top_of_the_file_names_every_class() -> None:
    """The module's docstring shows the tree of errors."""
    drawn = str(errors.__doc__)
    assert all(kind.__name__ in drawn for kind in CLASSES)


def test_every_error_is_at_the_front_door() -> None:
    """`except aisio.NotFoundError` needs no second import."""
    assert {kind.__name__ for kind in CLASSES} <= set(aisio.__all__)
    assert all(getattr(aisio, kind.__name__) is kind for kind in CLASSES)
