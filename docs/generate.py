"""Writes `docs/reference/` from the code, `docs/reliability.md` and `docs/performance.md` from what was recorded:
python docs/generate.py [--check].

What a setting, a field, a condition, a metric or a command is called and means is said once, in the code; here is
only how it is laid out.
"""

import ast
import inspect
import json
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import performance
import reliability
import typer
from prometheus_client import CollectorRegistry

from pipeline import campaigns, observe, replies, spooling, vitals
from pipeline.__main__ import command_line
from pipeline.codec import CONTROLS, EFFECTS, INPUTS, INTERNALS, LEDGER, local_ids, schema_text
from pipeline.core import condition, do, rules, scheme, site, when
from pipeline.core.customer import conditions, lifecycle
from pipeline.core.deliveries import DELIVERIES
from pipeline.core.effects import TOPIC_OF
from pipeline.logs import event_of
from pipeline.settings import SECRETS, Settings

FOLDER = Path(__file__).resolve().parent / "reference"
PACKAGE = Path(__file__).resolve().parents[1] / "pipeline"
HEAD = "<!-- Made by docs/generate.py from the code: do not edit. -->\n"
CAMPAIGN_PARTS = (
    ("", rules.Campaign),
    ('[when] kind = "lapsed"', when.WhenLapsed),
    ('[when] kind = "regular_buyer"', when.WhenRegular),
    ('[when] kind = "hesitating"', when.WhenHesitating),
    ('[when] kind = "signed_up"', when.WhenSignedUp),
    ('[when] kind = "nth_order"', when.WhenNthOrder),
    ('[when] kind = "stage_reached"', when.WhenStage),
    ('[when] kind = "interested"', when.WhenInterested),
    ('[when] kind = "cart_abandoned"', when.WhenCartAbandoned),
    ('[when] kind = "scheduled"', when.WhenScheduled),
    ('[when] kind = "date"', when.WhenDate),
    ('[when] kind = "segment_entered"', when.WhenSegmentEntered),
    ('[when] kind = "segment_left"', when.WhenSegmentLeft),
    ('[when] kind = "price_dropped"', when.WhenPriceDropped),
    ('[when] kind = "back_in_stock"', when.WhenBackInStock),
    ('[when] kind = "new_product"', when.WhenNewProduct),
    ('[when] kind = "newsletter"', when.WhenNewsletter),
    ('[when] kind = "points_reached"', when.WhenPointsReached),
    ('[when] kind = "tier_reached"', when.WhenTierReached),
    ('[when] kind = "answered"', when.WhenAnswered),
    ("[[if]], [[any]], [[not]]", condition.Condition),
    ('[when] kind = "referred"', when.WhenReferred),
    ('[when] kind = "was_referred"', when.WhenWasReferred),
    ('[do] kind = "voucher"', do.DoVoucher),
    ('[do] kind = "chat_prompt"', do.DoChatPrompt),
    ('[do] kind = "message"', do.DoMessage),
    ('[do] kind = "task"', do.DoTask),
    ('[do] kind = "points"', do.DoPoints),
    ("[[step]]", rules.Step),
    ('[[exit]] kind = "bought"', rules.ExitBought),
    ('[[exit]] kind = "unsubscribed"', rules.ExitUnsubscribed),
    ('[[exit]] kind = "cart_gone"', rules.ExitCartGone),
    ('[[exit]] kind = "segment_entered"', rules.ExitSegmentEntered),
    ('[[exit]] kind = "segment_left"', rules.ExitSegmentLeft),
    ('[[exit]] kind = "condition"', rules.ExitCondition),
    ('[do] kind = "module"', do.DoModule),
    ('[do] kind = "webhook"', do.DoWebhook),
    ("[[test]]", campaigns.CampaignTest),
    ("[contact]", rules.Contact),
    ("[budget]", rules.Budget),
    ("campaigns/policy.toml", rules.Policy),
    ("segments/*.toml", rules.Segment),
    ("campaigns/loyalty.toml", scheme.Scheme),
    ("[[event]]", scheme.Earning),
    ("[[tier]]", scheme.Tier),
    ("[[reward]]", scheme.Reward),
    ("[referral]", scheme.Referral),
    ("site/modules/*.toml", site.Module),
    ("site/modules/*.toml: [[variant]]", site.Variant),
    ("site/modules/*.toml: [fallback]", site.Content),
    ("site/questionnaires/*.toml", site.Questionnaire),
    ("site/questionnaires/*.toml: [[question]]", site.Question),
    ("site/interests.toml: [[interest]]", site.Interest),
)


UNKNOWN = "What is not known makes a condition false."
STAGES = "`lifecycle.stage`, by what happens. Where nothing stands it stays as it is."
INTRO = {
    "settings": """# Settings

In `rapport.toml` (`--config FILE` or `RAPPORT_CONFIG` name another), or in the environment, which goes before the
file. Secrets also from a file: {secrets}. `SCHEMA_REGISTRY_URL` is read too.
What is unknown or wrong is refused with its place.

""",
    "campaigns": """# Campaign files

One TOML file for each campaign in `campaigns/`; `campaigns/example.toml.txt` shows every key in use. `rapport check`
refuses what is unknown or does not fit, `rapport campaigns publish` puts the files in force.
""",
    "events": """# Records

What stands on the topics, from `schemas/`. Times are epoch milliseconds, UTC; money is in minor units of its
currency; absent texts are empty, absent numbers 0. [asyncapi.yaml](../../deploy/asyncapi.yaml) has the topics.
""",
    "logs": """# Logs

To standard error, one line a message. `log_format = "json"` (`RAPPORT_LOG_FORMAT=json`) makes each an object of
`time` (UTC), `level`, `logger`, `event`, `message` and, for a defect, `exception`: its type and where it came from,
since its text may quote a customer (`log_level = "DEBUG"` shows it). An event keeps its name as long as its sentence
says the same. `rapport.kafka` also passes on what Kafka's client says. Who is to do something is told what;
`rapport doctor` says more, and each [alert](../runbooks/README.md) has its page.

""",
    "metrics": """# Metrics

`/metrics` of every role, in Prometheus' format; `/healthz` says that the process answers, `/readyz` that its log and
store do. No label names a person.

""",
}


def table(header: tuple[str, ...], rows: typing.Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def field_docstrings(struct_type: type) -> dict[str, str]:
    """What stands under each field of a struct, by field; "" where nothing does."""
    body = ast.parse(inspect.getsource(struct_type)).body[0]
    if not isinstance(body, ast.ClassDef):
        raise TypeError(f"{struct_type} is no class")
    found: dict[str, str] = {}
    for node, following in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            said = following.value if isinstance(following, ast.Expr) else None
            text = said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
            found[node.target.id] = " ".join(text.split())
    return found


def type_in_words(hint: Any) -> str:
    """A type as a person reads it, with its bounds."""
    if typing.get_origin(hint) is typing.Annotated:
        plain, *metas = typing.get_args(hint)
        return ", ".join([type_in_words(plain), *(bound for meta in metas for bound in _bounds(meta))])
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(hint))
    if typing.get_origin(hint) is tuple:
        return f"list of {type_in_words(typing.get_args(hint)[0])}"
    if typing.get_origin(hint) is dict:
        return f"table, each a {type_in_words(typing.get_args(hint)[1])}"
    if typing.get_args(hint):
        return " or ".join(dict.fromkeys(type_in_words(part) for part in typing.get_args(hint)))
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(hint, "table")


def _bounds(meta: Any) -> Iterator[str]:
    said = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "pattern": "like"}
    for name, words in said.items():
        value = getattr(meta, name, None)
        if value is not None:
            yield f"{words} {f'`{value}`' if name == 'pattern' else value}"


def default_in_words(field: Any) -> str:
    """A field's default as one writes it in TOML."""
    if field.default_factory is not msgspec.NODEFAULT:
        return ""
    if field.default is msgspec.NODEFAULT:
        return "(required)"
    if isinstance(field.default, msgspec.Struct):
        return ""
    value = list(field.default) if isinstance(field.default, tuple) else field.default
    return f"`{json.dumps(value)}`"


def settings_page() -> str:
    """Every setting."""
    texts = field_docstrings(Settings)
    hints = typing.get_type_hints(Settings, include_extras=True)
    rows = [
        (
            f"`{f.name}`",
            f"`RAPPORT_{f.name.upper()}`",
            type_in_words(hints[f.name]),
            default_in_words(f),
            texts[f.name],
        )
        for f in msgspec.structs.fields(Settings)
    ]
    secrets = ", ".join(f"`RAPPORT_{name.upper()}_FILE`" for name in SECRETS)
    intro = INTRO["settings"].format(secrets=secrets)
    return intro + table(("setting", "environment", "type", "default", "meaning"), rows)


def campaigns_page() -> str:
    """Every key of a campaign file, every field a condition can ask."""
    parts = [INTRO["campaigns"]]
    for title, part in CAMPAIGN_PARTS:
        texts, hints = field_docstrings(part), typing.get_type_hints(part, include_extras=True)
        rows = [
            (f"`{f.encode_name}`", type_in_words(hints[f.name]), default_in_words(f), texts.get(f.name, ""))
            for f in msgspec.structs.fields(part)
        ]
        heading = f"## `{title}`\n\n{inspect.getdoc(part)}" if title else "## The file"
        parts.append(f"{heading}\n\n" + table(("key", "type", "default", "meaning"), rows))
    parts.append(f"## What a condition can ask\n\n{UNKNOWN}\n\n{conditions.as_markdown()}")
    parts.append(f"## The sales cycle\n\n{STAGES}\n\n{lifecycle.as_markdown()}")
    return "\n".join(parts)


def events_page() -> str:
    """Every record type, from its schema."""
    parts = [INTRO["events"]]
    for title, kinds in (
        ("What comes in (topic `events`; in part `clickstream`, `purchases`, `chats`)", INPUTS),
        ("What subjects tell each other (topic `events`)", INTERNALS),
        ("What concerns a whole partition (topic `events`)", CONTROLS),
        ("What is to be done", EFFECTS),
        (f"What became of it (topic `{DELIVERIES}`)", LEDGER),
    ):
        parts.append(f"## {title}\n")
        parts += [_record(json.loads(schema_text(kind.__name__)), kind) for kind in kinds]
    return "\n".join(parts)


def _record(schema: dict[str, Any], kind: type) -> str:
    on = f"; topic `{TOPIC_OF[kind]}`" if kind in TOPIC_OF else ""
    rows = [(f"`{f['name']}`", _avro(f["type"]), f["doc"]) for f in schema["fields"]]
    number = local_ids()[schema["name"]]
    about = f"### {schema['name']}\n\n{schema['doc']} Schema id {number}{on}.\n\n"
    return about + table(("field", "type", "meaning"), rows)


def _avro(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    if kind["type"] == "enum":
        return ", ".join(f"`{symbol}`" for symbol in kind["symbols"])
    if kind["type"] == "array":
        parts = ", ".join(f"`{field['name']}`" for field in kind["items"]["fields"])
        return f"list of ({parts})"
    return "time" if "logicalType" in kind else str(kind["type"])


def metrics_page() -> str:
    """Every measure of every role."""
    roles: dict[str, list[str]] = {}
    described: dict[str, tuple[str, str]] = {}
    for role, measures in (
        ("collect", observe.CollectorMeasures),
        ("every", observe.limited),
        ("collect", spooling.SpoolMeasures),
        ("work", observe.WorkerMeasures),
        ("serve", observe.ApiMeasures),
        ("serve", replies.chat_webhooks),
        ("serve", replies.messages),
        ("deliver", observe.DeliverMeasures),
        ("relay", observe.RelayMeasures),
        ("collect", vitals.HeartMeasures),
        ("every", vitals.ProcessMeasures),
    ):
        registry = CollectorRegistry()
        measures(registry)
        for family in registry.collect():
            name = family.name + ("_total" if family.type == "counter" else "")
            described[name] = (family.type, family.documentation)
            roles.setdefault(name, []).append(role)
    rows = [(f"`{name}`", kind, ", ".join(roles[name]), text) for name, (kind, text) in sorted(described.items())]
    return INTRO["metrics"] + table(("metric", "type", "role", "meaning"), rows)


def logs_page() -> str:
    """Every event a log can name, from the log calls in the code."""
    rows = sorted({call for file in sorted(PACKAGE.rglob("*.py")) for call in _log_calls(file)})
    return INTRO["logs"] + table(("event", "logger", "level", "sentence"), rows)


def _log_calls(file: Path) -> Iterator[tuple[str, str, str, str]]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    loggers: dict[str, str] = {}
    for node in tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(name)], value=ast.Call(func=ast.Attribute(attr="getLogger"), args=[of])
            ):
                loggers[name] = str(ast.literal_eval(of))
    for call in ast.walk(tree):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(name), attr=level), args=[said, *_]) if name in loggers:
                if not isinstance(said, ast.Constant) or not isinstance(said.value, str):
                    raise TypeError(f"{file}:{call.lineno}: a log call begins with a constant sentence")
                kind = "error" if level == "exception" else level
                yield f"`{event_of(said.value)}`", f"`{loggers[name]}`", kind, f"`{said.value}`"


def cli_page() -> str:
    """Every command, as `--help` says it."""
    root = typer.main.get_command(command_line())
    parts = [f"# Command line\n\n{inspect.cleandoc(root.help or '')}\n"]
    parts += [_command(path, command) for path, command in _commands(root, "rapport")]
    return "\n".join(parts)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, child in command.commands.items():
        if hasattr(child, "commands"):
            yield from _commands(child, f"{path} {name}")
        else:
            yield f"{path} {name}", child


def _command(path: str, command: Any) -> str:
    rows = []
    for parameter in command.params:
        if parameter.name == "help":
            continue
        is_argument = parameter.param_type_name == "argument"
        name = parameter.name.upper() if is_argument else ", ".join(parameter.opts)
        default = parameter.default
        shown = "(required)" if parameter.required else "" if default in (None, False, "", ()) else f"`{default}`"
        rows.append((f"`{name}`", shown, parameter.help or ""))
    options = "\n" + table(("option", "default", "meaning"), rows) if rows else ""
    return f"## {path}\n\n{inspect.cleandoc(command.help or '')}\n{options}"


PAGES = {
    "settings.md": settings_page,
    "campaigns.md": campaigns_page,
    "events.md": events_page,
    "metrics.md": metrics_page,
    "logs.md": logs_page,
    "cli.md": cli_page,
}


def main() -> None:
    """Write the pages, or with --check name those that are not what the code says."""
    pages = {FOLDER / name: HEAD + "\n" + page() for name, page in PAGES.items()}
    recorded = "<!-- Made by docs/generate.py from reliability.json and faults.toml: do not edit. -->\n\n"
    pages[FOLDER.parent / "reliability.md"] = recorded + reliability.page()
    measured = "<!-- Made by docs/generate.py from performance.json: do not edit. -->\n\n"
    pages[FOLDER.parent / "performance.md"] = measured + performance.page()
    if "--check" not in sys.argv[1:]:
        FOLDER.mkdir(exist_ok=True)
        for file, text in pages.items():
            file.write_text(text, encoding="utf-8")
        return
    stale = [f.name for f, text in pages.items() if not f.is_file() or f.read_text(encoding="utf-8") != text]
    if stale:
        sys.exit(f"docs: {', '.join(stale)} not what the code says: run `python docs/generate.py`")


if __name__ == "__main__":
    main()
