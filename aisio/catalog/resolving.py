"""Checking raw entries, and making resources and sources of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from aisio.catalog.documents import UNREADABLE, Problem, RawEntry, Value
from aisio.catalog.entries import KINDS, NamedSource, Resource
from aisio.catalog.fields import RESOURCE_FIELDS, SOURCE_FIELDS, check_tag, convert

Entry: TypeAlias = "Resource | NamedSource"

_RESOURCE_ONLY_FIELDS = RESOURCE_FIELDS.keys() - SOURCE_FIELDS.keys()
SOURCE_ONLY_FIELDS = frozenset(SOURCE_FIELDS.keys() - RESOURCE_FIELDS.keys())
"""Fields that only sources have."""
RESOURCE_MARKS = frozenset({"sha256", "pbss", "ngc"})
"""An entry with one of these is a resource, whatever else it has: BioNeMo ignores other keys."""
LOCATION_FIELDS = ("pbss", "url", "mirrors")
"""The fields of a resource from which it gets its file name; it has at least one of them."""

_OR_A_SOURCE = f"; of a source, one of {', '.join(KINDS)} and extends"


@dataclass(eq=False)
class Draft:
    """An entry on its way from text to a resource or source.

    Attributes:
        raw: The entry as the file has it.
        tag: Full tag; a placeholder if the entry has none.
        is_source: It is a source, not a resource.
        values: The valid fields, except the tag.
        is_valid: All fields are valid.
        merged: The fields of a source with those of the source that it extends; None if they are
            not known.
    """

    raw: RawEntry
    tag: str
    is_source: bool
    values: dict[str, Any] = field(default_factory=dict)
    is_valid: bool = True
    merged: dict[str, Any] | None = None

    def problem(self, name: str | None, text: str) -> Problem:
        """Return a problem with a field, or with the whole entry."""
        value = self.raw.fields.get(name or "")
        line = value.line if value else self.raw.line
        return Problem(self.raw.file, line, text, self.tag, name)


@dataclass
class Resolved:
    """The result of reading catalog files.

    Attributes:
        entries: Valid entries by their full tags.
        places: File and line of each.
        problems: All errors.
        duplicates: Tags that several entries have.
        unknown: Unknown keys of resources, which aisio ignores as BioNeMo does.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    places: dict[str, tuple[Path, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)


def resolve(raw_entries: Iterable[RawEntry], problems: list[Problem]) -> Resolved:
    """Check raw entries, and make resources and sources of them.

    Args:
        raw_entries: The entries of all files, in order.
        problems: Errors of the files themselves; the result includes them.
    """
    resolved = Resolved(problems=problems)
    drafts: dict[str, Draft] = {}
    repeated: list[Draft] = []
    for raw in raw_entries:
        draft = _draft(raw, resolved)
        first = drafts.setdefault(draft.tag, draft)
        if first is not draft:
            _add_duplicate(first, draft, resolved)
            repeated.append(draft)
    # Entries with a repeated tag come last. They are checked too: else the user would see their
    # other errors only after changing the tag.
    all_drafts = [*drafts.values(), *repeated]
    for draft in all_drafts:
        if draft.is_source:
            _inherit(draft, drafts, problems)
    for draft in all_drafts:
        entry = _source(draft, problems) if draft.is_source else _resource(draft, problems)
        if drafts[draft.tag] is not draft:
            continue
        if entry is not None:
            resolved.entries[draft.tag] = entry
        resolved.places[draft.tag] = (draft.raw.file, draft.raw.line)
    return resolved


def _draft(raw: RawEntry, resolved: Resolved) -> Draft:
    placeholder = f"{raw.file.stem}/(entry {raw.number})"
    draft = Draft(raw, placeholder, is_source=_is_source(raw.fields))
    try:
        draft.tag = _full_tag(draft)
    except ValueError as error:
        _add_problem(draft, resolved.problems, "tag", str(error))
    known = SOURCE_FIELDS if draft.is_source else RESOURCE_FIELDS
    for name, value in raw.fields.items():
        if name in known:
            _convert(draft, name, value, resolved.problems)
        elif name != "tag":
            _add_unknown(draft, name, resolved)
    return draft


def _full_tag(draft: Draft) -> str:
    value = draft.raw.fields.get("tag")
    if value is None:
        raise ValueError("required key is missing: expected a name without a '/'")
    if value.value is UNREADABLE:
        draft.is_valid = False
        return draft.tag
    tag = check_tag(value.value)
    if draft.is_source and not tag:  # BioNeMo accepts an empty tag of a resource
        raise ValueError("is empty: expected a name without a '/'")
    return f"{draft.raw.file.stem}/{tag}"


def _is_source(fields: Mapping[str, Value]) -> bool:
    return not SOURCE_ONLY_FIELDS.isdisjoint(fields) and RESOURCE_MARKS.isdisjoint(fields)


def _convert(draft: Draft, name: str, value: Value, problems: list[Problem]) -> None:
    if value.value is UNREADABLE:
        draft.is_valid = False
        return
    known = SOURCE_FIELDS if draft.is_source else RESOURCE_FIELDS
    try:
        draft.values[name] = convert(known[name], value.value)
    except ValueError as error:
        _add_problem(draft, problems, name, str(error))


def _add_problem(draft: Draft, problems: list[Problem], name: str | None, text: str) -> None:
    draft.is_valid = False
    problems.append(draft.problem(name, text))


def _add_unknown(draft: Draft, name: str, resolved: Resolved) -> None:
    if not draft.is_source:
        text = "is a key of sources" if name in SOURCE_ONLY_FIELDS else "is no key that aisio knows"
        resolved.unknown.append(draft.problem(name, f"{text}: it is ignored"))
        return
    if name in _RESOURCE_ONLY_FIELDS:
        text = "is a key of resources, and the entry is a source"
    else:
        text = "is no key of a source"
    expected = ", ".join(["tag", *SOURCE_FIELDS])
    _add_problem(draft, resolved.problems, name, f"{text}: expected only {expected}")


def _add_duplicate(first: Draft, draft: Draft, resolved: Resolved) -> None:
    if draft.tag not in resolved.duplicates:
        resolved.duplicates.append(draft.tag)
    place = f"{first.raw.file}:{first.raw.line}"
    text = f"is the tag of {place} already: expected one entry of a tag"
    resolved.problems.append(draft.problem("tag", text))


def _resource(draft: Draft, problems: list[Problem]) -> Resource | None:
    fields, values = draft.raw.fields, draft.values
    for name, expected in (("sha256", "a digest, or null"), ("owner", "Name <name@host.org>")):
        if name not in fields:
            _add_problem(draft, problems, name, f"required key is missing: expected {expected}")
    if not any(values.get(name) or _is_wrong(draft, name) for name in LOCATION_FIELDS):
        state = "is null or empty" if "pbss" in fields else "required key is missing"
        hint = "" if RESOURCE_MARKS & fields.keys() else _OR_A_SOURCE
        text = f"{state}: expected an s3:// URL here, or url or mirrors{hint}"
        _add_problem(draft, problems, "pbss", text)
    if values.get("ngc") and not (values.get("ngc_registry") or _is_wrong(draft, "ngc_registry")):
        text = f"ngc_registry must be provided if ngc is not None: {draft.tag}"
        _add_problem(draft, problems, "ngc_registry", f"{text}: expected 'model' or 'resource'")
    if not draft.is_valid:
        return None
    filled = {name: value for name, value in values.items() if value is not None}
    return Resource(tag=draft.tag, **{"sha256": None, **filled})


def _is_wrong(draft: Draft, name: str) -> bool:
    """Tell whether there is already a problem with the value of a field."""
    return name in draft.raw.fields and name not in draft.values


def _source(draft: Draft, problems: list[Problem]) -> NamedSource | None:
    values = draft.merged
    if values is None:
        return None
    kinds = [kind for kind in KINDS if values.get(kind) is not None]
    if len(kinds) != 1:
        text = f"has {' and '.join(kinds) or 'none'} of {', '.join(KINDS)}: expected exactly one"
        _add_problem(draft, problems, kinds[-1] if kinds else None, text)
    return NamedSource(tag=draft.tag, **values) if draft.is_valid else None


def _inherit(draft: Draft, drafts: Mapping[str, Draft], problems: list[Problem]) -> None:
    """Set `merged` of a source and of all that it extends; each problem is added once."""
    chain: dict[str, Draft] = {}
    base: Draft | None = draft
    while base is not None and base.merged is None:
        if base.tag in chain or not base.is_valid:
            break
        chain[base.tag] = base
        base = _parent(base, drafts, problems)
    if base is not None and base.merged is None and base.is_valid:
        tags = list(chain)
        loop = " -> ".join([*tags[tags.index(base.tag) :], base.tag])
        _add_problem(base, problems, "extends", f"a source extends itself, {loop}: expected an end")
    for link in reversed(chain.values()):
        link.is_valid = link.is_valid and (base is None or base.merged is not None)
        if link.is_valid:
            link.merged = _merged(link.values, base.merged if base else None)
        base = link


def _parent(draft: Draft, drafts: Mapping[str, Draft], problems: list[Problem]) -> Draft | None:
    extends = draft.values.get("extends")
    if extends is None:
        return None
    tag = extends if "/" in extends else f"{draft.raw.file.stem}/{extends}"
    parent = drafts.get(tag)
    if parent is None or not parent.is_source:
        what = "is no source but a resource" if parent else "is in no catalog file that is read"
        _add_problem(
            draft, problems, "extends", f"{tag!r} {what}: expected the tag of another source"
        )
        return None
    return parent


def _merged(own: Mapping[str, Any], base: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a source's own fields, and those that it inherits.

    A source with a field of its own that says where its objects are inherits neither another such
    field nor the digest, which is of another listing.
    """
    has_kind = any(own.get(kind) is not None for kind in KINDS)
    dropped = {"extends", *(KINDS if has_kind else ()), *(("digest",) if has_kind else ())}
    inherited = {name: value for name, value in (base or {}).items() if name not in dropped}
    return {**inherited, **{name: value for name, value in own.items() if name != "extends"}}
