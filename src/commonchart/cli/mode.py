"""`commonchart mode [practice|network]`: one organisation with nothing shared, or many. Switching loses nothing."""

from __future__ import annotations

from pathlib import Path

import click

from commonchart.cli.open import awaited, data_option, opened_by, settings_of
from commonchart.record import site


@click.command()
@click.argument("mode", type=click.Choice(["practice", "network"]), required=False)
@data_option
@awaited
async def mode(mode: str | None, data: Path | None) -> None:
    """Say which mode the site is in, or switch it. The pages follow at once; no data change."""
    settings = settings_of(data)
    async with opened_by(settings) as database, database.connection() as conn:
        if mode is not None:
            await site.put(conn, settings.tenant, site.MODE, mode)
        click.echo(await site.get(conn, settings.tenant, site.MODE, settings.mode))
