"""`agents add`, `list` and `remove`: who may log in at the desk; and prompts where there is no desk."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.api.desk.agents import LOG_IN, Agent, BadAgents, hashed, read_agents, written
from pipeline.app import App, active_rules, source, wall_ms
from pipeline.backends.contract import NewRecord
from pipeline.commands.opening import Config, console, settings_of, write_line
from pipeline.core.presence import AgentsChanged
from pipeline.serving import desk_of
from pipeline.settings import SettingsError

agents_app = typer.Typer(help="Agents: who may log in at /desk.", no_args_is_help=True)

WIDTH = 20
"""Of the column of log-in names."""
LogIn = Annotated[str, typer.Argument(help="Log-in name: small letters, digits and -.")]


@agents_app.command()
def add(
    log_in: LogIn,
    name: Annotated[str, typer.Option("--name", help="As visitors see it [default: the log-in name].")] = "",
    config: Config = None,
) -> None:
    """Let somebody log in at the desk, or give them a new password.

    The password is asked for, or read as one line from standard input. Only its scrypt hash is kept.
    """
    file = _file(config)
    if not LOG_IN.fullmatch(log_in):
        raise SettingsError(f"the log-in name {log_in!r}: expected small letters, digits and -, at most 64")
    agents = _read(file)
    is_typed = sys.stdin.isatty()
    password = (
        typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        if is_typed
        else sys.stdin.readline().rstrip("\n")
    )
    try:
        hash_ = hashed(password)
    except ValueError as problem:
        raise SettingsError(str(problem)) from problem
    known = agents.get(log_in)
    _write(file, agents | {log_in: Agent(name or (known.name if known else log_in), hash_)})
    console.print(f"{log_in} may log in at /desk ({file}).")
    if not agents:
        console.print(
            "From its next start `rapport up` or `serve` has a desk; a running one has to be started again."
        )


@agents_app.command("list")
def list_agents(config: Config = None) -> None:
    """Show who may log in."""
    for log_in, agent in sorted(_read(_file(config)).items()):
        write_line(f"{log_in:<{WIDTH}}  {agent.name}")


@agents_app.command()
def remove(log_in: LogIn, config: Config = None) -> None:
    """Take somebody's log-in away: also where they are logged in now."""
    file = _file(config)
    agents = _read(file)
    if log_in not in agents:
        raise SettingsError(f"{file} has no agent {log_in}; it has: {', '.join(sorted(agents)) or 'nobody'}")
    _write(file, {name: agent for name, agent in agents.items() if name != log_in})
    console.print(f"{log_in} may not log in any more.")


def tell_gate(app: App) -> None:
    """Say at the start whether prompts wait for an agent: with a desk nobody is free before they say so, without one
    (any more) no prompt waits. Raises Unavailable."""
    desk = desk_of(app.settings)
    gated = desk is not None and desk.gates_prompts
    reader = app.backend.reader()
    try:
        active = active_rules(reader)
        if gated == (active is not None and active.presence.gated):
            return
        now = wall_ms()
        nobody = AgentsChanged(desk="none", free=0, until=now, gated=gated, source=source("serve"), received_at=now)
        value = app.codec.encode(nobody)
        records = [NewRecord("events", b"", value, partition=number) for number in range(reader.partitions())]
        app.appender("serve").append(records)
    finally:
        reader.close()


def _file(config: Path | None) -> Path:
    return Path(settings_of(config).agents)


def _read(file: Path) -> dict[str, Agent]:
    try:
        return read_agents(file)
    except BadAgents as problem:
        raise SettingsError(str(problem)) from problem


def _write(file: Path, agents: dict[str, Agent]) -> None:
    """Whole or not at all; for the owner's eyes only."""
    fresh = file.with_name(file.name + ".new")
    fresh.touch(0o600)
    fresh.chmod(0o600)
    fresh.write_text(written(agents), encoding="utf-8")
    fresh.replace(file)
