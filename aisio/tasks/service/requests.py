"""What a task asks for, in the words of engines: resources and environment variables. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from aisio.tasks.errors import InvalidArguments

__all__ = ["engine_resources", "parse_variables"]

_CPUS = frozenset({"cpu", "cpus"})
_NOT_COUNTED = frozenset({"memory", "mem", "disk", "storage"})
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def engine_resources(request: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, float]:
    """Return "cpus" and "gpus" of a request.

    "CPU" is cpus. Memory and disk are not counted, as engines do not reserve them. Every other
    name, such as "GPU" or "A100-80G", is a kind of GPU.
    """
    total = {"cpus": 0.0, "gpus": 0.0}
    for one in request:
        for amounts in one.values():
            for name, amount in amounts.items():
                if name.lower() not in _NOT_COUNTED:
                    total["cpus" if name.lower() in _CPUS else "gpus"] += amount
    return {name: amount for name, amount in total.items() if amount}


def parse_variables(text: str) -> dict[str, str]:
    """Return environment variables from the vendor's form, "A=1,B=2".

    Raises:
        InvalidArguments: It has another form.
    """
    variables = {}
    for item in filter(None, text.split(",")):
        name, separator, value = item.partition("=")
        if not separator or not _VARIABLE.fullmatch(name):
            raise InvalidArguments(f"envs: {name!r} is not NAME=value; several are joined by ','")
        variables[name] = value
    return variables
