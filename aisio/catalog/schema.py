"""The JSON Schema of a catalog file, for editors and other programs.

It is generated from the fields that the reader checks. The reader checks more: no schema can
express which URLs and templates are valid, what a source extends, and that tags are unique.

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
from aisio.catalog.resolving import LOCATION_FIELDS, RESOURCE_MARKS, SOURCE_ONLY_FIELDS

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
            "if": {"allOf": [_any_of(SOURCE_ONLY_FIELDS), {"not": _any_of(RESOURCE_MARKS)}]},
            "then": {"$ref": "#/$defs/source"},
            "else": {"$ref": "#/$defs/resource"},
        },
        "$defs": {"resource": _resource(), "source": _source()},
    }


def _resource() -> dict[str, Any]:
    locations = [_has(name, non_empty=name == "mirrors") for name in LOCATION_FIELDS]
    return {
        **_object(Resource, RESOURCE_FIELDS, "A file or archive; other keys are ignored."),
        "required": ["tag", "sha256", "owner"],
        "anyOf": locations,
        "if": _has("ngc"),
        "then": _has("ngc_registry"),
    }


def _source() -> dict[str, Any]:
    return {
        **_object(NamedSource, SOURCE_FIELDS, "Objects that are read by a name."),
        "required": ["tag"],
        "additionalProperties": False,
        "anyOf": [_has("extends"), {"oneOf": [_has(kind) for kind in KINDS]}],
    }


def _object(struct: type[Any], fields: Mapping[str, Field], text: str) -> dict[str, Any]:
    descriptions = {**_attributes(struct), "extends": _EXTENDS_TEXT}
    properties: dict[str, Any] = {
        "tag": {"description": _TAG_TEXT, "type": ["string", "number"], "pattern": "^[^/]*$"}
    }
    for name, field in fields.items():
        properties[name] = {"description": descriptions[name], **_property(field)}
    return {"description": text, "type": "object", "properties": properties}


def _property(field: Field) -> dict[str, Any]:
    if field.type is FALSE_OR_NULL:
        return {"enum": [False, None]}
    schema = msgspec.json.schema(field.type)
    if field.pattern is None:
        return schema
    for alternative in schema.get("anyOf", [schema]):
        target = alternative.get("items", alternative)
        if target.get("type") == "string":
            target["pattern"] = field.pattern
    return schema


def _any_of(names: frozenset[str]) -> dict[str, Any]:
    return {"anyOf": [{"required": [name]} for name in sorted(names)]}


def _has(name: str, *, non_empty: bool = False) -> dict[str, Any]:
    """Return the schema of objects in which a field exists and is not null."""
    value = {"type": "array", "minItems": 1} if non_empty else {"not": {"type": "null"}}
    return {"required": [name], "properties": {name: value}}


def _attributes(struct: type[Any]) -> dict[str, str]:
    """Return the descriptions of attributes in a class's docstring."""
    text = inspect.getdoc(struct) or ""
    section = text.partition("Attributes:\n")[2].partition("\n\n")[0]
    attributes = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in attributes}
