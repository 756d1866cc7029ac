"""Help of commands in plain text: options by panel, then examples; and of the whole, commands by panel."""

from typing import Any

from typer.core import TyperCommand, TyperGroup

OTHERS = "Options"


class Command(TyperCommand):
    """A command whose options stand under their `rich_help_panel`, and whose epilog is examples, a line each."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments first, then the panels in the order of their first option, then all others."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        others = []
        for param in self.get_params(ctx):
            if (record := param.get_help_record(ctx)) is None:
                continue
            panel = getattr(param, "rich_help_panel", None)
            if param.param_type_name == "argument":
                panels["Arguments"].append(record)
            elif panel is None:
                others.append(record)
            else:
                panels.setdefault(panel, []).append(record)
        _write(formatter, panels | {OTHERS: others})

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Examples as they are."""
        if self.epilog:
            with formatter.section("Examples"):
                indent = " " * formatter.current_indent
                formatter.write("".join(f"{indent}{line}\n" for line in self.epilog.strip().splitlines()))


class Group(TyperGroup):
    """The commands under their `rich_help_panel`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """In the order in which they were added."""
        panels: dict[str, list[tuple[str, str]]] = {}
        limit = formatter.width - 6 - max(map(len, self.commands))
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None) or "Commands"
                panels.setdefault(panel, []).append((name, command.get_short_help_str(limit)))
        _write(formatter, panels)


def _write(formatter: Any, panels: dict[str, list[tuple[str, str]]]) -> None:
    for heading, rows in panels.items():
        if rows:
            with formatter.section(heading):
                formatter.write_dl(rows)
