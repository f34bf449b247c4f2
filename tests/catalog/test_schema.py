"""The JSON Schema says what the reader says, as far as a schema can."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from aisio.catalog import read_catalog
from aisio.catalog.fields import RESOURCE_FIELDS, SOURCE_FIELDS
from aisio.catalog.schema import catalog_schema
from aisio.errors import CatalogError

H = "0123456789abcdef" * 4
CHECK = jsonschema.Draft202012Validator(catalog_schema())
RESOURCE = f"tag: x, sha256: {H}, owner: A <a@host.org>"

VALID = [
    "[]",
    f"- {{{RESOURCE}, pbss: s3://b/f/n}}",
    f"- {{{RESOURCE}, url: 'https://host:8443/n', endpoint: 'http://host:8080'}}",
    f"- {{{RESOURCE}, mirrors: [ais://b/n, s3://b/n], pbss: null}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, ngc: org/team/name:1.0, ngc_registry: model}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, ngc: name, ngc_registry: resource}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, ngc: 'org//name:', ngc_registry: resource}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, ngc: null, unpack: false, decompress: null}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, colour: red, prefix: 7}}",
    "- {tag: 7, sha256: null, owner: a@host.org, pbss: s3://b/n}",
    "- {tag: x, sha256: 'md5:00112233445566778899aabbccddeeff', owner: a@b.org, pbss: s3://b/n}",
    "- {tag: x, prefix: ais://b}",
    "- {tag: x, urls: [ais://b/1, file:///folder/2]}",
    f"- {{tag: x, template: 'ais://b/t-{{0..9}}', digest: 'sha256:{H}', etl_name: crop}}",
    "- {tag: x, manifest: ais://b/list.txt, owner: null}",
    "- {tag: x, tar: ais://b/a.tar, description: An archive.}\n- {tag: y, extends: x}",
]
WRONG = [
    "{}",
    "null",
    "[7]",
    "- {tag: x}",
    f"- {{{RESOURCE}}}",
    f"- {{{RESOURCE}, pbss: null}}",
    f"- {{{RESOURCE}, mirrors: []}}",
    f"- {{{RESOURCE}, pbss: https://b/n}}",
    f"- {{{RESOURCE}, pbss: s3://b/}}",
    f"- {{{RESOURCE}, url: name}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, ngc: name}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, ngc: name, ngc_registry: null}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, ngc: 'a:b:c', ngc_registry: model}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, ngc: a/b/c/d, ngc_registry: model}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, ngc_registry: other}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, unpack: true}}",
    f"- {{{RESOURCE}, pbss: s3://b/n, endpoint: host}}",
    f"- {{tag: a/b, sha256: {H}, owner: a@host.org, pbss: s3://b/n}}",
    "- {tag: x, owner: a@host.org, pbss: s3://b/n}",
    "- {tag: x, sha256: 7, owner: a@host.org, pbss: s3://b/n}",
    "- {tag: x, sha256: '7', owner: a@host.org, pbss: s3://b/n}",
    f"- {{tag: x, sha256: {H}, pbss: s3://b/n}}",
    f"- {{tag: x, sha256: {H}, owner: nobody, pbss: s3://b/n}}",
    "- {tag: x, prefix: nowhere}",
    "- {tag: x, prefix: https://host/a/}",
    "- {tag: x, prefix: null}",
    "- {tag: x, prefix: ais://b, tar: ais://b/a.tar}",
    "- {tag: x, prefix: ais://b, url: ais://b/x}",
    "- {tag: x, prefix: ais://b, prefx: 7}",
    "- {tag: x, urls: ais://b/1}",
    "- {tag: x, urls: [7]}",
    "- {tag: x, prefix: ais://b, digest: md5:00}",
    "- {prefix: ais://b}",
]


def test_the_schema_is_one():
    """It conforms to the draft that it names."""
    jsonschema.Draft202012Validator.check_schema(catalog_schema())


def test_the_published_copy_is_current(root):
    """`aisio catalog schema > docs/catalog.schema.json` writes it."""
    published = json.loads((root / "docs" / "catalog.schema.json").read_text("utf-8"))
    assert published == catalog_schema()


def test_every_field_is_described():
    """An editor shows these texts."""
    for part in catalog_schema()["$defs"].values():
        assert all(len(field["description"]) > 5 for field in part["properties"].values())


def test_every_field_is_in_the_documentation(root):
    """In the tables of docs/catalog.md."""
    page = (root / "docs" / "catalog.md").read_text("utf-8")
    resources, _, sources = page.partition("\n## Sources\n")
    assert [name for name in RESOURCE_FIELDS if f"`{name}`" not in resources] == []
    assert [name for name in SOURCE_FIELDS if f"`{name}`" not in sources] == []


@pytest.mark.parametrize("text", VALID)
def test_what_is_valid_to_the_schema_is_read(write, text):
    """The reader and the schema accept it."""
    CHECK.validate(yaml.safe_load(text))
    read_catalog(write(text))


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_to_the_schema_is_refused(write, text):
    """The reader and the schema refuse it."""
    assert not CHECK.is_valid(yaml.safe_load(text))
    with pytest.raises(CatalogError):
        read_catalog(write(text))
