"""`python -m bench`: measure this product beside the reference server in one run, print and keep the ratios."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

from bench import meter_values, servers
from bench.driver import load_on
from bench.report import page

RESULTS = Path(__file__).with_name("results.md")


def main() -> int:
    """Run the benchmark the arguments ask for; gives the exit status."""
    options = _options()
    plan = meter_values.Plan(
        stations=options.stations,
        idle=options.idle,
        rounds=options.rounds,
        seconds=options.seconds,
    )
    began_s = time.monotonic()
    try:
        with contextlib.ExitStack() as stack:
            chosen = []
            identifiers = plan.station_ids + plan.idle_ids
            if options.url:
                chosen.append(servers.Server(options.url, options.url, options.pid))
            elif not options.reference_only:
                chosen.append(stack.enter_context(servers.ours(identifiers, plan.tags, stop_rules=options.stop_rules)))
            other = servers.ours(identifiers, plan.tags) if options.stop_rules else servers.reference()
            chosen.append(stack.enter_context(other))
            loads = [stack.enter_context(load_on(server)) for server in chosen]
            text = page(meter_values.measure(loads, plan), plan)
    except servers.BenchFailed as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    print(text)
    print(f"took {time.monotonic() - began_s:.0f} s")
    if not (options.url or options.reference_only or options.stop_rules):
        RESULTS.write_text(text, encoding="utf-8")
        print(f"written to {RESULTS}")
    return 0


def _options() -> argparse.Namespace:
    plan = meter_values.Plan()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--url", help="measure a running server, like ws://127.0.0.1:8000/ocpp, instead of ours")
    parser.add_argument("--pid", type=int, help="that server's process, for its processor time and memory")
    parser.add_argument("--reference-only", action="store_true", help="measure the reference server alone")
    parser.add_argument("--stop-rules", action="store_true", help="compare sessions with stop rules to those without")
    parser.add_argument("--stations", type=int, default=plan.stations)
    parser.add_argument("--idle", type=int, default=plan.idle, help="idle connections for the memory figure")
    parser.add_argument("--rounds", type=int, default=plan.rounds)
    parser.add_argument("--seconds", type=float, default=plan.seconds, help="length of each measured window")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
