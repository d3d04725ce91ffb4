"""`rapport doctor`: looks at every part and says what was found, what was expected, what to do. Changes nothing."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table

from pipeline import diagnosis, spooling
from pipeline.api.health import backend_problems
from pipeline.app import codec_of, open_backend, wall_ms
from pipeline.backends.contract import Backend, Refused, Unavailable
from pipeline.commands.opening import Config, Data, console, settings_of, write_line
from pipeline.finding import Finding, Level, worst
from pipeline.registry import answers
from pipeline.settings import Settings, SettingsError
from pipeline.spooling import spool_folder

COLOURS: dict[Level, str] = {"ok": "green", "warn": "yellow", "red": "red"}
ANSWER_SECONDS = 5.0


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object.")] = False,
    role: Annotated[
        list[str] | None, typer.Option("--role", help="Address of a running role, to ask its /readyz; repeatable.")
    ] = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """Look at every part, say what is wrong and what to do; exit code 1 if anything is red.

    \b
    Everything:           rapport doctor
    And a running role:   rapport doctor --role http://127.0.0.1:8080
    """
    findings = list(_findings(config, data, role or []))
    if as_json:
        told = {"level": worst(findings), "findings": msgspec.to_builtins(findings)}
        write_line(json.dumps(told, ensure_ascii=False))
    else:
        _print(findings)
    if worst(findings) == "red":
        raise typer.Exit(1)


def _print(findings: list[Finding]) -> None:
    table = Table("part", "", "found", "what to do", box=None)
    for finding in findings:
        expected = f" (expected: {finding.expected})" if finding.level != "ok" and finding.expected else ""
        level = f"[{COLOURS[finding.level]}]{finding.level}[/]"
        table.add_row(finding.part, level, f"{finding.found}{expected}".replace("[", "\\["), finding.remedy)
    console.print(table)


def _findings(config: Path | None, data: Path | None, roles: list[str]) -> Iterator[Finding]:
    try:
        settings = settings_of(config, data)
    except SettingsError as problem:
        yield Finding("settings", "red", str(problem), "settings that can be read", "mend what the sentence names")
        return
    yield diagnosis.keys(settings)
    yield diagnosis.campaign_folder(settings)
    yield diagnosis.disk(settings)
    if settings.log:
        yield diagnosis.spool(spool_folder(settings), settings.spool_limit_bytes)
    if settings.schema_registry_url:
        yield _registry(settings.schema_registry_url)
    if settings.log:
        yield spooling.finding(settings)
    try:
        backend = open_backend(settings)
    except (Unavailable, ValueError) as problem:
        yield Finding("log and store", "red", str(problem), "that they open", "mend what the sentence names")
        return
    try:
        yield from _of_backend(backend, settings)
    finally:
        backend.close()
    yield from (_role(url) for url in roles)


def _registry(url: str) -> Finding:
    try:
        answers(url)
    except Unavailable as problem:
        remedy = "roles that run go on; new ones wait: start it, or mend SCHEMA_REGISTRY_URL"
        return Finding("schema registry", "red", str(problem), "an answer", remedy)
    return Finding("schema registry", "ok", f"{url} answers")


def _of_backend(backend: Backend, settings: Settings) -> Iterator[Finding]:
    """The looks that need log and store; where these do not answer, it is said once."""
    yield from backend.findings(wall_ms)
    # The same question as /readyz of every role: both are red, or neither.
    if problems := backend_problems(backend.reader)():
        for problem in problems:
            yield Finding("log and store", "red", problem, "answers", "the rest is looked at when both answer")
        return
    yield Finding("log and store", "ok", "both answer")
    reader, now = backend.reader(), wall_ms()
    looks: list[Callable[[], list[Finding]]] = [
        lambda: _of_places(diagnosis.places(reader), now, settings),
        lambda: [diagnosis.rules(reader, now)],
        lambda: [diagnosis.dead_letters(reader, codec_of(settings), now)],
        lambda: [diagnosis.deliveries(reader, codec_of(settings))],
    ]
    try:
        for look in looks:
            try:
                yield from look()
            except (Unavailable, Refused) as problem:
                yield Finding("log and store", "red", str(problem), "answers", "try again in a moment")
    finally:
        reader.close()


def _of_places(places: list[diagnosis.Place], now_ms: int, settings: Settings) -> list[Finding]:
    return [
        *diagnosis.progress(places, now_ms),
        diagnosis.heartbeat(places, now_ms, settings.heartbeat_seconds),
        diagnosis.clock(places, now_ms),
        diagnosis.imports(places, now_ms),
    ]


def _role(url: str) -> Finding:
    """What a running role says of itself."""
    part = f"role {url}"
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/readyz", timeout=ANSWER_SECONDS):
            return Finding(part, "ok", "ready")
    except urllib.error.HTTPError as problem:
        said: Any = _json(problem.read())
        return Finding(part, "red", str(said), "ready", "see the sentence; its log says more")
    except (OSError, ValueError) as problem:
        return Finding(part, "red", f"does not answer: {problem}", "ready", "start it, or mend the address")


def _json(body: bytes) -> object:
    try:
        return json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")
