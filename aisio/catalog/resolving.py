"""Entries as they are written -> resources and sources, with all that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from aisio.catalog.documents import UNREADABLE, Problem, Value, Written
from aisio.catalog.entries import KINDS, NamedSource, Resource
from aisio.catalog.fields import RESOURCE_FIELDS, SOURCE_FIELDS, check_tag, convert

Entry: TypeAlias = "Resource | NamedSource"

_ONLY_RESOURCES = RESOURCE_FIELDS.keys() - SOURCE_FIELDS.keys()
ONLY_SOURCES = frozenset(SOURCE_FIELDS.keys() - RESOURCE_FIELDS.keys())
"""Keys of sources that no resource has."""
SURELY_RESOURCES = frozenset({"sha256", "pbss", "ngc"})
"""With one of these an entry is a resource, whatever else it has: BioNeMo ignores other keys."""
PLACES = ("pbss", "url", "mirrors")
"""The fields of a resource that give it a file name; it has one of them at least."""

_OR_A_SOURCE = f"; of a source, one of {', '.join(KINDS)} and extends"


@dataclass(eq=False)
class Draft:
    """An entry on its way from text to a resource or source.

    Attributes:
        written: What the file says.
        tag: Full tag; a stand-in where the entry has none.
        is_source: It is a source, not a resource.
        values: The fields that are right, but for the tag.
        is_whole: No field of it is wrong.
        merged: The fields of a source with those it takes over from what it extends; None where
            they are not known.
    """

    written: Written
    tag: str
    is_source: bool
    values: dict[str, Any] = field(default_factory=dict)
    is_whole: bool = True
    merged: dict[str, Any] | None = None

    def problem(self, name: str | None, text: str) -> Problem:
        """Return a problem with a field, or with the whole entry."""
        said = self.written.fields.get(name or "")
        line = said.line if said else self.written.line
        return Problem(self.written.file, line, text, self.tag, name)


@dataclass
class Resolved:
    """What came of some files.

    Attributes:
        entries: By their full tags.
        places: File and line of each.
        problems: All that was wrong.
        duplicates: Tags that several entries have.
        unknown: Keys that resources have and aisio does not know; BioNeMo ignores such.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    places: dict[str, tuple[Path, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    unknown: list[Problem] = field(default_factory=list)


def resolve(written: Iterable[Written], problems: list[Problem]) -> Resolved:
    """Check entries and make resources and sources of them.

    Args:
        written: The entries of all files, in their order.
        problems: What was wrong with the files themselves; the result has these as well.
    """
    resolved = Resolved(problems=problems)
    drafts: dict[str, Draft] = {}
    again: list[Draft] = []
    for one in written:
        draft = _draft(one, resolved)
        first = drafts.setdefault(draft.tag, draft)
        if first is not draft:
            _note_duplicate(first, draft, resolved)
            again.append(draft)
    # Those whose tag another has come last, and are checked all the same: what else is wrong with
    # them would be told only when they have a tag of their own.
    every = [*drafts.values(), *again]
    for draft in every:
        if draft.is_source:
            _inherit(draft, drafts, problems)
    for draft in every:
        entry = _source(draft, problems) if draft.is_source else _resource(draft, problems)
        if drafts[draft.tag] is not draft:
            continue
        if entry is not None:
            resolved.entries[draft.tag] = entry
        resolved.places[draft.tag] = (draft.written.file, draft.written.line)
    return resolved


def _draft(written: Written, resolved: Resolved) -> Draft:
    fields = written.fields
    stand_in = f"{written.file.stem}/(entry {written.number})"
    draft = Draft(written, stand_in, is_source=_is_source(fields))
    try:
        draft.tag = _full_tag(draft)
    except ValueError as error:
        _note(draft, resolved.problems, "tag", str(error))
    known = SOURCE_FIELDS if draft.is_source else RESOURCE_FIELDS
    for name, said in fields.items():
        if name in known:
            _convert(draft, name, said, resolved.problems)
        elif name != "tag":
            _note_unknown(draft, name, resolved)
    return draft


def _full_tag(draft: Draft) -> str:
    said = draft.written.fields.get("tag")
    if said is None:
        raise ValueError("required key is missing: expected a name without a '/'")
    if said.value is UNREADABLE:
        draft.is_whole = False
        return draft.tag
    tag = check_tag(said.value)
    if draft.is_source and not tag:  # of a resource BioNeMo takes it
        raise ValueError("is empty: expected a name without a '/'")
    return f"{draft.written.file.stem}/{tag}"


def _is_source(fields: Mapping[str, Value]) -> bool:
    return not ONLY_SOURCES.isdisjoint(fields) and SURELY_RESOURCES.isdisjoint(fields)


def _convert(draft: Draft, name: str, said: Value, problems: list[Problem]) -> None:
    if said.value is UNREADABLE:
        draft.is_whole = False
        return
    known = SOURCE_FIELDS if draft.is_source else RESOURCE_FIELDS
    try:
        draft.values[name] = convert(known[name], said.value)
    except ValueError as error:
        _note(draft, problems, name, str(error))


def _note(draft: Draft, problems: list[Problem], name: str | None, text: str) -> None:
    draft.is_whole = False
    problems.append(draft.problem(name, text))


def _note_unknown(draft: Draft, name: str, resolved: Resolved) -> None:
    if not draft.is_source:
        is_other = name in ONLY_SOURCES
        text = "is a key of sources" if is_other else "is no key that aisio knows"
        resolved.unknown.append(draft.problem(name, f"{text}: it is ignored"))
        return
    if name in _ONLY_RESOURCES:
        text = "is a key of resources, and the entry is a source"
    else:
        text = "is no key of a source"
    expected = ", ".join(["tag", *SOURCE_FIELDS])
    _note(draft, resolved.problems, name, f"{text}: expected only {expected}")


def _note_duplicate(first: Draft, draft: Draft, resolved: Resolved) -> None:
    if draft.tag not in resolved.duplicates:
        resolved.duplicates.append(draft.tag)
    place = f"{first.written.file}:{first.written.line}"
    text = f"is the tag of {place} already: expected one entry of a tag"
    resolved.problems.append(draft.problem("tag", text))


def _resource(draft: Draft, problems: list[Problem]) -> Resource | None:
    fields, values = draft.written.fields, draft.values
    for name, expected in (("sha256", "a digest, or null"), ("owner", "Name <name@host.org>")):
        if name not in fields:
            _note(draft, problems, name, f"required key is missing: expected {expected}")
    if not any(values.get(name) or _is_wrong(draft, name) for name in PLACES):
        said = "is null or empty" if "pbss" in fields else "required key is missing"
        other = "" if SURELY_RESOURCES & fields.keys() else _OR_A_SOURCE
        text = f"{said}: expected an s3:// URL here, or url or mirrors{other}"
        _note(draft, problems, "pbss", text)
    if values.get("ngc") and not (values.get("ngc_registry") or _is_wrong(draft, "ngc_registry")):
        text = f"ngc_registry must be provided if ngc is not None: {draft.tag}"
        _note(draft, problems, "ngc_registry", f"{text}: expected 'model' or 'resource'")
    if not draft.is_whole:
        return None
    filled = {name: value for name, value in values.items() if value is not None}
    return Resource(tag=draft.tag, **{"sha256": None, **filled})


def _is_wrong(draft: Draft, name: str) -> bool:
    """Tell whether a problem is noted already about what a field says."""
    return name in draft.written.fields and name not in draft.values


def _source(draft: Draft, problems: list[Problem]) -> NamedSource | None:
    values = draft.merged
    if values is None:
        return None
    kinds = [kind for kind in KINDS if values.get(kind) is not None]
    if len(kinds) != 1:
        text = f"has {' and '.join(kinds) or 'none'} of {', '.join(KINDS)}: expected exactly one"
        _note(draft, problems, kinds[-1] if kinds else None, text)
    return NamedSource(tag=draft.tag, **values) if draft.is_whole else None


def _inherit(draft: Draft, drafts: Mapping[str, Draft], problems: list[Problem]) -> None:
    """Fill `merged` of a source and of all that it extends; each problem is noted once."""
    chain: dict[str, Draft] = {}
    one: Draft | None = draft
    while one is not None and one.merged is None:
        if one.tag in chain or not one.is_whole:
            break
        chain[one.tag] = one
        one = _parent(one, drafts, problems)
    if one is not None and one.merged is None and one.is_whole:
        tags = list(chain)
        way = " -> ".join([*tags[tags.index(one.tag) :], one.tag])
        _note(one, problems, "extends", f"a source extends itself, {way}: expected an end")
    for link in reversed(chain.values()):
        link.is_whole = link.is_whole and (one is None or one.merged is not None)
        if link.is_whole:
            link.merged = _merged(link.values, one.merged if one else None)
        one = link


def _parent(draft: Draft, drafts: Mapping[str, Draft], problems: list[Problem]) -> Draft | None:
    given = draft.values.get("extends")
    if given is None:
        return None
    tag = given if "/" in given else f"{draft.written.file.stem}/{given}"
    parent = drafts.get(tag)
    if parent is None or not parent.is_source:
        what = "is no source but a resource" if parent else "is in no catalog file that is read"
        _note(draft, problems, "extends", f"{tag!r} {what}: expected the tag of another source")
        return None
    return parent


def _merged(own: Mapping[str, Any], base: Mapping[str, Any] | None) -> dict[str, Any]:
    """Lay a source's own fields over those it takes over.

    One that says itself where its objects are takes over neither another such field nor the digest
    of the other's listing.
    """
    has_kind = any(own.get(kind) is not None for kind in KINDS)
    dropped = {"extends", *(KINDS if has_kind else ()), *(("digest",) if has_kind else ())}
    taken = {name: value for name, value in (base or {}).items() if name not in dropped}
    return {**taken, **{name: value for name, value in own.items() if name != "extends"}}
