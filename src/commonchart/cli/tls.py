"""`commonchart tls`: a certificate for development."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from commonchart.cli.open import data_option, settings_of
from commonchart.ops import certificates


@click.group()
def tls() -> None:
    """Certificates for https."""


@tls.command()
@click.option("--host", "hosts", multiple=True, help="A name or address it is for. Default: this machine.")
@data_option
def dev(hosts: tuple[str, ...], data: Path | None) -> None:
    """Make a certificate that signs itself, for development: 90 days, browsers warn about it."""
    folder = settings_of(data).data_dir
    cert, key = certificates.development(folder, datetime.now(UTC), hosts or certificates.HOSTS)
    click.echo(f"commonchart serve --tls {cert} {key}")
