"""Entries as written -> resources and sources, and all that is wrong with them at once."""

from __future__ import annotations

import re

import pytest

from aisio.catalog import NamedSource, Resource

H = "0123456789abcdef" * 4
RIGHT = f"tag: x, sha256: {H}, owner: A <a@host.org>"


def test_ngc_02_a_resource_has_bionemos_fields(read):
    """It has all of them, and the catalog has its file and line."""
    entry = read(
        f"""\
        - tag: model:1.0
          ngc: org/team/name:1.0
          ngc_registry: model
          pbss: s3://bucket/folder/name.tar.gz
          sha256: {H}
          owner: Some One <one@host.org>
          description: >
            A model.
          unpack: false
          decompress: null
        """
    )["team/model:1.0"]
    assert entry == Resource(
        tag="team/model:1.0",
        ngc="org/team/name:1.0",
        ngc_registry="model",
        pbss="s3://bucket/folder/name.tar.gz",
        sha256=H,
        owner="Some One <one@host.org>",
        description="A model.\n",
        unpack=False,
        decompress=None,
    )


def test_ngc_02_required_keys_are_missed(problems):
    """The owner, a location, and the key sha256, whose value may be null."""
    assert problems("- tag: x\n") == [
        "team.yaml:1: team/x: sha256: required key is missing: expected a digest, or null",
        "team.yaml:1: team/x: owner: required key is missing: expected Name <name@host.org>",
        "team.yaml:1: team/x: pbss: required key is missing: expected an s3:// URL here, or url or "
        "mirrors; of a source, one of urls, prefix, template, manifest, tar and extends",
    ]
    (problem,) = problems("- {tag: x, pbss: null, sha256: null, owner: a@host.org}\n")
    assert problem == (
        "team.yaml:1: team/x: pbss: is null or empty: expected an s3:// URL here, or url or mirrors"
    )


@pytest.mark.parametrize("place", ["url: ais://b/n", "mirrors: [s3://b/n]", "pbss: s3://b/n"])
def test_one_place_is_enough(read, place):
    """One of pbss, url and mirrors, from which the file gets its name."""
    assert read(f"- {{{RIGHT}, {place}}}")["team/x"].filename == "n"


def test_a_registry_alone_does_not_say_what_the_file_is_called(problems):
    """So pbss or url is needed along with ngc."""
    (problem,) = problems(f"- {{{RIGHT}, ngc: org/name, ngc_registry: model}}")
    assert "team/x: pbss: required key is missing" in problem


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("tag: a/b", "team/(entry 1): tag: 'a/b' holds a '/'"),
        ("ngc: o/n, ngc_registry: other", "team/x: ngc_registry: is 'other': Invalid enum value"),
        ("ngc: o/n", "team/x: ngc_registry: ngc_registry must be provided if ngc is not None: tea"),
        ("pbss: https://b/n", "team/x: pbss: 'https': URL scheme should be 's3'"),
        ("owner: nobody", "team/x: owner: 'nobody': expected name and email address"),
        ("unpack: true", "team/x: unpack: is true: Input should be False or None"),
        ("decompress: true", "team/x: decompress: is true: Input should be False or None"),
    ],
)
def test_ngc_03_what_is_wrong_is_told_with_file_line_tag_and_field(problems, fields, expected):
    """Every check of BioNeMo."""
    given = {"tag": "x", "pbss": "s3://b/n", "sha256": "null", "owner": "A <a@host.org>"}
    given |= dict(pair.split(": ") for pair in fields.split(", "))
    (problem,) = problems("- " + "\n  ".join(f"{name}: {said}" for name, said in given.items()))
    line = 1 + list(given).index(fields.split(", ")[-1].split(": ")[0]) * (fields != "ngc: o/n")
    assert problem.startswith(f"team.yaml:{line}: {expected}")


@pytest.mark.parametrize("target", ["a:b:c", "a/b/c/d", "/name", "org/"])
def test_ngc_04_a_malformed_target_is_a_problem_like_any_other(problems, target):
    """Same kind, with file, line, tag and field."""
    text = f"- {{{RIGHT}, pbss: s3://b/n, ngc: '{target}', ngc_registry: model}}"
    (problem,) = problems(text)
    expected = "expected a target of the form [org/[team/]]name[:version]"
    assert problem == f"team.yaml:1: team/x: ngc: {target!r}: {expected}"


def test_all_errors_are_reported_at_once(problems, write):
    """Of all files, in the order of the lines; not only the first one."""
    write("tag: x\n", "alone.yml")
    found = problems(
        """\
        - tag: a
          sha256: 0123
          owner: nobody
        - tag: b
          prefix: nowhere
          colour: red
        """
    )
    places = [problem.split(": ")[:3] for problem in found]
    assert places == [
        ["team.yaml:1", "team/a", "pbss"],
        ["team.yaml:2", "team/a", "sha256"],
        ["team.yaml:3", "team/a", "owner"],
        ["team.yaml:5", "team/b", "prefix"],
        ["team.yaml:6", "team/b", "colour"],
        [
            "alone.yml:1",
            "the file is a mapping",
            "expected a list of mappings, each line as '- tag",
        ],
    ]


def test_digits_that_are_a_number_to_yaml_should_be_quoted(problems):
    """All of a digest's digits may happen to be decimal ones."""
    (problem,) = problems(f"- {{tag: x, url: ais://b/n, owner: a@host.org, sha256: {'7' * 64}}}")
    assert problem.endswith("is a number: Expected `str | null`, got `int`; write it in quotes")


def test_ngc_05_a_tag_is_given_once(problems, write):
    """In all files and folders; the problems have each file and line."""
    entry = f"- {{{RIGHT}, url: ais://b/n}}\n"
    write(entry, "team.yml")
    (problem,) = problems(entry)
    assert problem.startswith("team.yml:1: team/x: tag: is the tag of ")
    assert problem.endswith("team.yaml:1 already: expected one entry of a tag")


def test_a_source_is_what_has_a_sources_keys(read):
    """Each kind, with all its fields."""
    catalog = read(
        f"""\
        - {{tag: a, urls: [ais://b/1, ais://b/2]}}
        - {{tag: b, prefix: ais://b/train/, endpoint: "http://host:8080/", etl_name: crop}}
        - {{tag: c, template: "ais://b/t-{{0..9}}.tar", digest: "sha256:{H}", owner: a@host.org}}
        - {{tag: d, manifest: ais://b/list.txt, description: What it is.}}
        - {{tag: e, tar: ais://b/a.tar}}
        """
    )
    assert catalog.sources == catalog
    assert [entry.kind for entry in catalog.sources.values()] == [
        "urls",
        "prefix",
        "template",
        "manifest",
        "tar",
    ]
    assert catalog["team/b"] == NamedSource(
        tag="team/b", prefix="ais://b/train/", endpoint="http://host:8080", etl_name="crop"
    )
    assert catalog["team/c"].digest == f"sha256:{H}"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("tag: x, prefix: ais://b/, tar: ais://b/a", "tar: has prefix and tar of urls, prefix, te"),
        (
            "tag: x, digest: null",
            "has none of urls, prefix, template, manifest, tar: expected exac",
        ),
        ("tag: x, prefix: null", "has none of urls"),
        ("tag: '', prefix: ais://b", "tag: is empty: expected a name"),
        (
            "tag: x, prefix: ais://b/, url: ais://b/x",
            "url: is a key of resources, and the entry is",
        ),
        ("tag: x, prefix: ais://b/, unpack: false", "unpack: is a key of resources"),
        (
            "tag: x, prefix: ais://b/, prefx: 1",
            "prefx: is no key of a source: expected only tag, u",
        ),
    ],
)
def test_a_source_has_exactly_one_kind_and_no_other_keys(problems, entry, expected):
    """A misspelt key would silently change what is read."""
    (problem,) = problems(f"- {{{entry}}}")
    place, tag, told = problem.split(": ", 2)
    assert (place, told.startswith(expected)) == ("team.yaml:1", True)
    assert tag in ("team/x", "team/(entry 1)")


def test_other_errors_of_a_duplicate_are_reported_at_once(problems):
    """Of a resource and of a source, before its tag is changed."""
    text = f"""\
        - {{{RIGHT}, pbss: s3://b/n}}
        - {{tag: x, pbss: s3://b/n, sha256: null}}
        - {{tag: y, prefix: ais://b/}}
        - {{tag: y, extends: absent}}
        - {{tag: y, extends: y, tar: ais://b/a.tar, prefix: ais://b/}}
        - {{tag: y, extends: y}}
        """
    told = [problem.split(": expected")[0] for problem in problems(text)]
    told = [re.sub(r"is the tag of .*:(\d) already", r"\1", problem) for problem in told]
    assert told == [
        "team.yaml:2: team/x: tag: 1",
        "team.yaml:2: team/x: owner: required key is missing",
        "team.yaml:4: team/y: tag: 3",
        "team.yaml:4: team/y: extends: 'team/absent' is in no catalog file that is read",
        "team.yaml:5: team/y: tag: 3",
        "team.yaml:5: team/y: tar: has prefix and tar of urls, prefix, template, manifest, tar",
        "team.yaml:6: team/y: tag: 3",
    ]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("tag: x, tag: y, prefix: ais://b", "team/x: tag: is given twice"),
        ("tag: x, prefix: !!int b", "team/x: prefix: 'b' is no int"),
        ("tag: x, prefix: ais://b, prefix: ais://c", "team/x: prefix: is given twice"),
        ("tag: x, prefix: ais://b, <<: {? [k] : v}", "team/x: a key is a list"),
    ],
)
def test_an_unreadable_value_is_one_problem(problems, entry, expected):
    """The value is not reported again as missing or wrong."""
    (problem,) = problems(f"- {{{entry}}}")
    assert problem.startswith(f"team.yaml:1: {expected}")


def test_keys_that_a_resource_does_not_have_are_ignored(read):
    """BioNeMo ignores them, also the fields of sources."""
    entry = read(f"- {{{RIGHT}, pbss: s3://b/n, colour: red, prefix: 1, 7: 8, extends: y}}")[
        "team/x"
    ]
    assert entry == Resource(tag="team/x", sha256=H, owner="A <a@host.org>", pbss="s3://b/n")


def test_a_source_takes_over_what_it_extends(read):
    """Own fields take precedence; the other may be in another file, and extend a third."""
    catalog = read(
        f"""\
        - {{tag: base, prefix: ais://b/, endpoint: "http://one:1", owner: a@host.org,
           digest: "sha256:{H}"}}
        - {{tag: mirror, extends: base, endpoint: "http://two:2"}}
        - {{tag: part, extends: team/mirror, prefix: ais://b/part/, owner: null}}
        - {{tag: shards, extends: mirror, template: "ais://b/t-{{0..9}}.tar"}}
        """
    )
    mirror, part, shards = (catalog[f"team/{tag}"] for tag in ("mirror", "part", "shards"))
    assert mirror == NamedSource(
        tag="team/mirror",
        prefix="ais://b/",
        endpoint="http://two:2",
        owner="a@host.org",
        digest=f"sha256:{H}",
    )
    assert (part.prefix, part.endpoint, part.owner) == ("ais://b/part/", "http://two:2", None)
    assert (shards.kind, shards.prefix) == ("template", None)


def test_a_digest_is_not_taken_over_by_other_objects(read):
    """It is the digest of the other's listing."""
    text = f"- {{tag: a, prefix: ais://b/, digest: 'sha256:{H}'}}\n- {{tag: b, extends: a, %s}}\n"
    assert read(text % "prefix: ais://b/x/")["team/b"].digest is None
    assert read(text % "endpoint: 'http://two:2'")["team/b"].digest == f"sha256:{H}"
    assert read(text % "digest: null")["team/b"].digest is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "- {tag: a, extends: a}",
            "team.yaml:1: team/a: extends: a source extends itself, team/a -> team/a: expected an",
        ),
        (
            "- {tag: z, extends: a}\n- {tag: a, extends: b}\n- {tag: b, extends: a}",
            "team.yaml:2: team/a: extends: a source extends itself, team/a -> team/b -> team/a",
        ),
        (
            "- {tag: a, extends: other/b}",
            "team.yaml:1: team/a: extends: 'other/b' is in no catalog file that is read",
        ),
        (
            f"- {{tag: a, extends: x}}\n- {{{RIGHT}, url: ais://b/n}}",
            "team.yaml:1: team/a: extends: 'team/x' is no source but a resource",
        ),
        (
            "- {tag: a, extends: b}\n- {tag: b, prefix: 7}",
            "team.yaml:2: team/b: prefix: is a number",
        ),
    ],
)
def test_a_source_that_cannot_be_extended_is_one_problem(problems, text, expected):
    """It is reported at the source with the error, and not for those that extend it."""
    (problem,) = problems(text)
    assert problem.startswith(expected)


def test_a_long_chain_is_no_trouble(read):
    """The stack does not overflow, and the time is linear."""
    links = "".join(f"- {{tag: s{n}, extends: s{n + 1}}}\n" for n in range(5000))
    assert read(f"{links}- {{tag: s5000, prefix: ais://b/}}")["team/s0"].prefix == "ais://b/"


@pytest.mark.parametrize(
    ("tag", "expected"), [("7", "7"), ("1.5", "1.5"), ("2024-01-01", "2024-01-01")]
)
def test_tags_that_yaml_takes_for_numbers_are_text(read, tag, expected):
    """As in BioNeMo."""
    assert list(read(f"- {{tag: {tag}, prefix: ais://b/}}")) == [f"team/{expected}"]
