"""What people install: the wheel, its front door and its command."""

from __future__ import annotations

import configparser
import contextlib
import importlib.metadata
import inspect
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest

import aisio
from aisio.errors import MissingExtraError

needs_wheel = pytest.mark.skipif(
    "TOX_ENV_NAME" not in os.environ, reason="only tox promises a built wheel"
)

TORCH_NAMES = {
    "AISBatchIterDataset",
    "AISIterDataset",
    "AISMapDataset",
    "AISMultiShardStream",
    "AISShardDataset",
    "AISShardReader",
    "BucketBatchSampler",
    "DynamicBatchSampler",
    "Loader",
    "ShuffleQuality",
    "mix",
    "plot_shuffle",
    "shuffle_quality",
}

FORBID_ENVIRONMENT = """
import collections, os
class Guard(collections.UserDict):
    def __getitem__(self, name):
        raise AssertionError(f"the environment was read: {name}")
    def __contains__(self, name):
        raise AssertionError(f"the environment was read: {name}")
    def __iter__(self):
        raise AssertionError("the environment was read")
os.environ = Guard()
"""


def run_python(code: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def front_door() -> dict[str, object]:
    """Resolve every public name that this environment has the extras for."""
    found = {}
    for name in aisio.__all__:
        with contextlib.suppress(MissingExtraError):
            found[name] = getattr(aisio, name)
    return found


@needs_wheel
def test_tests_and_their_programs_use_the_installed_wheel():
    """The checkout is never what is tested, not even by a program that a test starts."""
    site_packages = Path(sysconfig.get_path("purelib")).resolve()
    started = run_python("import aisio; print(aisio.__file__)").strip()
    for file in (aisio.__file__, started):
        assert Path(file).resolve().is_relative_to(site_packages)


def test_the_package_is_typed():
    """PEP 561: type checkers read our annotations only beside a py.typed."""
    assert Path(aisio.__file__).with_name("py.typed").is_file()


@needs_wheel
def test_the_wheel_holds_every_module_and_nothing_else(root):
    """A folder without an __init__.py would be left behind; a deleted file could live on."""
    installed = {str(file) for file in importlib.metadata.files("aisio") or ()}
    modules = {file for file in installed if re.fullmatch(r"aisio/.*\.py", file)}
    assert modules == {str(file.relative_to(root)) for file in root.glob("aisio/**/*.py")}


@needs_wheel
def test_the_wheel_has_the_version_of_the_package():
    """One version, in aisio/version.py."""
    assert importlib.metadata.version("aisio") == aisio.__version__


@needs_wheel
def test_the_command_is_installed_and_explains_itself():
    """`aisio` stands beside python and knows its commands."""
    command = shutil.which("aisio", path=str(Path(sys.executable).parent))
    assert command is not None
    shown = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    for name in ("serve", "ls", "get", "put", "cat", "info", "pack"):
        assert re.search(rf"^\s+{name}\b", shown, re.MULTILINE), name


def test_all_is_sorted_and_without_repetition():
    """`__all__` reads as a list of contents."""
    assert list(aisio.__all__) == sorted(set(aisio.__all__))


def test_every_public_name_resolves_or_needs_torch():
    """`__all__` promises nothing that is not there, and dir() shows it."""
    missing = set(aisio.__all__) - set(front_door())
    assert missing == set() if find_spec("torch") else missing <= TORCH_NAMES
    assert set(aisio.__all__) <= set(dir(aisio))


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed here")
@pytest.mark.parametrize("name", sorted(TORCH_NAMES))
def test_a_torch_name_without_torch_names_the_extra(name):
    """What is missing comes with the command that brings it."""
    with pytest.raises(MissingExtraError, match=r"pip install 'torch>="):
        getattr(aisio, name)


def test_no_text_has_pip_look_for_aisio_on_an_index(root):
    """It is on none: `pip install '.[torch]'` in the project's folder is what works."""
    by_name = re.compile(r"""\binstall\s+(-\S+\s+)*['"]?aisio\b|(?<![\w./-])aisio\[""")
    pages = [*root.glob("*.md"), *(root / "docs").rglob("*.md"), *root.glob("examples/**/*.md")]
    texts = [*pages, *root.glob("aisio/**/*.py"), *root.glob("examples/**/*.py")]
    wrong = [
        f"{path.relative_to(root)}: {found[0]}"
        for path in texts
        for found in by_name.finditer(path.read_text("utf-8"))
    ]
    assert wrong == []
    assert by_name.search("pip install --upgrade 'aisio[torch]'")
    assert not by_name.search("pip install '/path/to/aisio[torch]'")


def test_readme_names_every_extra(root):
    """Under "Install", the only list of them."""
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg")
    install = (root / "README.md").read_text("utf-8").split("## Install\n")[1].split("\n## ")[0]
    extras = [name for name in setup["options.extras_require"] if name != "tests"]
    assert [name for name in extras if f"`{name}`" not in install] == []


def test_no_module_has_the_name_of_what_its_package_exports_on_first_use():
    """Python sets an imported module as an attribute of its package, over the function.

    After `from aisio.tasks import TaskState`, `aisio.tasks.quick_train` was a module.
    """
    packages = [
        init
        for init in Path(aisio.__file__).parent.rglob("__init__.py")
        if "lazy_exports(" in init.read_text("utf-8")
    ]
    assert len(packages) > 10
    for init in packages:
        text = init.read_text("utf-8")
        exported = re.search(r"^__all__ = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
        assert exported, init
        at_once = re.findall(r"^from [\w.]+ import (.*)", text, re.MULTILINE)
        names = set(re.findall(r'"(\w+)"', exported[1])) - set(", ".join(at_once).split(", "))
        modules = {path.stem for path in init.parent.glob("*.py")}
        modules |= {path.parent.name for path in init.parent.glob("*/__init__.py")}
        assert not names & modules, init


def test_an_unknown_name_is_an_attribute_error():
    """Names that are imported on first use do not change what a typing error looks like."""
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(aisio, "no_such_name")  # noqa: B009 - mypy rightly refuses the plain form


def test_every_public_name_has_a_docstring():
    """Also every public method and property that our classes define."""
    silent = []
    for name, value in front_door().items():
        if not (inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)):
            continue
        members = vars(value).items() if inspect.isclass(value) else ()
        public = [(key, member) for key, member in members if not key.startswith("_")]
        documented = (property, staticmethod, classmethod)
        silent += [name] if not value.__doc__ else []
        silent += [
            f"{name}.{key}"
            for key, member in public
            if (inspect.isroutine(member) or isinstance(member, documented)) and not member.__doc__
        ]
    assert silent == []


def test_importing_aisio_loads_no_torch():
    """Torch takes a second or more; only a torch name asks for it."""
    loaded = run_python("import aisio, sys; print(*sys.modules)").split()
    assert "aisio" in loaded
    assert {"torch", "requests", "aiohttp", "matplotlib"}.isdisjoint(loaded)


def test_importing_aisio_loads_none_of_its_modules():
    """A name is loaded when it is first used, so an import takes no time that anybody notices."""
    code = "import sys, aisio; print(*[name for name in sys.modules if 'aisio.' in name])"
    assert run_python(code).split() == ["aisio.lazy_exports", "aisio.version"]


def test_importing_aisio_reads_no_environment():
    """Settings are read when a client asks for them, never at import."""
    assert run_python(f"{FORBID_ENVIRONMENT}\nimport aisio; print('imported')") == "imported\n"


def test_the_guard_on_the_environment_would_notice():
    """The test above can fail."""
    with pytest.raises(AssertionError, match="the environment was read: AIS_ENDPOINT"):
        run_python(f"{FORBID_ENVIRONMENT}\nimport os; os.getenv('AIS_ENDPOINT')")


def test_only_config_reads_the_environment():
    """One file to look at for what a variable does."""
    package = Path(aisio.__file__).parent
    reading = re.compile(r"\bos\.(environ|getenv)\b|\bfrom os import .*(environ|getenv)")
    readers = [file for file in package.rglob("*.py") if reading.search(file.read_text("utf-8"))]
    assert readers == [package / "config.py"]


def test_the_oldest_versions_allowed_are_the_ones_tried(root):
    """`tox -e lowest` pins exactly the lower bounds of setup.cfg."""
    setup, tox = configparser.ConfigParser(), configparser.ConfigParser(interpolation=None)
    setup.read(root / "setup.cfg")
    tox.read(root / "tox.ini")
    bounds = setup["options"]["install_requires"] + setup["options.extras_require"]["gateway"]
    tried = set(tox["testenv:lowest"]["deps"].split())
    assert {bound.replace(">=", "==") for bound in bounds.split()} <= tried
