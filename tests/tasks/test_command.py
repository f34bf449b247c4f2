"""The command line of a task."""

from __future__ import annotations

import argparse
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisio import ConfigError
from aisio.tasks.command import command_line, hyperparam_arguments


@pytest.mark.parametrize(
    ("prefix", "delimiter", "expected"),
    [
        ("--", " ", "--lr 0.1 --amp --sizes 1 2 --one 1"),
        ("-", " ", "-lr 0.1 -amp -sizes 1 2 -one 1"),
        ("--", "=", "--lr=0.1 --amp --sizes=1 --sizes=2 --one=1"),
        ("", "=", "lr=0.1 amp sizes=[1,2] one=1"),
        ("+", "=", "+lr=0.1 +amp +sizes=[1,2] +one=1"),
        ("++", "=", "++lr=0.1 ++amp ++sizes=[1,2] ++one=1"),
    ],
)
def test_any_13_prefix_and_delimiter(prefix, delimiter, expected):
    """Options of argparse and click, and overrides of hydra."""
    hyperparams = {"lr": 0.1, "amp": "", "sizes": [1, 2], "one": (1,)}
    words = hyperparam_arguments(hyperparams, prefix=prefix, delimiter=delimiter)
    assert " ".join(words) == expected


def test_any_13_values_are_single_words():
    """Blanks, quotes and what a shell would act on stay in the value."""
    text = 'a b\'; rm -rf "$HOME" `id` $(id) \n*'
    assert hyperparam_arguments({"text": text}) == ("--text", text)
    assert hyperparam_arguments({"text": text}, delimiter="=") == (f"--text={text}",)


def test_any_13_elements_of_a_hydra_list_are_quoted():
    """Else a comma or bracket in a path would split it."""
    words = hyperparam_arguments({"k": ["a,b", "it's", "/p/q-1", ""]}, prefix="", delimiter="=")
    assert words == (r"k=['a,b','it\'s',/p/q-1,'']",)


def test_any_13_an_empty_list_has_no_values():
    """It is an option without values, no option at all, or hydra's empty list."""
    assert hyperparam_arguments({"k": []}) == ("--k",)
    assert hyperparam_arguments({"k": []}, delimiter="=") == ()
    assert hyperparam_arguments({"k": []}, prefix="", delimiter="=") == ("k=[]",)


def test_any_12_ids_of_mounts_become_paths():
    """In the entrypoint and in values; what is no mount keeps its dollar sign."""
    mounts = {"DSET1": "/data/a b", "MODE2": "/models/x"}
    assert command_line(
        'python train.py "$MODE2" $HOME',
        {"dataset": ['"$DSET1"', "${MODE2}/x.pt"], "price": "$5", "other": '"$DSET2"'},
        mounts=mounts,
    ) == (
        *("python", "train.py", "/models/x", "$HOME"),
        *("--dataset", "/data/a b", "/models/x/x.pt", "--price", "$5", "--other", '"$DSET2"'),
    )


def test_a_path_is_not_expanded_again():
    """Whatever a path holds, it is a path."""
    mounts = {"A1": "/x/$B2", "B2": "/y"}
    assert command_line("run $A1", mounts=mounts) == ("run", "/x/$B2")


def test_an_entrypoint_may_be_words():
    """As the lists of subprocess."""
    assert command_line(["python", "my train.py"], {"n": 1}) == (
        "python",
        "my train.py",
        "--n",
        "1",
    )


@pytest.mark.parametrize(
    ("entrypoint", "hyperparams", "named"),
    [
        ("", {}, "entrypoint is empty"),
        ("  ", {}, "entrypoint is empty"),
        ("''", {}, "entrypoint is empty"),
        ("python 'train.py", {}, "No closing quotation"),
        ("python", {"": 1}, "hyperparameter ''"),
        ("python", {"a b": 1}, "hyperparameter 'a b'"),
        ("python", {3: 1}, "hyperparameter 3"),
        ("python", {"a": None}, "hyperparameter a=None is a NoneType"),
        ("python", {"a": {"b": 1}}, "is a dict"),
        ("python", {"a": [[1]]}, "is a list"),
        ("python", {"a": b"x"}, "is a bytes"),
        ("python", {"a": "b\0"}, "NUL"),
    ],
)
def test_what_has_no_place_on_a_command_line_is_refused(entrypoint, hyperparams, named):
    """The text names the hyperparameter."""
    with pytest.raises(ConfigError, match=named):
        command_line(entrypoint, hyperparams)


def test_an_empty_delimiter_is_refused():
    """Name and value would be one word."""
    with pytest.raises(ConfigError, match="delimiter ''"):
        hyperparam_arguments({"a": 1}, delimiter="")


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]+", fullmatch=True),
        st.text(st.characters(exclude_characters="\0"), min_size=1),
    )
)
def test_argparse_reads_what_was_given(values):
    """With the delimiter "=", values may begin with dashes."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in values:
        parser.add_argument(f"--{name}")
    words = command_line("train", values, delimiter="=")
    assert vars(parser.parse_args(words[1:])) == values
    assert tuple(shlex.split(shlex.join(words))) == words
