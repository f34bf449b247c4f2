"""What pipelines do to the fields of a sample: functions of an item, which pickle.

A sample is (name, {field: value}), as aisio's datasets yield it, or one dict with the name under
"__key__", as webdataset has it. Names and arguments of the functions are webdataset's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aisio.errors import ConfigError, ShardError
from aisio.escapes import one_line
from aisio.transforms.functions import check_callable, require_picklable

__all__ = ["KEY", "MapDict", "MapTuple", "Rename", "ToTuple", "split_sample", "with_fields"]

KEY = "__key__"
"""As a field: the name of the sample."""


def split_sample(item: Any, word: str) -> tuple[str, Mapping[str, Any]]:
    """Return the name of a sample, and its fields.

    Raises:
        ConfigError: It is no sample with fields.
    """
    if isinstance(item, Mapping):
        return str(item.get(KEY, "")), item
    if (
        isinstance(item, (tuple, list))
        and len(item) == 2
        and isinstance(item[0], str)
        and isinstance(item[1], Mapping)
    ):
        return item[0], item[1]
    raise ConfigError(
        f".{word} needs samples with fields, (name, {{field: value}}) or a dict, and got a"
        f" {type(item).__name__}: call it before the items are made into something else, as fields="
        " of a dataset makes tuples"
    )


def with_fields(item: Any, fields: dict[str, Any]) -> Any:
    """Return a sample like another one, with other fields."""
    return fields if isinstance(item, Mapping) else (item[0], fields)


class ToTuple:
    """Makes a tuple of some fields.

    A field that is b"" or None counts as one that the sample lacks: a dataset pads samples so.

    Args:
        fields: Their names; of "jpg;png" each sample gives the first that it has, and "__key__" is
            its name. One text with spaces has several names.
        allow_empty: Give fields that are empty.

    Raises:
        ConfigError: There is no field, or it is no text.
    """

    def __init__(self, fields: Iterable[Any], allow_empty: bool) -> None:
        names = [name for text in fields for name in _split(text)]
        if not names:
            raise ConfigError(".to_tuple() needs the names of fields, as in to_tuple('jpg', 'cls')")
        self._fields = [name.split(";") for name in names]
        self._allow_empty = allow_empty

    def __call__(self, item: Any) -> tuple[Any, ...]:
        """Return the tuple.

        Raises:
            ShardError: The sample lacks a field.
        """
        name, fields = split_sample(item, "to_tuple()")
        return tuple(self._value(name, fields, names) for names in self._fields)

    def _value(self, name: str, fields: Mapping[str, Any], names: list[str]) -> Any:
        for field in names:
            if field == KEY:
                return name
            if not _is_missing(fields.get(field)):
                return fields[field]
        if self._allow_empty:
            for field in names:
                if field in fields:
                    return fields[field]
        raise _lacks("to_tuple", name, fields, ";".join(names))


class Rename:
    """Gives fields other names.

    Args:
        names: Of each new name the old one, or several as in "jpg;png".

    Raises:
        ConfigError: There is none, or an old one is no text.
    """

    def __init__(self, names: Mapping[str, Any]) -> None:
        if not names:
            raise ConfigError(".rename() needs new names of fields, as in rename(image='jpg;png')")
        for new, old in names.items():
            if not isinstance(old, str) or not old:
                raise ConfigError(f".rename({new}={old!r}): the name of a field is needed")
        self._names = {new: old.split(";") for new, old in names.items()}

    def __call__(self, item: Any) -> Any:
        """Return the sample with the new names; it has no old ones left.

        Raises:
            ShardError: The sample lacks a field.
        """
        name, fields = split_sample(item, "rename()")
        found = {}
        for new, olds in self._names.items():
            there = [old for old in olds if old in fields]
            if not there:
                raise _lacks("rename", name, fields, ";".join(olds))
            full = [old for old in there if not _is_missing(fields[old])]
            found[new] = fields[(full or there)[0]]
        gone = {old for olds in self._names.values() for old in olds}
        kept = {field: value for field, value in fields.items() if field not in gone}
        return with_fields(item, kept | found)


class MapDict:
    """Calls functions with fields of a sample.

    Args:
        functions: The function of each field; its result takes the value's place.

    Raises:
        ConfigError: There is none, or one cannot be called.
    """

    def __init__(self, functions: Mapping[str, Callable[[Any], Any]]) -> None:
        if not functions:
            raise ConfigError(".map_dict() needs functions of fields, as in map_dict(cls=int)")
        for function in functions.values():
            check_callable("map_dict", function)
        self._functions = dict(functions)

    def __getstate__(self) -> dict[str, Any]:
        for function in self._functions.values():
            require_picklable(".map_dict()", function)
        return self.__dict__

    def __call__(self, item: Any) -> Any:
        """Return the sample with other values.

        Raises:
            ShardError: The sample lacks a field.
        """
        name, fields = split_sample(item, "map_dict()")
        changed = dict(fields)
        for field, function in self._functions.items():
            if field not in fields:
                raise _lacks("map_dict", name, fields, field)
            changed[field] = function(fields[field])
        return with_fields(item, changed)


class MapTuple:
    """Calls functions with the values of a tuple.

    Args:
        functions: The function of each value; its result takes the value's place.

    Raises:
        ConfigError: There is none, or one cannot be called.
    """

    def __init__(self, functions: tuple[Callable[[Any], Any], ...]) -> None:
        if not functions:
            raise ConfigError(".map_tuple() needs a function for each value of the tuples")
        for function in functions:
            check_callable("map_tuple", function)
        self._functions = functions

    def __getstate__(self) -> dict[str, Any]:
        for function in self._functions:
            require_picklable(".map_tuple()", function)
        return self.__dict__

    def __call__(self, item: Any) -> tuple[Any, ...]:
        """Return the tuple with other values.

        Raises:
            ConfigError: It is no tuple, or has another number of values.
        """
        if not isinstance(item, (tuple, list)) or len(item) != len(self._functions):
            size = f" of {len(item)}" if isinstance(item, (tuple, list)) else ""
            raise ConfigError(
                f".map_tuple() has {len(self._functions)} functions, and got a"
                f" {type(item).__name__}{size}"
            )
        return tuple(
            [function(value) for function, value in zip(self._functions, item, strict=True)]
        )


def _split(text: Any) -> list[str]:
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f".to_tuple({text!r}): the name of a field is needed")
    return text.split()


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, (bytes, bytearray)) and not value)


def _lacks(word: str, name: str, fields: Mapping[str, Any], wanted: str) -> ShardError:
    has = ", ".join(repr(field) for field in fields if field != KEY) or "none"
    full = [field for field in wanted.split(";") if field in fields]
    why = f"has nothing in its field {full[0]!r}" if full else f"has no field {wanted!r}"
    hint = "; allow_empty=True gives it" if full and word == "to_tuple" else ""
    return ShardError(f".{word}(): sample {one_line(name)!r} {why}; it has {has}{hint}")
