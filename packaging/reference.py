"""Write the reference pages that are made from the program itself: the command line and the settings."""

from __future__ import annotations

from pathlib import Path

import click

from commonchart.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "command-line.md"


def _option(param: click.Parameter) -> str:
    names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
    text = (getattr(param, "help", None) or "").replace("|", "\\|").replace("\n", " ")
    return f"| {names} | {text} |"


def _section(path: str, command: click.Command) -> list[str]:
    usage = command.get_usage(click.Context(command, info_name=path)).removeprefix("Usage: ")
    lines = [f"## `{path}`", "", *(line.strip() for line in (command.help or "").strip().splitlines()), ""]
    lines += ["```", usage, "```", ""]
    options = [param for param in command.params if isinstance(param, click.Option)]
    if options:
        lines += ["| option | meaning |", "|---|---|", *map(_option, options), ""]
    return lines


def _walk(path: str, command: click.Command) -> list[str]:
    if not isinstance(command, click.Group):
        return _section(path, command)
    context = click.Context(command)
    lines: list[str] = []
    for name in sorted(command.list_commands(context)):
        child = command.get_command(context, name)
        assert child is not None
        lines += _walk(f"{path} {name}", child)
    return lines


def page() -> str:
    """The whole command line as Markdown."""
    head = ["# The command line", "", "Made by `make docs` from the program's own help.", ""]
    return "\n".join(head + _walk("commonchart", main)).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE.relative_to(ROOT)}")
