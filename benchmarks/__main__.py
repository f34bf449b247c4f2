"""Measure aisio and its peers, in one run, on the same objects.

    make bench                              on an embedded gateway
    AIS_ENDPOINT=http://... make bench      on a cluster

Each measurement runs in a process of its own. The readers take turns, and the tables show medians
over the turns. Absolute figures differ by 2x between runs and between machines: compare only within
one table. See docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from fnmatch import fnmatch
from importlib.metadata import PackageNotFoundError, version
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import report
import training_peers
from aisio import Client
from aisio.gateway import Gateway
from cases import WORKS
from corpus import Corpus, Objects, store

OUT = Path(__file__).parents[1] / "build" / "bench"
PACKAGES = ("aisio", "aistore", "webdataset", "obstore", "s3torchconnector", "torch", "urllib3")


def main() -> int:
    """Store the corpus, measure all readers in turns, print the tables and write the files."""
    options = parse()
    cases = select_cases(options.only)
    wanted = {objects for work, _ in cases if (objects := WORKS[work].objects)}
    with (
        temporary_cache(),
        endpoint_to_measure() as (endpoint, folder),
        corpus_for(endpoint, folder, options, wanted) as corpus,
    ):
        turns: list[report.Turn] = []
        try:
            turns.extend(measure(cases, corpus, options.turns))
        except KeyboardInterrupt:
            print("== interrupted: the tables show what was measured so far", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    write(turns, corpus, options.out)
    if not options.only or any(fnmatch(training_peers.WORK, pattern) for pattern in options.only):
        measure_peers(options)
    failed = [turn for turn in turns if "failed" in turn and turn["reader"].startswith("aisio")]
    return 1 if failed else 0


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure against the peers.")
    parser.add_argument(
        "--only",
        metavar="PATTERN",
        action="append",
        help="only works and readers that match, as in shards or '*/official*'; may be repeated",
    )
    parser.add_argument("--turns", type=int, default=4, help="repetitions of each [4]")
    parser.add_argument("--quick", action="store_true", help="a tenth of the corpus")
    text = "size of the large object and the checkpoint, in MiB [512]"
    parser.add_argument("--large-mib", type=int, help=text)
    parser.add_argument("--bucket", help="use this bucket, and what an earlier --keep left in it")
    parser.add_argument("--keep", action="store_true", help="leave the bucket for another run")
    parser.add_argument("--peers", type=Path, help="Python of training_peers.py's peers")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the files [build/bench]")
    return parser.parse_args()


def select_cases(patterns: list[str] | None) -> list[tuple[str, str]]:
    """Return the works and readers to measure.

    Raises:
        SystemExit: No case matches.
    """
    cases = [(key, reader) for key, work in WORKS.items() for reader in work.readers]
    if patterns:
        cases = [case for case in cases if any(_matches(case, pattern) for pattern in patterns)]
    if not cases:
        works = ", ".join(WORKS)
        raise SystemExit(
            f"--only {patterns} leaves nothing; there are: {works}; and python training_peers.py"
        )
    return cases


def _matches(case: tuple[str, str], pattern: str) -> bool:
    return pattern == case[0] or fnmatch("/".join(case), pattern)


def measure_peers(options: argparse.Namespace) -> None:
    """Measure the peers that read formats of their own; say so where they are not installed."""
    arguments = ["--out", str(options.out), "--turns", str(max(1, options.turns // 2))]
    if options.quick:
        arguments += ["--samples", "100"]
    if options.peers:
        arguments += ["--peers", str(options.peers)]
    print(f"\n== {training_peers.WORK}", flush=True)
    training_peers.main(arguments)


@contextmanager
def temporary_cache() -> Iterator[None]:
    """Let shard indexes be kept in a folder of this run alone."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["AISIO_CACHE_DIR"] = folder
        yield


@contextmanager
def endpoint_to_measure() -> Iterator[tuple[str, str]]:
    """Yield the endpoint in AIS_ENDPOINT, or that of a gateway over a temporary folder; and it."""
    endpoint = os.environ.get("AIS_ENDPOINT")
    if endpoint:
        print("== measuring on the cluster that AIS_ENDPOINT names", flush=True)
        yield endpoint.rstrip("/"), ""
        return
    with tempfile.TemporaryDirectory() as folder, Gateway(folder) as gateway:
        print("== measuring on an embedded gateway", flush=True)
        yield gateway.endpoint, folder


@contextmanager
def corpus_for(
    endpoint: str, folder: str, options: argparse.Namespace, wanted: Iterable[Objects]
) -> Iterator[Corpus]:
    """Yield a corpus of which the objects are stored; delete it afterwards unless --keep is set."""
    corpus = Corpus(endpoint, options.bucket or f"aisio-bench-{os.getpid()}", folder=folder)
    corpus = corpus.tenth() if options.quick else corpus
    if options.large_mib:
        corpus = replace(corpus, large_bytes=options.large_mib << 20)
    try:
        print("== storing the objects to read", flush=True)
        store(corpus, wanted)
        yield corpus
    finally:
        if not options.keep:
            Client(endpoint).bucket(corpus.bucket).delete(missing_ok=True)


def measure(cases: list[tuple[str, str]], corpus: Corpus, turns: int) -> Iterator[report.Turn]:
    """Measure all readers in turns; a reader that fails is left out of the turns that follow."""
    for number in range(turns):
        print(f"== turn {number + 1} of {turns}", flush=True)
        failed = set()
        current = [case for case in cases if number < WORKS[case[0]].max_turns]
        # Every other turn is in reverse order: no reader always follows the same other one.
        for work, group in groupby(current[:: -1 if number % 2 else 1], itemgetter(0)):
            readers = [reader for _, reader in group]
            # A warm-up, not measured: the first reader of data that was not read for a while is
            # slower, up to three times on a virtual machine whose host took the memory back.
            if WORKS[work].objects and WORKS[work].figure == "rate":
                run(work, readers[0], corpus)
            for reader in readers:
                turn = run(work, reader, corpus) | {"turn": number}
                if "failed" in turn:
                    failed.add((work, reader))
                print_turn(turn)
                yield turn
        cases = [case for case in cases if case not in failed]


def run(work: str, reader: str, corpus: Corpus) -> report.Turn:
    """Measure one reader at one work in a process of its own."""
    script = Path(__file__).with_name("cases.py")
    command = [sys.executable, "-W", "ignore", str(script), work, reader, corpus.to_json()]
    failed = {"work": work, "reader": reader}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    except subprocess.TimeoutExpired:
        return failed | {"failed": "not done after 300 s"}
    except subprocess.CalledProcessError as error:
        return failed | {"failed": f"ended with status {error.returncode}"}
    turn: report.Turn = json.loads(done.stdout.splitlines()[-1])
    return turn


def print_turn(turn: report.Turn) -> None:
    """Print one measurement."""
    work = WORKS[turn["work"]]
    result = turn.get("failed")
    if result is None and work.figure == "rate":
        result = f"{report.rate(turn):12,.0f} {work.unit}/s"
    elif result is None:
        result = f"{report.figure(turn, work.figure):12,.1f} {work.figure.replace('_', ', ')}"
    print(f"   {turn['work']:24} {turn['reader']:34} {result}", flush=True)


def write(turns: list[report.Turn], corpus: Corpus, out: Path) -> None:
    """Print the tables; write them to files, with all single measurements and a picture."""
    rows = report.rows(turns)
    lines = [
        *report.summary_lines(rows, corpus),
        *report.table_lines(rows, corpus),
        "",
        *report.aim_lines(turns),
    ]
    failures = report.failure_lines(turns)
    if failures:
        lines += ["", "Not measured:", "", *failures]
    print("\n" + "\n".join(lines))
    (out / "tables.md").write_text("\n".join(lines) + "\n")
    sizes = {key: value for key, value in asdict(corpus).items() if key != "endpoint"}
    about = {"machine": machine(), "corpus": sizes, "turns": turns}
    (out / "results.json").write_text(json.dumps(about, indent=1) + "\n")
    try:
        from picture import draw
    except ImportError:
        print("\nno picture: it needs matplotlib")
    else:
        draw(rows, corpus, out / "results.png", title="Reading from AIStore: higher is better")
    print(f"\ntables.md, results.json and results.png are in {out}")


def machine() -> dict[str, object]:
    """Return what the figures depend on besides the readers."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "packages": versions,
    }


if __name__ == "__main__":
    sys.exit(main())
