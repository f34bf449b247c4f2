"""The JSON Schema of a catalog file, for editors and other programs.

It is made from the fields that the reader checks. It says less than the reader: what a URL or a
template may be, what extends what, and that tags differ, no schema can say.

Source:
    JSON Schema, draft 2020-12.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from aisio.catalog.entries import KINDS, NamedSource, Resource
from aisio.catalog.fields import FALSE_OR_NULL, RESOURCE_FIELDS, SOURCE_FIELDS, Field
from aisio.catalog.resolving import ONLY_SOURCES, PLACES, SURELY_RESOURCES

_TAG_TEXT = "Name without a '/'; the full tag is <file stem>/<tag>."
_EXTENDS_TEXT = "Tag of another source, whose fields are taken over."


def schema_text() -> str:
    """Return the schema as JSON text that ends in a newline."""
    return json.dumps(catalog_schema(), indent=2, ensure_ascii=False) + "\n"


def catalog_schema() -> dict[str, Any]:
    """Return the schema of a catalog file, as the objects that JSON stands for."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "aisio catalog file",
        "description": "A list of resources and sources.",
        "type": "array",
        "items": {
            "type": "object",
            "if": {"allOf": [_any_of(ONLY_SOURCES), {"not": _any_of(SURELY_RESOURCES)}]},
            "then": {"$ref": "#/$defs/source"},
            "else": {"$ref": "#/$defs/resource"},
        },
        "$defs": {"resource": _resource(), "source": _source()},
    }


def _resource() -> dict[str, Any]:
    given = [_given(name, filled=name == "mirrors") for name in PLACES]
    has_target = _given("ngc")
    return {
        **_object(Resource, RESOURCE_FIELDS, "A file or archive; other keys are ignored."),
        "required": ["tag", "sha256", "owner"],
        "anyOf": given,
        "if": has_target,
        "then": _given("ngc_registry"),
    }


def _source() -> dict[str, Any]:
    return {
        **_object(NamedSource, SOURCE_FIELDS, "Objects that are read by a name."),
        "required": ["tag"],
        "additionalProperties": False,
        "anyOf": [_given("extends"), {"oneOf": [_given(kind) for kind in KINDS]}],
    }


def _object(struct: type[Any], fields: Mapping[str, Field], text: str) -> dict[str, Any]:
    said = {**_attributes(struct), "extends": _EXTENDS_TEXT}
    properties: dict[str, Any] = {
        "tag": {"description": _TAG_TEXT, "type": ["string", "number"], "pattern": "^[^/]*$"}
    }
    for name, field in fields.items():
        properties[name] = {"description": said[name], **_property(field)}
    return {"description": text, "type": "object", "properties": properties}


def _property(field: Field) -> dict[str, Any]:
    if field.type is FALSE_OR_NULL:
        return {"enum": [False, None]}
    found = msgspec.json.schema(field.type)
    if field.pattern is None:
        return found
    for one in found.get("anyOf", [found]):
        target = one.get("items", one)
        if target.get("type") == "string":
            target["pattern"] = field.pattern
    return found


def _any_of(names: frozenset[str]) -> dict[str, Any]:
    return {"anyOf": [{"required": [name]} for name in sorted(names)]}


def _given(name: str, *, filled: bool = False) -> dict[str, Any]:
    """Return the schema of objects that have a field, and not null in it."""
    what = {"type": "array", "minItems": 1} if filled else {"not": {"type": "null"}}
    return {"required": [name], "properties": {name: what}}


def _attributes(struct: type[Any]) -> dict[str, str]:
    """Return what a class's docstring says of its attributes."""
    text = inspect.getdoc(struct) or ""
    section = text.partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(said.split()) for name, said in found}
