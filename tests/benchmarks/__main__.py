"""The command: generate, measure, tell. ``python -m tests.benchmarks --help``"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks import bounds, report, stages, syncing
from tests.benchmarks.cases import LAYOUTS
from tests.benchmarks.data import Body, generate, size
from tests.benchmarks.processes import run

_PARTS = ("stage", "memory", "sync", "overlap", "starts")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure how fast hauserpy stages bundles, beside what zlib takes to unpack"
        " them, and how much memory all its processes take. By default: 4 seeded bundles of 250 MB"
        " of JSON text, every form, 1 and 2 workers, 5 runs of each in turn, and the whole program"
        " over loopback. Takes about 20 minutes on two cores; leave the machine alone meanwhile.",
    )
    parser.add_argument("--quick", action="store_true", help="1 bundle of 50 MB, 3 runs")
    parser.add_argument("--bundles", type=int, help="how many bundles (4)")
    parser.add_argument("--size", type=size, help="JSON text of each: 250MB")
    parser.add_argument("--runs", type=int, help="how often each is measured (5)")
    parser.add_argument("--seed", type=int, default=1, help="of the data (1)")
    parser.add_argument("--alone", action="store_true",
                        help="every event on a page of its own: data of which nothing repeats")  # fmt: skip
    parser.add_argument("--forms", default=",".join(LAYOUTS), help="which of: %(default)s")
    parser.add_argument("--workers", default="1,2", help="numbers of workers: %(default)s")
    parser.add_argument("--only", default=",".join(_PARTS), help="which parts of: %(default)s")
    parser.add_argument("--big", type=size, metavar="SIZE",
                        help="also sync one bundle of SIZE (10GB) that is made while it is served,"
                        " for its peak of memory; needs about 80%% of SIZE in --tmp")  # fmt: skip
    parser.add_argument("--profile", action="store_true",
                        help="instead: CPU seconds of each stage for 100 MB, in one process")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--markdown", action="store_true", help="tell the table as Markdown")
    parser.add_argument("--tmp", type=Path, help="where the data goes (the system's own)")
    arguments = parser.parse_args(given)
    arguments.bundles = arguments.bundles or (1 if arguments.quick else 4)
    arguments.size = arguments.size or (50_000_000 if arguments.quick else 250_000_000)
    arguments.runs = arguments.runs or (3 if arguments.quick else 5)
    arguments.forms = arguments.forms.split(",")
    arguments.workers = [int(number) for number in arguments.workers.split(",")]
    arguments.only = arguments.only.split(",")
    for asked, known in ((arguments.forms, LAYOUTS), (arguments.only, _PARTS)):
        if unknown := set(asked).difference(known):
            parser.error(f"{', '.join(sorted(unknown))}: must be among {', '.join(known)}")
    return arguments


def main(given: Sequence[str] | None = None) -> None:
    arguments = _arguments(given)
    if arguments.tmp is not None:
        # The children's temporary folders go there as well.
        os.environ["TMPDIR"] = str(arguments.tmp)
        tempfile.tempdir = None
    # An installed package is compiled; a checkout where nothing may be written would be compiled anew
    # by every process.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory(prefix="hauserpy-bench-") as name:
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(name) / "compiled")
        _progress(f"writing {arguments.bundles} bundles of {arguments.size / 1e6:.1f} MB")
        bodies = generate(
            Path(name),
            count=arguments.bundles,
            json_bytes=arguments.size,
            seed=arguments.seed,
            alone=arguments.alone,
        )
        if arguments.profile:
            _tell_stages(bodies[0], arguments.forms)
            return
        made = _measured(arguments, bodies)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(made.to_json(), indent=1) + "\n", encoding="utf-8")
    print(made.markdown() if arguments.markdown else made.text())


def _measured(arguments: argparse.Namespace, bodies: list[Body]) -> report.Report:
    text_mb = sum(body.json_bytes for body in bodies) / 1e6
    gzip_mb = sum(body.gzip_bytes for body in bodies) / 1e6
    made = report.Report(
        report.machine(),
        f"{len(bodies)} bundles, {text_mb:.0f} MB of JSON text, {gzip_mb:.0f} MB gzipped"
        + (", every event on a page of its own" if arguments.alone else ""),
    )
    cases = [report.Runs(form, n) for form in arguments.forms for n in arguments.workers]
    whole = [report.Runs("sync, csv", n) for n in arguments.workers]
    made.runs = [*cases, *whole]
    for number in range(arguments.runs):
        if "stage" in arguments.only:
            made.worth_of_two.append(bounds.worth_of_two(bodies[0].path))
            for case in cases:
                _progress(f"run {number + 1}: {case.form}, {case.workers} workers")
                _stage(made, case, bodies)
        if "sync" in arguments.only:
            for case in whole:
                _progress(f"run {number + 1}: sync, {case.workers} workers")
                _sync(made, case, bodies, text_mb)
    if "memory" in arguments.only:
        for case in made.runs:
            _progress(f"memory: {case.form}, {case.workers} workers")
            case.peak_mb = _peak(case, bodies)
    made.notes += report.speed_up(made.runs) + report.beside_the_parse(made.runs)
    most = max(arguments.workers)
    if "overlap" in arguments.only:
        _progress("overlap of download and transform")
        found = syncing.overlap(bodies, most)
        made.notes.append(
            f"Overlap, {most} workers: sync alone {found.sync_alone:.1f} s, serving alone"
            f" {found.serving_alone:.1f} s, both at once {found.both:.1f} s:"
            f" {found.ratio:.2f} times the longer."
        )
    if "starts" in arguments.only:
        _progress("starts")
        cpu = syncing.starts(bodies[0], max(3, arguments.runs))
        made.notes.append(
            f"CPU time: hauserpy --help {cpu.help:.2f} s, a sync with nothing due"
            f" {cpu.nothing_due:.2f} s."
        )
    if arguments.big:
        _progress(f"one bundle of {arguments.big / 1e9:.1f} GB")
        cost = syncing.streamed(arguments.big, most)
        made.notes.append(
            f"One bundle of {arguments.big / 1e9:.1f} GB made while it is served, {most} workers:"
            f" peak {cost.peak_mb:.0f} MB PSS of all processes, {cost.seconds:.0f} s."
        )
    return made


def _stage(made: report.Report, case: report.Runs, bodies: list[Body]) -> None:
    bound = _bound(made, bodies)
    # Other forms are not held against it.
    parse = bounds.parse(bodies[0].path) if case.form == "raw" else None
    told = json.loads(run(_staging(case, bodies)).output)
    rate = told["json_bytes"] / 1e6 / told["seconds"]
    cpu = told["parent_cpu"] + told["workers_cpu"]
    case.rates.append(rate)
    if parse is not None:
        made.parse.append(parse)
        case.of_parse.append(rate / parse)
    case.ratios.append(rate / bound.zlib)
    case.parent_shares.append(told["parent_cpu"] / cpu)
    case.cpu_rates.append(told["json_bytes"] / 1e6 / cpu)


def _sync(made: report.Report, case: report.Runs, bodies: list[Body], text_mb: float) -> None:
    bound = _bound(made, bodies)
    cost = syncing.end_to_end(bodies, case.workers)
    case.rates.append(text_mb / cost.seconds)
    case.ratios.append(text_mb / cost.seconds / bound.zlib)
    case.cpu_rates.append(text_mb / cost.cpu_seconds)


def _bound(made: report.Report, bodies: list[Body]) -> bounds.Bound:
    bound = bounds.measure([body.path for body in bodies])
    made.zlib.append(bound.zlib)
    made.isal.append(bound.isal)
    made.zlib_at_once.append(bound.at_once)
    return bound


def _peak(case: report.Runs, bodies: list[Body]) -> float | None:
    if case.form in LAYOUTS:
        return run(_staging(case, bodies), sample=True).peak_mb
    return syncing.end_to_end(bodies, case.workers, sample=True).peak_mb


def _staging(case: report.Runs, bodies: list[Body]) -> list[str]:
    paths = [str(body.path) for body in bodies]
    return [
        sys.executable, "-m", "tests.benchmarks.staging", case.form, str(case.workers), *paths
    ]  # fmt: skip


def _tell_stages(body: Body, forms: list[str]) -> None:
    gzip_mb = body.gzip_bytes / 1e6
    print(f"CPU seconds for 100 MB of JSON text ({body.json_bytes / 1e6:.0f} MB, {gzip_mb:.0f} MB"
          " gzipped; one process; median of 3)")  # fmt: skip
    for form in forms:
        found = [stages.measure(body.path, form) for _ in range(3)]
        middle = {stage: median(one[stage] for one in found) for stage in found[0]}
        told = "  ".join(f"{stage} {seconds:.3f}" for stage, seconds in middle.items())
        print(f"{form:<9} {sum(middle.values()):.3f} = {told}")


def _progress(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
