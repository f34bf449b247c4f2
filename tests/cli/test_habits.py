"""What users of other programs type."""

from __future__ import annotations

import pytest

from aisio.cli import main
from aisio.cli.habits import _COMMANDS, _NO_COMMANDS, command_hint, error_hint


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("delete ais://b/x", "No such command 'delete': `aisio rm` does that"),
        ("rsync a ais://b", "`aisio sync` does that"),
        ("ls --profile x", "No such option '--profile': credentials and regions come from"),
        ("verify -r ais://b", "No such option '-r': it takes all that is below a URL anyway"),
        ("rm --yes ais://b/x", "no command asks for confirmation"),
        ("completion --endpoint http://x", "this command asks no cluster"),
        ("info ais://b/1 ais://b/2", "quote a pattern, as in"),
        ("mb data", "was ais://data meant?"),
        ("rb data/x", "was ais://data/x meant?"),
        ("put x newbucket/x", "for a bucket write ais://newbucket/x"),
        ("rm -r", "Missing argument"),
        ("cp ais://b/x -", "'-' is not stdin or stdout here: `aisio put - URL` stores stdin"),
        ("cp - ais://b/x", "`aisio get URL -` writes to stdout"),
        ("mv x -", "a file of this name is ./-"),
        ("sync - ais://b/x", "'-' is not stdin or stdout here"),
        ("lz", "No such command 'lz'"),
        ("find ais://b", "No such command 'find': `aisio ls` does that"),
        ("--json ls", "No such option '--json': it stands behind the command's name"),
        ("-r ls ais://b", "No such option '-r': it stands behind the command's name"),
        ("cp -v a b", "`--json` prints each file or object"),
        ("ls -v", "`aisio --traceback COMMAND` shows where an error comes from"),
        ("-v", "`aisio --version` prints the version"),
        ("help", "No such command 'help': `aisio --help` does that"),
        ("help ls", "No such command 'help': `aisio --help` does that"),
        ("version", "No such command 'version': `aisio --version` does that"),
        ("configure", "No such command 'configure': settings are environment variables"),
        ("login", "credentials and regions come from the environment"),
        ("s3 ls", "No such command 's3': leave it out, as in `aisio ls`"),
        ("bucket ls", "No such command 'bucket': leave it out, as in `aisio ls`"),
        ("cp -r --no-progress a b", "--quiet leaves it out"),
        ("sync --only-show-errors a b", "--quiet leaves out all but errors"),
        ("ls --summarize ais://b", "`aisio du` adds up sizes"),
        ("verify -R ais://b", "No such option '-R': it takes all that is below a URL anyway"),
        ("sync -r a b", "No such option '-r': it takes all that is below a URL anyway"),
        ("cp ais://b/x", "Missing argument: SRC... and DST are needed"),
        ("mv", "Missing argument: SRC... and DST are needed"),
        ("put x", "Missing argument: FILE... and URL are needed"),
        ("completion", "Choose from: bash, zsh, fish;"),
    ],
)
def test_the_error_says_what_to_type(run, line, hint):
    """In one line, with the status of an invalid command line."""
    done = run(*line.split())
    assert done.exit_code == 2
    assert hint in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_hint_is_in_the_way_of_a_command():
    """What aisio has under a name is what runs."""
    assert not {*_COMMANDS, *_NO_COMMANDS} & main.commands.keys()
    assert command_hint("rm") == ""


def test_a_cloud_that_the_cluster_does_not_know():
    """The URL could go there directly."""
    assert "goes to the cloud" in error_hint('404 remote bucket "s3://x" does not exist')
    text = "404 failed to lookup bucket s3://x: backend is missing in the cluster configuration"
    assert "goes to the cloud directly" in error_hint(text)
    assert error_hint("404 no such object") == ""


def test_the_endpoint_has_the_name_that_others_give_it(run, bucket, endpoint, monkeypatch):
    """Also --endpoint-url, as the AWS CLI and s5cmd call it."""
    monkeypatch.delenv("AIS_ENDPOINT")
    assert run("--endpoint-url", endpoint, "ls").stdout == "ais://cli-data\n"


def test_options_under_the_names_that_others_give_them(run, bucket, files):
    """`-R` of gsutil and `cp`, `--dryrun` of the AWS CLI."""
    folder = files({"a": b"1"})
    for words in (["cp", "-R"], ["put", "-R"], ["mv", "-R", "--dryrun"], ["sync", "--dryrun"]):
        assert run(*words, folder, "ais://cli-data/to").exit_code == 0, words
    assert run("get", "-R", "--dryrun", "ais://cli-data/to").exit_code == 0
    assert run("rb", "--dryrun", "-f", "ais://cli-data").exit_code == 0
    assert [info.name for info in bucket.list()] == ["to/a"]
    assert (folder / "a").exists()
