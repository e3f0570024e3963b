"""`simulate`: simulated stations against any server of OCPP 1.6J or 2.0.1, from the command line; needs no database."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path
from random import Random

import click
import yaml

from ocpp_ws.simulator.config import EvseSpec, FleetConfig, StationSpec, demo_mishaps
from ocpp_ws.simulator.fleet import Fleet, stop_on_signals
from ocpp_ws.simulator.makes import MAKES, Version, draw_make
from ocpp_ws.simulator.provisioning import provisioning_of

_STATUS_EVERY_S = 5.0
_GIVE_UP_AFTER_S = 10.0


@click.command("simulate")
@click.option("--stations", "count", type=click.IntRange(1, 100_000), help="How many; 10, or as many as --ids names.")
@click.option("--url", default="ws://127.0.0.1:8000/ocpp", show_default=True, help="Where the stations connect.")
@click.option("--seed", default=1, show_default=True, help="Same seed, same street.")
@click.option("--time-scale", default=10.0, show_default=True, help="How many times livelier than real.")
@click.option("--prefix", default="SIM-", show_default=True, help="Identifiers are PREFIX0001 and so on.")
@click.option(
    "--ids",
    "ids_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of identifiers, one a line, each with its password after a comma if it has one.",
)
@click.option("--password", help="The network password of stations that the file gives none.")
@click.option("--make", "make_key", type=click.Choice(list(MAKES)), help="All of one make; else a mixture.")
@click.option(
    "--protocol",
    type=click.Choice(["ocpp1.6", "ocpp2.0.1", "mixed"]),
    help="The version of OCPP; mixed: every second station 2.0.1. Else the make's own, or 1.6.",
)
@click.option("--tag", "tags", multiple=True, help="A card that drivers use; repeatable. Else SIMTAG0001 and so on.")
@click.option("--meter-interval", default=30, show_default=True, help="Seconds between meter values.")
@click.option("--calm", is_flag=True, help="Without the fault and the drop-off.")
@click.option("--duration", type=click.FloatRange(min=0.1), help="End after so many seconds.")
@click.option("--print-provisioning", is_flag=True, help="Print a file for `provision` with these stations; end.")
def simulate(
    count: int | None,
    url: str,
    seed: int,
    time_scale: float,
    prefix: str,
    ids_file: Path | None,
    password: str | None,
    make_key: str | None,
    protocol: str | None,
    tags: tuple[str, ...],
    meter_interval: int,
    calm: bool,
    duration: float | None,
    print_provisioning: bool,
) -> None:
    """Run simulated OCPP stations until Ctrl-C: cars come and go, one station faults, one drops off.

    The server has to know the stations and cards; --print-provisioning writes the file that makes it so.
    """
    named = _read_ids(ids_file) if ids_file else [(f"{prefix}{n:04d}", None) for n in range(1, (count or 10) + 1)]
    if count is not None:
        named = named[:count]
    cards = tags or tuple(f"SIMTAG{n:04d}" for n in range(1, len(named) + 1))
    try:
        stations = [
            station_spec(
                name, own or password, seed=seed, make_key=make_key, id_tags=cards, version=_version(protocol, number)
            )
            for number, (name, own) in enumerate(named)
        ]
        config = FleetConfig(
            url=url,
            stations=stations,
            seed=seed,
            time_scale=time_scale,
            meter_interval_s=meter_interval,
            mishaps=() if calm else demo_mishaps(stations),
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if print_provisioning:
        click.echo(yaml.safe_dump(provisioning_of(stations), sort_keys=False, allow_unicode=True), nl=False)
        return
    if not asyncio.run(_watch(Fleet(config), duration)):
        raise SystemExit(1)


def station_spec(
    identifier: str,
    password: str | None,
    *,
    seed: int,
    make_key: str | None,
    id_tags: tuple[str, ...],
    version: Version | None = None,
) -> StationSpec:
    """A station as its make is sold; the make is drawn by seed and identifier unless it is given.

    ``version`` of OCPP None: what the make is sold with, 1.6 where the make is drawn.
    """
    rng = Random(f"{seed}/{identifier}/make")  # noqa: S311  # reproducible, not secret
    make = MAKES[make_key] if make_key else draw_make(rng, version or "ocpp1.6")
    evses = [EvseSpec(n, make.current, make.max_power_w) for n in range(1, make.evse_count + 1)]
    return StationSpec(identifier, password, make.key, evses, id_tags, protocol=version)


def _version(protocol: str | None, number: int) -> Version | None:
    """What the station of that place in the list speaks."""
    if protocol == "mixed":
        return "ocpp2.0.1" if number % 2 else "ocpp1.6"
    return "ocpp2.0.1" if protocol == "ocpp2.0.1" else "ocpp1.6" if protocol == "ocpp1.6" else None


def _read_ids(path: Path) -> list[tuple[str, str | None]]:
    named: list[tuple[str, str | None]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        identifier, comma, password = line.partition(",")
        if identifier.strip() and not identifier.lstrip().startswith("#"):
            named.append((identifier.strip(), password.strip() if comma else None))
    if not named:
        raise click.ClickException(f"{path} names no station")
    return named


async def _watch(fleet: Fleet, duration_s: float | None) -> bool:
    """Run the fleet and print how it is doing; False, and a plain line, when nothing could connect."""
    stop_event = asyncio.Event()
    stop_on_signals(stop_event)
    running = asyncio.create_task(fleet.run(stop_event))
    begun = time.monotonic()
    said = begun
    gave_up = False
    while not stop_event.is_set():
        await _wait(stop_event, 0.5)
        now = time.monotonic()
        stats = fleet.stats()
        if stats.ever_connected == 0 and now - begun > _GIVE_UP_AFTER_S and stats.last_failure:
            gave_up = True
            stop_event.set()
        elif duration_s is not None and now - begun >= duration_s:
            stop_event.set()
        elif now - said >= _STATUS_EVERY_S:
            said = now
            click.echo(_status_line(fleet))
    await running
    stats = fleet.stats()
    if gave_up or (stats.ever_connected == 0 and stats.attempts):
        why = stats.last_failure or "no answer yet"
        click.echo(f"Error: none of {stats.stations} stations could connect to {fleet.config.url}: {why}", err=True)
        return False
    click.echo(f"ended: {stats.ever_connected} of {stats.stations} stations connected, {_kwh(stats.delivered_wh)}")
    return True


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


def _status_line(fleet: Fleet) -> str:
    stats = fleet.stats()
    line = (
        f"{datetime.now().astimezone():%H:%M:%S}  connected {stats.connected}/{stats.stations}  "
        f"charging {stats.charging}  delivered {_kwh(stats.delivered_wh)}"
    )
    return f"{line}  last failure: {stats.last_failure}" if stats.last_failure else line


def _kwh(energy_wh: float) -> str:
    return f"{energy_wh / 1000:.3f} kWh"
