"""``python -m bench [section ...]``: measure and print Markdown."""

from __future__ import annotations

import argparse
import importlib
import sys
import time

from bench.machine import describe
from bench.measure import Row, pin_to_one_core, table

SECTIONS = (
    "reader",
    "upload",
    "search",
    "search_http",
    "retrieve_http",
    "latency",
    "streaming",
    "sql",
    "memory",
    "hostile",
)

ASKED_FOR = ("search_scale",)
"""Sections that run only when they are named: they want the extra ``bench`` and minutes."""


def main() -> int:
    """Run the sections asked for; 1 when a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="section",
        help=f"any of {', '.join(SECTIONS + ASKED_FOR)}; default: the first {len(SECTIONS)}",
    )
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of which the median is taken (default 5)")
    parser.add_argument("--quick", action="store_true", help="small sizes, only to see that it runs")
    parser.add_argument("--series", type=int, default=200_000, help="size of search_scale (default 200000)")
    args = parser.parse_args()
    unknown = set(args.sections) - set(SECTIONS + ASKED_FOR)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}")
    # Before anything starts a thread or a process, for those inherit it.
    machine = describe(pin_to_one_core())
    rows: list[Row] = []
    for name in args.sections or SECTIONS:
        section = importlib.import_module(f"bench.{name}")
        start = time.perf_counter()
        options = {"series": args.series} if name == "search_scale" else {}
        for row in section.run(repeat=args.repeat, quick=args.quick, **options):
            rows.append(row)
            print(" | ".join(row.cells()), file=sys.stderr, flush=True)
        print(f"({name}: {time.perf_counter() - start:.0f} s)", file=sys.stderr, flush=True)
    if args.quick:
        print("**Small sizes (--quick): not for comparison.**\n")
    print(f"{machine}\n\n{table(rows)}")
    return int(any(row.verdict == "missed" for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
