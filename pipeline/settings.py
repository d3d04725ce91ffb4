"""Settings: what can be set, with type, default and meaning; read from `rapport.toml` and the environment.

Environment over file: `RAPPORT_` + the name in capitals; secrets also as `…_FILE`. What is unknown or wrong is
refused with the place it stands in. Nothing else in Rapport reads the environment.
"""

import difflib
import hashlib
import hmac
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from pipeline.edge.caller import Proxies

DEFAULT_FILE = Path("rapport.toml")
SECRETS = (
    "server_key", "previous_server_key", "identity_secret", "code_secret", "store", "schema_registry_url",
    "kafka_sasl_password", "kafka_ssl_key_password", "webhook_secret", "email_password", "push_key", "store",
    "chatwoot_secret",
)  # fmt: skip
"""Never shown; each can stand in a file of its own. Addresses may hold passwords."""
LISTS = ("allowed_origins", "trusted_proxies", "webhook_channels")
"""In the environment, with commas between."""
DEMO_SECRET = "rapport-demo-secret-not-for-vouchers-of-value"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Rate = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class SettingsError(Exception):
    """A setting is unknown, malformed or missing; the text says which, where, and what to do."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting. `docs/reference/settings.md` is generated from here."""

    write_key: str = ""
    """The public key that pages send with their events."""
    server_key: str = ""
    """The secret key of the shop's own servers: trusted purchases, profiles, redemption."""
    previous_write_key: str = ""
    """Still valid beside `write_key` while pages change over; empty it to revoke it."""
    previous_server_key: str = ""
    """Still valid beside `server_key` while servers change over; empty it to revoke it."""
    identity_secret: str = ""
    """Signs a user id for the browser: userHash = HMAC-SHA256(identity_secret, userId), hexadecimal."""
    code_secret: str = ""
    """Makes voucher codes unguessable; whoever has it can compute them. Never change it while vouchers are open."""
    log: str = ""
    """"" for the embedded log, or kafka://host:port[,host:port]."""
    store: str = ""
    """"" for the embedded store, or redis://host:port (rediss:// for TLS). Set together with `log`."""
    data: str = "./rapport-data"
    """Folder of the embedded log and store."""
    partitions: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 8
    """Partitions of `events`, when it is created."""
    prefix: str = ""
    """Stands before every topic, group and store key: several shops on one cluster."""
    campaigns: str = "./campaigns"
    """Folder of the campaign files."""
    segments: str = "./segments"
    """Folder of the segment files; none if there is no such folder."""
    site: str = "./site"
    """Folder of content modules, questionnaires and interests; nothing if there is no such folder."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Port = 8080
    """Port of `up` and `collect`."""
    serve_port: Port = 8081
    """Port of `serve` when it runs alone."""
    allowed_origins: tuple[str, ...] = ("*",)
    """Origins whose pages may call the collector and the site stream."""
    public_url: str = ""
    """How browsers reach the collector (https://events.shop.example), if a proxy stands before it."""
    trust_browser_purchases: bool = False
    """Count purchases that come under the browser key. Anybody can invent them: only for shops without a server."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks (10.0.0.0/8) of the proxies that are believed when they say who calls."""
    proxy_header: Literal["X-Forwarded-For", "Forwarded"] = "X-Forwarded-For"
    """The header in which those proxies write the caller's address."""
    limit_address_requests_per_second: Rate = 200
    """Requests of one address (IPv6: of one /64); ten seconds' worth at once. This and the other limits count in each
    process, answer 429 with `Retry-After`, and are off when 0."""
    limit_key_events_per_second: Rate = 20_000
    """Events under one key; ten seconds' worth at once."""
    limit_customer_events_per_second: Rate = 200
    """Events of one customer or browser under the write key; ten seconds' worth at once."""
    limit_bad_keys_per_minute: Rate = 60
    """Requests of one address without a valid key; after that it is heard only with one."""
    limit_unknown_codes_per_minute: Rate = 600
    """Voucher codes nobody has, asked for by one address; after that no code is looked up for it."""
    limit_log_ins_per_minute: Rate = 10
    """Tries to log in at the desk, from one address and at one log-in name."""
    agents: str = "./agents.toml"
    """File of those who may log in at /desk (`rapport agents add`); where it is missing there is no desk."""
    desk_conversations: Annotated[int, msgspec.Meta(ge=1, le=100)] = 3
    """Conversations one agent leads at once; who has fewer is free."""
    desk_gates_prompts: bool = True
    """Where there is a desk: show chat prompts only while an agent is free. false: the shop answers elsewhere too."""
    video_url: str = ""
    """Where a random room's name is put behind when an agent offers a video call (https://meet.example/); "": they
    paste a link."""
    drop_crawlers: bool = True
    """Leave out what search engines, previews and other known crawlers do on pages: they are no customers."""
    schema_registry_url: str = ""
    """Register the schemas there at start and write effects with its ids."""
    outbox: str = ""
    """Folder `deliver` writes vouchers for e-mail and other channels to; "" for `outbox` inside `data`."""
    outbox_repeats: bool = True
    """Write a file again if it is not known whether it was written: its name is the same."""
    webhook_url: str = ""
    """Where `deliver` posts effects of `webhook_channels`, and what campaigns tell by `[do] kind = "webhook"`, signed
    (Standard Webhooks); "" for none."""
    webhook_secret: str = ""
    """Signs them: whsec_ and the base64 of 24 to 64 bytes, the same at the receiver. While it is being replaced: the
    new one, a space, the old one."""
    webhook_channels: tuple[str, ...] = ()
    """The channels (of tasks: the kinds) the webhook gets, for example ["email"]; the others go to the outbox."""
    webhook_allow_private: bool = False
    """Post also to an address of this machine or its network."""
    webhook_repeats: bool = True
    """Post again if no answer came: the receiver knows a repeat by its `webhook-id`. false: park it as uncertain."""
    email_host: str = ""
    """The SMTP server `deliver` hands vouchers and messages of the channel email to; "" for none."""
    email_port: Port = 587
    """Its port: 587 with starttls, 465 with tls."""
    email_tls: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted; none only for a server on this machine."""
    email_user: str = ""
    """Log in under this name; "" for no log-in."""
    email_password: str = ""
    """And with this password."""
    email_from: str = ""
    """Who mails are from: Example Shop <hello@shop.example>."""
    email_reply_to: str = ""
    """Where answers go, if not there."""
    email_tracks: bool = True
    """Openings and clicks come back as events, except of whoever objects to profiling."""
    email_repeats: bool = False
    """Send again if it is not known whether the server took it: the customer may get it twice, with one Message-ID.
    false: park it as uncertain."""
    push_key: str = ""
    """Signs Web Push (VAPID): what `rapport deliveries push-key` prints; "" for no push."""
    push_contact: str = ""
    """Whom push services may turn to: mailto:it@shop.example."""
    push_repeats: bool = True
    """Push again if it is not known whether the push service took it: a repeat takes the place of the first."""
    chatwoot_url: str = ""
    """Where Chatwoot is, if agents answer there (https://app.chatwoot.com): `deliver` brings what visitors write,
    `serve` hears the answers; "" for none."""
    chatwoot_inbox: str = ""
    """The identifier of its inbox of the kind API."""
    chatwoot_secret: str = ""
    """That inbox's webhook secret: what agents answer comes signed with it to `POST /v1/chat/chatwoot`. While it is
    being replaced: the new one, a space, the old one."""
    chatwoot_allow_private: bool = False
    """Chatwoot may be at an address of this machine or its network."""
    chatwoot_repeats: bool = False
    """Send a line again if no answer came: Chatwoot knows no repeats, agents may see it twice. false: park it as
    uncertain."""
    templates: str = "./templates"
    """Folder of the shop's own mail templates; what is not there is taken from those that come with Rapport."""
    links_url: str = ""
    """How customers reach the pages of `serve` from a mail: https://hello.shop.example."""
    shop_url: str = ""
    """Where mails lead: https://shop.example."""
    delivery_retry_hours: Annotated[int, msgspec.Meta(ge=1, le=480)] = 75
    """So long a delivery that fails is tried again, ever less often; then it is parked."""
    spool: str = ""
    """Folder in which the collector keeps what Kafka does not take now; "" for `spool` inside `data`. Each collector
    needs one of its own, on a disk that outlives its process. The embedded log needs none."""
    spool_limit_bytes: Annotated[int, msgspec.Meta(ge=1_000_000)] = 1_073_741_824
    """What the spool holds at most; beyond it senders are told to come again (503). On disk up to a tenth more."""
    spool_after_ms: Annotated[int, msgspec.Meta(ge=100, le=10_000)] = 2_000
    """How long Kafka may take to confirm before events go to the spool."""
    spool_drain_per_second: Annotated[int, msgspec.Meta(ge=1)] = 5_000
    """Events that leave the spool in a second, at most, when Kafka is back."""
    max_batch: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 5_000
    """Records a worker steps and commits at once, at most."""
    cached_subjects: Annotated[int, msgspec.Meta(ge=0)] = 50_000
    """Subjects a worker keeps in memory per partition, at most; fewer if `cache_mb` is less."""
    cache_mb: Annotated[int, msgspec.Meta(ge=1)] = 1_024
    """Megabytes that the subjects a worker keeps in memory may take, over all its partitions (estimated by their size
    in the store)."""
    heartbeat_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 10
    """How often a heartbeat runs through every partition, by which alerts see that the pipeline lives; 0: never."""
    kafka_security_protocol: str = ""
    """Passed to Kafka clients: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""
    kafka_sasl_mechanism: str = ""
    """Passed to Kafka clients: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512."""
    kafka_sasl_username: str = ""
    """Passed to Kafka clients."""
    kafka_sasl_password: str = ""
    """Passed to Kafka clients."""
    kafka_ssl_ca_location: str = ""
    """Passed to Kafka clients: file of the certificate authority."""
    kafka_ssl_certificate_location: str = ""
    """Passed to Kafka clients: file of the client certificate."""
    kafka_ssl_key_location: str = ""
    """Passed to Kafka clients: file of the client key."""
    kafka_ssl_key_password: str = ""
    """Passed to Kafka clients: what the client key is encrypted with."""
    redis_ssl_ca_location: str = ""
    """File of the certificate authority of a rediss:// store; "" for the system's own."""
    redis_ssl_certificate_location: str = ""
    """File of the client certificate for a rediss:// store that asks for one."""
    redis_ssl_key_location: str = ""
    """File of that certificate's key."""
    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_format: Literal["plain", "json"] = "plain"
    """Lines of the log: `plain` for a terminal, `json` for programs (docs/reference/logs.md)."""

    def kafka_options(self) -> dict[str, str]:
        """The `kafka_*` settings as librdkafka names them (`kafka_sasl_username` → `sasl.username`)."""
        names = [name for name in self.__struct_fields__ if name.startswith("kafka_")]
        return {n.removeprefix("kafka_").replace("_", "."): getattr(self, n) for n in names if getattr(self, n)}

    def redis_options(self) -> dict[str, str]:
        """The `redis_*` settings as redis-py names them."""
        named = {
            "ssl_ca_certs": self.redis_ssl_ca_location,
            "ssl_certfile": self.redis_ssl_certificate_location,
            "ssl_keyfile": self.redis_ssl_key_location,
        }
        return {name: value for name, value in named.items() if value}

    def keys(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The browser keys and the server keys that are valid, the current ones first."""
        browser = tuple(key for key in (self.write_key, self.previous_write_key) if key)
        return browser, tuple(key for key in (self.server_key, self.previous_server_key) if key)

    def outbox_folder(self) -> Path:
        """Where mailers take vouchers from."""
        return Path(self.outbox or Path(self.data) / "outbox")

    def stream_secret(self) -> bytes:
        """Signs site-stream tokens; derived, so that there is one secret less to keep."""
        return hmac.digest(self.identity_secret.encode(), b"site stream", hashlib.sha256)


NAMES = tuple(Settings.__struct_fields__)
_ELSEWHERE = {"RAPPORT_CONFIG"}
_ALIASES = {"SCHEMA_REGISTRY_URL": "schema_registry_url"}


def load(environment: Mapping[str, str], file: Path | None = None, **given: Any) -> Settings:
    """The settings of this process: defaults, then the file, then the environment, then what was `given` (None:
    not). `file` None takes RAPPORT_CONFIG, or `rapport.toml` here if there is one. Raises SettingsError."""
    values: dict[str, Any] = {}
    path = file or (Path(environment["RAPPORT_CONFIG"]) if environment.get("RAPPORT_CONFIG") else None)
    if path is not None or DEFAULT_FILE.is_file():
        values.update(_from_file(path or DEFAULT_FILE))
    values.update(_from_environment(environment))
    values.update({name: value for name, value in given.items() if value is not None})
    try:
        settings = msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as problem:
        raise SettingsError(
            f"settings: {str(problem).partition(' - at ')[2].strip('`$.')}: {_plain(problem)}"
        ) from problem
    _check(settings)
    return settings


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except OSError as problem:
        raise SettingsError(f"cannot read the settings file {path}: {problem.strerror}") from problem
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} is not TOML: {problem}") from problem
    for name, value in values.items():
        line = _line_of(text, name)
        if name not in NAMES:
            raise SettingsError(f"{path}:{line}: unknown setting `{name}`{did_you_mean(name)}")
        try:
            msgspec.convert({name: value}, Settings)
        except msgspec.ValidationError as problem:
            shown = "(secret)" if name in SECRETS else repr(value)
            raise SettingsError(f"{path}:{line}: {name} = {shown}: {_plain(problem)}") from problem
    return values


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, value in environment.items():
        if variable in _ELSEWHERE or not (variable.startswith("RAPPORT_") or variable in _ALIASES):
            continue
        name = _ALIASES.get(variable) or variable.removeprefix("RAPPORT_").lower()
        if name.endswith("_file") and name.removesuffix("_file") in SECRETS:
            name, value = name.removesuffix("_file"), _secret(variable, value)
        if name not in NAMES:
            raise SettingsError(f"unknown setting in the environment: {variable}{did_you_mean(name, 'RAPPORT_')}")
        values[name] = [part.strip() for part in value.split(",") if part.strip()] if name in LISTS else value
        try:
            msgspec.convert({name: values[name]}, Settings, strict=False)
        except msgspec.ValidationError as problem:
            shown = "(secret)" if name in SECRETS else repr(value)
            raise SettingsError(f"environment: {variable}={shown}: {_plain(problem)}") from problem
    return values


def _secret(variable: str, file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as problem:
        raise SettingsError(
            f"{variable} names the file {file}, which cannot be read: {problem.strerror}"
        ) from problem


def _check(settings: Settings) -> None:
    if bool(settings.log) != bool(settings.store):
        raise SettingsError(
            "`log` and `store` go together: set both RAPPORT_LOG=kafka://host:port and"
            " RAPPORT_STORE=redis://host:port, or neither for the embedded backend"
        )
    if settings.log and not settings.log.startswith("kafka://"):
        raise SettingsError(f"log = {settings.log!r}: expected kafka://host:port")
    if settings.store and not settings.store.startswith(("redis://", "rediss://")):
        raise SettingsError(f"store = {settings.store.split('@')[-1]!r}: expected redis://host:port or rediss://")
    if settings.redis_options() and not settings.store.startswith("rediss://"):
        raise SettingsError("redis_ssl_* are for a store behind TLS: set RAPPORT_STORE=rediss://host:port")
    if "{" in settings.prefix or "}" in settings.prefix:
        raise SettingsError(
            f"prefix = {settings.prefix!r}: braces would break the placement of keys in a Redis Cluster"
        )
    if settings.webhook_url and not settings.webhook_secret:
        raise SettingsError("webhook_url needs webhook_secret: what it gets is signed with it")
    if settings.email_host and not (settings.email_from and settings.links_url and settings.identity_secret):
        raise SettingsError(
            "email_host needs email_from, links_url and identity_secret, which seals the links in mails"
        )
    if settings.email_host and "email" in settings.webhook_channels:
        raise SettingsError("email goes to one destination: take it out of webhook_channels, or empty email_host")
    if settings.push_key and "push" in settings.webhook_channels:
        raise SettingsError("push goes to one destination: take it out of webhook_channels, or empty push_key")
    if settings.chatwoot_url and not (
        settings.chatwoot_inbox and settings.chatwoot_secret and settings.identity_secret
    ):
        raise SettingsError(
            "chatwoot_url needs chatwoot_inbox, chatwoot_secret and identity_secret, which names conversations there"
        )
    if settings.video_url and not settings.video_url.startswith("https://"):
        raise SettingsError(f"video_url = {settings.video_url!r}: expected https://…")
    browser, server = settings.keys()
    if set(browser) & set(server):
        raise SettingsError("the write key stands in every page: the server key must be another one")
    try:
        Proxies(settings.trusted_proxies)
    except ValueError as problem:
        raise SettingsError(f"trusted_proxies: {problem}") from problem
    if settings.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise SettingsError(f"log_level = {settings.log_level!r}: expected DEBUG, INFO, WARNING or ERROR")


def require(settings: Settings, *names: str) -> None:
    """Raises SettingsError unless all of these are set."""
    missing = [name for name in names if not getattr(settings, name)]
    if missing:
        variables = ", ".join(f"RAPPORT_{name.upper()}" for name in missing)
        raise SettingsError(f"{' and '.join(missing)} must be set: run `rapport init`, or set {variables}")


def did_you_mean(name: str, prefix: str = "") -> str:
    """` (did you mean …?)`, or the valid names if none is near."""
    near = difflib.get_close_matches(name, NAMES, n=1)
    valid = [f"{prefix}{known.upper()}" if prefix else known for known in (near or NAMES)]
    return f": did you mean `{valid[0]}`?" if near else f"; valid are {', '.join(valid)}"


def _line_of(text: str, name: str) -> int:
    for number, line in enumerate(text.splitlines(), 1):
        if line.split("=")[0].strip().strip("\"'[]") == name:
            return number
    return 1


_PLAIN = {"`int`": "a whole number", "`str`": "text in quotes", "`bool`": "true or false", "`array`": "a list"}


def _plain(problem: msgspec.ValidationError) -> str:
    """What msgspec says, without its names of types and without what was found, which stands beside it."""
    said = str(problem).split(" - at ")[0].split(", got")[0]
    for name, plain in _PLAIN.items():
        said = said.replace(name, plain)
    return said[:1].lower() + said[1:]
