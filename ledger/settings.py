"""The settings: read from `config.json` and the environment, which wins, and validated."""

import contextlib
import errno
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ledger.money import Currency
from ledger.prices import overrides

ROOT = Path(__file__).parents[1]
PREFIX = "LEDGER_"
# Names with our prefix that are not settings: the settings file, and the parent process.
RESERVED = {"LEDGER_CONFIG", "LEDGER_PARENT_PID"}
KEY_VARIABLE = "CLIPROXY_MANAGEMENT_KEY"
# Users of the original script have these three in their environment.
PROXY_VARIABLES = {
    "CLIPROXY_HOST": "cliproxy_host",
    "CLIPROXY_PORT": "cliproxy_port",
    KEY_VARIABLE: "management_key",
}
SECRETS = ("management_key", "dashboard_password_hash", "client_aliases", "alert_urls")
MASK = "…"
LONGEST_NAME = 60

Text = Annotated[str, Meta(min_length=1)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0.1, le=86400)]

# Each alert rule with its default threshold; None is a rule without one.
ALERT_RULES: dict[str, float | None] = {
    "quota_low": 10,
    "runs_out": 30,
    "reset": 10,
    "needs_login": None,
    "collector": 120,
    "gap": 300,
    "lost": 10,
    "queue_shared": None,
    "failures": 50,
    "failed_attempts": 10,
    "unpriced": 1,
    "quota_worker": 300,
    "budget_near": 80,
    "budget_spent": 100,
    "provider_down": 50,
    "statistics_off": None,
}
# A second threshold of the rule before it: it cannot be switched off alone.
SECOND_THRESHOLDS = {"failed_attempts"}
PERIODS = ("day", "week", "month")


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of the setting `budgets`, for a client or an account by its label, or for all."""

    per: str
    tokens: float = 0
    dollars: float = 0
    client: str = ""
    account: str = ""
    name: str = ""

    @property
    def title(self) -> str:
        """The budget's name, or a description of a budget without one."""
        unit = "tokens" if self.tokens else "dollars"
        subject = self.client or self.account or "all"
        return self.name or f"{subject}, {unit} a {self.per}"


class Aliases(NamedTuple):
    """Names by the labels that they replace; a client may be named by its whole key."""

    accounts: dict[str, str]
    clients: dict[str, str]


class AlertRule(NamedTuple):
    """An alert rule as the ledger stores it."""

    rule: str
    enabled: bool
    threshold: float | None


class ListedProxy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of the setting `proxies`, with its key or the name of the key's variable."""

    name: Text
    address: Text
    management_key: str = ""
    management_key_variable: str = ""
    auth_dir: str = ""

    def __repr__(self) -> str:
        """Return the entry as text, with the key masked."""
        return masked_repr(self, ["management_key"])


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy as workers use it.

    `host` may have a scheme. `key` is empty when it is not set. Without `auth_folder` no
    credential files are read.
    """

    name: str
    host: str
    port: int
    key: str
    auth_folder: Path | None

    def __repr__(self) -> str:
        """Return the proxy as text, with the key masked."""
        return masked_repr(self, ["key"])

    @property
    def url(self) -> str:
        """The base URL of its HTTP API."""
        return base_url(self.host, self.port)

    @property
    def address(self) -> str:
        """The base URL without its scheme, by which the ledger recognises a renamed proxy."""
        return self.url.partition("://")[2]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every setting with its default; `config.json` and the environment use these names.

    The text below a setting is its description, from which `make docs` writes docs/settings.md.
    """

    cliproxy_host: Text = "127.0.0.1"
    """The proxy's host: a name, an address, or a URL for a proxy behind TLS.
    Example: `https://proxy.example.com`"""
    cliproxy_port: Port = 8317
    """The proxy's port. Example: `8317`"""
    management_key: str = ""
    """The proxy's `remote-management.secret-key`, in clear, not the hash that the proxy writes.
    Example: `a long random text`"""
    poll_interval_seconds: Seconds = 1.0
    """How long the collector waits after the queue was empty. Example: `5`"""
    quota_refresh_seconds: Annotated[int, Meta(ge=60)] = 300
    """How often the quota of an account is requested. Example: `900`"""
    dashboard_host: Text = "127.0.0.1"
    """The address that the dashboard listens on; an address other machines can reach requires a
    password. Example: `192.168.1.5`"""
    dashboard_port: Port = 8320
    """The dashboard's port. Example: `8321`"""
    query_seconds: Annotated[float, Meta(ge=1, le=60)] = 3.0
    """How long one query of the dashboard may take; a slow machine may need more.
    Example: `10`"""
    data_dir: Text = "data"
    """The folder of `ledger.db`, in the checkout unless absolute; never inside `auth_dir`.
    Example: `~/.local/share/cliproxy-ledger`"""
    auth_dir: Text = "~/.cli-proxy-api"
    """The proxy's folder of credential files; read only as `quota_source` says, never written.
    Example: `~/.cli-proxy-api`"""
    timezone: str = ""
    """The IANA name of the time zone of local days and hours; empty is that of the machine.
    Example: `Asia/Shanghai`"""
    batch_size: Annotated[int, Meta(ge=1, le=5000)] = 1000
    """The largest number of events in one pop and one transaction. A pop takes up to 500, and more
    only while the queue is behind. Example: `500`"""
    usage_source: Literal["auto", "resp", "http"] = "auto"
    """How events are popped: by RESP, by HTTP, or by the one that the proxy offers.
    Example: `http`"""
    prices: overrides.Prices = {}
    """Your own prices, which win over the price list: models, each with dollars for a million
    tokens, or with a factor on the list price; see docs/costs.md.
    Example: `{"mock-*": {"input": 1.25, "cache_read": 0.125, "output": 10}}`"""
    price_lists: dict[str, str] = {}
    """Whose price list holds for a provider or relay whose name does not tell, such as `openrouter`
    or `zhipuai`; see docs/costs.md. Example: `{"my-relay": "openrouter"}`"""
    cache_lifetimes: dict[str, Literal["5m", "1h"]] = {}
    """How long cache writes of Claude live, by client, `*` for all others; where nothing is set,
    an hour with the login of a subscription and five minutes with an API key.
    Example: `{"*": "5m", "laptop": "1h"}`"""
    price_updates: Literal["on", "off"] = "off"
    """Whether the collector fetches the newest price list once a day, from the repository of
    genai-prices. Example: `on`"""
    price_updates_url: str = ""
    """Where the price list is fetched; empty is the repository of genai-prices.
    Example: `https://prices.example.com/data.json`"""
    currency: str = "USD"
    """The currency in which the page, reports and the status line show costs, by its ISO code;
    JSON, CSV and budgets stay in dollars. Example: `EUR`"""
    currency_rate: Annotated[float, Meta(gt=0, le=1e7)] = 1.0
    """How much of `currency` a dollar is; the rate is yours, none is fetched. Example: `0.92`"""
    quota_calls_per_minute: Annotated[int, Meta(ge=1, le=600)] = 20
    """How many calls a minute the quota worker makes to all providers together, at most. A pool of
    500 accounts takes 25 minutes a round. Example: `10`"""
    quota_source: Literal["auto", "files", "management", "off"] = "auto"
    """How quotas are requested: `files` uses the credentials in `auth_dir`, `management` sends the
    requests through the proxy, which adds its own tokens, `off` sends none; `auto` uses the proxy
    where the management key works, else the files. Example: `management`"""
    provider_urls: dict[str, str] = {}
    """Replacements for the providers' URLs, on this machine, for the demo and tests.
    Example: `{"codex": "http://127.0.0.1:9000"}`"""
    dashboard_password_hash: str = ""
    """The output of `.venv/bin/datasette hash-password`; the user name is `ledger`.
    Example: `pbkdf2_sha256$480000$…`"""
    keep_events_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    """After how many days raw events are deleted: 0 for never, else at least 7, in whole weeks.
    Sums are kept for ever. Example: `365`"""
    subscription_price: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    """The price of your subscriptions for a month, in dollars, which the monthly report shares
    among clients; 0 shares nothing. Example: `200`"""
    metrics_accounts: Literal["on", "off"] = "on"
    """Whether `/metrics` shows the quota left of each account, labelled with the account's name.
    Example: `off`"""
    account_aliases: dict[str, str] = {}
    """Your own names for accounts, each by its label or by provider:label.
    Example: `{"ann@example.com": "Ann", "claude:ann@example.com": "Ann, private"}`"""
    client_aliases: dict[str, str] = {}
    """Your own names for client keys, each by its label, or by the whole key, which is not stored.
    Example: `{"…3f7a": "laptop"}`"""
    proxies: list[ListedProxy] = []
    """Several proxies, or one with a name: the whole list, in place of `cliproxy_host`,
    `cliproxy_port` and `management_key`; see docs/proxies.md.
    Example: `[{"name": "home", "address": "10.0.0.2:8317", "management_key_variable": "HOME_KEY"}]`
    """

    language: Literal["en", "zh"] = "en"
    """The language of messages, the status line and the query pages: `en` or `zh`. The dashboard
    follows the browser. Example: `zh`"""
    alert_urls: list[str] = []
    """Where alerts are sent: apprise URLs, which contain their own passwords; see docs/alerts.md.
    Example: `["ntfy://my-topic", "tgram://123456:token/987654"]`"""
    alert_rules: dict[str, float | bool] = {}
    """Changes to the alert rules: a number replaces a rule's threshold, false switches it off.
    Example: `{"quota_low": 20, "unpriced": false}`"""
    quiet_hours: str = ""
    """The hours, in local time, in which only severe alerts are sent. Example: `23:00-07:00`"""
    budgets: list[Budget] = []
    """Limits of use for a client, an account or all, in a day, a week or a month.
    Example: `[{"dollars": 200, "per": "month"}, {"client": "ci", "tokens": 5e6, "per": "day"}]`"""
    alert_check_seconds: Seconds = 15.0
    """How often the alert rules are checked. Example: `60`"""

    def __repr__(self) -> str:
        """Return every setting as text, with secrets masked."""
        return masked_repr(self, SECRETS)

    @property
    def money(self) -> Currency:
        """The currency in which costs are shown to people."""
        return Currency(self.currency, self.currency_rate)

    @property
    def data_folder(self) -> Path:
        """The folder that holds the ledger."""
        return resolve_folder(self.data_dir)

    @property
    def auth_folder(self) -> Path:
        """The proxy's folder of credential files."""
        return resolve_folder(self.auth_dir)

    @property
    def pool(self) -> list[Proxy]:
        """The proxies of the list, else the one of the single settings, named by its address."""
        if self.proxies:
            return [listed_proxy(entry) for entry in self.proxies]
        host, port = self.cliproxy_host, self.cliproxy_port
        name = base_url(host, port).partition("://")[2]
        key, auth_folder = self.management_key, self.auth_folder
        return [Proxy(name=name, host=host, port=port, key=key, auth_folder=auth_folder)]

    @property
    def auth_folders(self) -> list[Path]:
        """Every folder of credential files that the settings name."""
        return [self.auth_folder, *filter(None, (proxy.auth_folder for proxy in self.pool))]

    @property
    def aliases(self) -> Aliases:
        """The user's own names for accounts and client keys."""
        return Aliases(self.account_aliases, self.client_aliases)

    @property
    def zone_name(self) -> str:
        """The IANA name of the time zone of local days and hours.

        Raises `SystemExit` with a sentence when that of the machine does not exist.
        """
        return self.timezone or machine_zone_name()


def masked_repr(struct: msgspec.Struct, secrets: Iterable[str]) -> str:
    """Return a struct as text, with its secrets masked."""
    fields = msgspec.structs.asdict(struct)
    fields |= {name: MASK for name in secrets if fields[name]}
    arguments = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return f"{type(struct).__name__}({arguments})"


def resolve_folder(text: str) -> Path:
    """Return the absolute path of a folder, relative to the checkout when not absolute."""
    return (ROOT / Path(text).expanduser()).absolute()


def machine_zone_name() -> str:
    """Return the IANA name of the machine's time zone.

    Raises `SystemExit` with a sentence when there is no such zone.
    """
    import tzlocal  # Slow to load, and commands that only read do without.

    # tzlocal raises an error where the machine's settings contradict each other.
    with contextlib.suppress(KeyError, ValueError, OSError):
        name = tzlocal.get_localzone_name() or "UTC"
        if is_zone(name):
            return name
    raise SystemExit(
        "The setting timezone is empty, and the time zone of this machine is unknown: "
        "set timezone to an IANA name such as Europe/Berlin."
    )


# A host name, an IPv4 address or an IPv6 address.
HOST = re.compile(r"[\w.-]+|[0-9a-fA-F.]*(?::[0-9a-fA-F.]*){2,}")
# An IPv6 address is written in brackets, as in a URL.
HOST_AND_PORT = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]/]+)):(?P<port>\d{1,5})")
DEFAULT_PORTS = {"http": 80, "https": 443}


def base_url(host: str, port: int) -> str:
    """Return the proxy's base URL; a host with a scheme may contain its own port."""
    if "://" not in host:
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    url = urlsplit(host)
    with_port = url.netloc if url.port else f"{url.netloc}:{port}"
    return f"{url.scheme}://{with_port}{url.path.rstrip('/')}"


def listed_proxy(entry: ListedProxy) -> Proxy:
    """Return the proxy of one entry of the list, with the key from its variable."""
    host, port = split_address(entry.address)
    return Proxy(
        name=entry.name,
        host=host,
        port=port,
        key=entry.management_key or os.environ.get(entry.management_key_variable, ""),
        auth_folder=resolve_folder(entry.auth_dir) if entry.auth_dir else None,
    )


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of a well-formed address; a URL's default port is its scheme's."""
    if match := HOST_AND_PORT.fullmatch(text):
        return match["six"] or match["host"], int(match["port"])
    url = urlsplit(text)
    return text, url.port or DEFAULT_PORTS[url.scheme]


def require_key(settings: Settings) -> None:
    """Raise `SystemExit` with a sentence when a proxy has no management key."""
    keyless = next((proxy for proxy in settings.pool if not proxy.key), None)
    if keyless is None:
        return
    if settings.proxies:
        raise SystemExit(
            f"No management key for the proxy {keyless.name}: the variable that its "
            "management_key_variable names is not set."
        )
    raise SystemExit(
        f"No management key: set management_key in {config_path()} (or the variable "
        f"{KEY_VARIABLE}) to the proxy's remote-management.secret-key. "
        "`make demo` needs no key and no proxy."
    )


def config_path() -> Path:
    """Return the path of `config.json`: `LEDGER_CONFIG`, else in the checkout."""
    return Path(os.environ.get("LEDGER_CONFIG") or ROOT / "config.json").expanduser().absolute()


def load() -> Settings:
    """Read and validate the settings; create `config.json` or restrict it to its owner.

    Raises `SystemExit` with one sentence that names each setting that is unknown or malformed.
    """
    restrict_file(config_path())
    return read()


def read() -> Settings:
    """Read and validate the settings without writing anything; raises `SystemExit` as `load`."""
    file = config_path()
    from_file, from_environment = read_file(file), read_environment()
    refuse_unknown(from_file, f"in {file}")
    refuse_unknown(from_environment, "in the environment, with the prefix LEDGER_")
    settings = convert(from_file, strict=True, place=f"in {file}")
    merged = {**msgspec.to_builtins(settings), **decode_json(from_environment)}
    settings = convert(merged, strict=False, place="in the environment")
    validate(settings)
    return settings


# The dashboard reads changes of the file while it runs.
last_valid = Settings()


def read_live() -> Settings:
    """Return the current settings, or the last valid ones while the file is malformed."""
    global last_valid
    with contextlib.suppress(SystemExit):
        last_valid = read()
    return last_valid


def restrict_file(file: Path) -> None:
    """Create the settings file with mode 600, or set that mode.

    Raises `SystemExit` with a sentence when neither is possible.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(file, os.O_CREAT | os.O_RDWR, 0o600), "r+b") as opened:
            os.fchmod(opened.fileno(), 0o600)
            if not opened.read(1):
                opened.write(b'{\n  "management_key": ""\n}\n')
    except OSError as error:
        # A container may have the file mounted read-only; its owner outside keeps it private.
        if os.access(file, os.R_OK) and (error.errno == errno.EROFS or not is_own(file)):
            return
        raise SystemExit(f"{file} cannot be used as settings file: {error.strerror}.") from error


def is_own(file: Path) -> bool:
    """Return whether a file belongs to the user of this process."""
    return file.stat().st_uid == os.getuid()


def read_file(file: Path) -> dict[str, Any]:
    """Return the content of the settings file; a missing one is empty.

    Raises `SystemExit` with a sentence when it is not a JSON object or cannot be read.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SystemExit(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SystemExit(f"{file} is not valid JSON.") from error
    if not isinstance(content, dict):
        raise SystemExit(f"{file} must hold a JSON object.")
    return content


def read_environment() -> dict[str, str]:
    """Return the settings of the environment, as text."""
    prefixed = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(PREFIX) and name not in RESERVED
    }
    named = {setting: os.environ.get(name, "") for name, setting in PROXY_VARIABLES.items()}
    # An unset variable becomes an empty one in a unit or compose file.
    return {name: value for values in (prefixed, named) for name, value in values.items() if value}


def refuse_unknown(raw: Mapping[str, Any], place: str) -> None:
    """Raise `SystemExit` for names that are not settings."""
    unknown = sorted(set(raw) - set(Settings.__struct_fields__))
    if unknown:
        raise SystemExit(f"Unknown setting {', '.join(unknown)} {place}.")


def decode_json(raw: Mapping[str, str]) -> dict[str, Any]:
    """Decode the mappings and lists among the environment's settings, which are JSON there."""
    decoded: dict[str, Any] = dict(raw)
    for name in raw:
        if isinstance(getattr(Settings(), name), dict | list):
            with contextlib.suppress(ValueError):
                decoded[name] = json.loads(raw[name])
    return decoded


# The setting in an error's path: for a list with the entry's number and field.
PATH = re.compile(r"\w*(?:\[\d+\](?:\.\w+)?)?")


def convert(raw: dict[str, Any], *, strict: bool, place: str) -> Settings:
    """Check types and ranges; the sentence names the setting, never its value."""
    try:
        return msgspec.convert(raw, Settings, strict=strict)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        match = PATH.match(path)
        name = match[0] if match else ""
        if reason.startswith("Invalid enum value"):
            reason = f"it must be {' or '.join(get_args(Settings.__annotations__[name]))}"
        raise SystemExit(f"The setting {name} {place} is malformed: {reason}.") from None


class Requirement(NamedTuple):
    """Whether a setting's value is valid; `rule` completes "it must"."""

    setting: str
    is_met: bool
    rule: str


def validate(settings: Settings) -> None:
    """Raise `SystemExit` for values of the right type that are invalid."""
    for requirement in requirements(settings):
        if not requirement.is_met:
            raise SystemExit(
                f"The setting {requirement.setting} is malformed: it must {requirement.rule}."
            )
    refuse_two_keys(settings)


def requirements(settings: Settings) -> Iterator[Requirement]:
    """Return every requirement; each relies on those before it."""
    proxy, dashboard = settings.cliproxy_host, settings.dashboard_host
    yield Requirement(
        "cliproxy_host", is_host_or_url(proxy), "be a host name or address, or an http(s):// URL"
    )
    yield Requirement(
        "dashboard_host", bool(HOST.fullmatch(dashboard)), "be a host name or address"
    )
    # Tokens are sent there.
    are_local = all(map(is_local_url, settings.provider_urls.values()))
    yield Requirement("provider_urls", are_local, "hold URLs such as http://127.0.0.1:9000")
    is_known = not settings.timezone or is_zone(settings.timezone)
    yield Requirement("timezone", is_known, "be an IANA name such as Europe/Berlin")
    for name in ("account_aliases", "client_aliases"):
        yield Requirement(name, are_aliases(getattr(settings, name)), ALIAS_RULE)
    days = settings.keep_events_days
    yield Requirement(
        "keep_events_days", days == 0 or days >= 7, "be 0, to keep all, or at least 7"
    )
    for name in ("auth_dir", "data_dir"):
        yield Requirement(name, is_path(getattr(settings, name)), "be a path")
    yield from proxy_requirements(settings.proxies)
    for problem in overrides.problems(settings.prices):
        yield Requirement("prices", False, f"be usable: {problem}")
    url = settings.price_updates_url
    yield Requirement("price_updates_url", not url or is_host_or_url(url), "be an http(s):// URL")
    is_code = bool(CURRENCY.fullmatch(settings.currency))
    yield Requirement("currency", is_code, "be an ISO code of three capital letters, such as EUR")
    # One dollar is never exactly one unit of another currency.
    is_rated = (settings.currency == "USD") == (settings.currency_rate == 1)
    rule = "be how much of `currency` a dollar is, and 1 for USD"
    yield Requirement("currency_rate", is_rated, rule)
    yield from alert_requirements(settings)
    yield from budget_requirements(settings.budgets)
    data, auth = settings.data_folder.resolve(), settings.auth_folders
    # The proxy scans its folder for JSON files and would take ours for credentials.
    is_apart = not any(data.is_relative_to(folder.resolve()) for folder in auth)
    yield Requirement("data_dir", is_apart, "not lie inside a proxy's auth_dir")


CURRENCY = re.compile(r"[A-Z]{3}")


def is_host_or_url(text: str) -> bool:
    """Return whether a text is a host, or a URL, perhaps with port and path, but no password."""
    if "://" not in text:
        return bool(HOST.fullmatch(text))
    try:
        url = urlsplit(text)
        is_web = url.scheme in ("http", "https") and url.port != 0 and "@" not in url.netloc
    except ValueError:
        return False
    return is_web and bool(HOST.fullmatch(url.hostname or ""))


def is_local_url(text: str) -> bool:
    """Return whether a text is a URL of this machine."""
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost", "::1")


def is_path(text: str) -> bool:
    """Return whether a text can be the path of a folder."""
    try:
        return bool(resolve_folder(text).resolve())
    except (RuntimeError, ValueError, OSError):
        return False


def is_zone(name: str) -> bool:
    """Return whether a time zone exists."""
    from zoneinfo import ZoneInfo  # Slow to load, and not needed when no zone is set.

    try:
        return bool(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        return False


ALIAS_RULE = f"give names of 1 to {LONGEST_NAME} printable characters, each to a label or a key"


def are_aliases(names: Mapping[str, str]) -> bool:
    """Return whether every alias is a name, and every label is not empty."""
    return all(label.strip() and is_name(alias) for label, alias in names.items())


def is_name(text: str) -> bool:
    """Return whether a text can be shown as a name."""
    return 0 < len(text) <= LONGEST_NAME and text.isprintable() and text == text.strip()


def are_distinct(texts: Iterable[str]) -> bool:
    """Return whether no text occurs twice."""
    every = list(texts)
    return len(set(every)) == len(every)


NAME_RULE = f"be a name of at most {LONGEST_NAME} printable characters"
ADDRESS_RULE = "be an address such as 127.0.0.1:8317 or https://proxy.example.com"
KEY_RULE = "have either a management_key or a management_key_variable"
VARIABLE_RULE = "be the name of an environment variable"
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def proxy_requirements(entries: Sequence[ListedProxy]) -> Iterator[Requirement]:
    """Return the requirements of the list of proxies."""
    for number, entry in enumerate(entries):
        setting = f"proxies[{number}]"
        yield Requirement(f"{setting}.name", is_name(entry.name), NAME_RULE)
        yield Requirement(f"{setting}.address", is_address(entry.address), ADDRESS_RULE)
        key, variable = entry.management_key, entry.management_key_variable
        yield Requirement(setting, bool(key) != bool(variable), KEY_RULE)
        is_variable = not variable or bool(VARIABLE.fullmatch(variable))
        yield Requirement(f"{setting}.management_key_variable", is_variable, VARIABLE_RULE)
        is_folder = not entry.auth_dir or is_path(entry.auth_dir)
        yield Requirement(f"{setting}.auth_dir", is_folder, "be a path")
    names = (entry.name for entry in entries)
    yield Requirement("proxies", are_distinct(names), "give each proxy a name of its own")
    addresses = (listed_proxy(entry).address.casefold() for entry in entries)
    yield Requirement("proxies", are_distinct(addresses), "name each address only once")


def is_address(text: str) -> bool:
    """Return whether a text is the address of a proxy of the list: host:port, or a URL."""
    if "://" in text:
        return is_host_or_url(text)
    match = HOST_AND_PORT.fullmatch(text)
    if match is None:
        return False
    host, port = match["six"] or match["host"], int(match["port"])
    return bool(HOST.fullmatch(host)) and 1 <= port <= 65535


def refuse_two_keys(settings: Settings) -> None:
    """Raise `SystemExit` when the single proxy's key is set and the list of proxies has none."""
    variables = [entry.management_key_variable for entry in settings.proxies]
    if settings.proxies and settings.management_key and KEY_VARIABLE not in variables:
        raise SystemExit(
            "Both management_key and proxies are set: proxies is the whole list, so give the proxy "
            "of management_key an entry there, with its key, and take management_key out."
        )


SCHEME = r"[A-Za-z][A-Za-z0-9+.-]*://"
# One address each: with two in one, a retry for the second would send to the first again.
ALERT_URL = re.compile(rf"{SCHEME}(?!\S*,{SCHEME})\S*")
HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def effective_rules(changes: Mapping[str, float | bool]) -> list[AlertRule]:
    """Return every alert rule: a number replaces the threshold, false switches the rule off."""
    return [effective_rule(name, changes.get(name, True)) for name in ALERT_RULES]


def effective_rule(name: str, change: float | bool) -> AlertRule:
    """Return one alert rule with the user's change, of which true means the default."""
    threshold = ALERT_RULES[name] if isinstance(change, bool) else change
    return AlertRule(name, change is not False, threshold)


def alert_requirements(settings: Settings) -> Iterator[Requirement]:
    """Return the requirements of the alert settings."""
    are_urls = all(map(ALERT_URL.fullmatch, settings.alert_urls))
    yield Requirement("alert_urls", are_urls, "hold addresses of apprise such as ntfy://my-topic")
    are_rules = settings.alert_rules.keys() <= ALERT_RULES.keys()
    yield Requirement("alert_rules", are_rules, f"name rules among {', '.join(ALERT_RULES)}")
    for name, change in settings.alert_rules.items():
        yield Requirement(f"alert_rules.{name}", accepts(name, change), accepted_values(name))
    hours = settings.quiet_hours
    are_hours = not hours or (bool(HOURS.fullmatch(hours)) and hours[:5] != hours[6:])
    yield Requirement("quiet_hours", are_hours, "be empty or two times such as 23:00-07:00")


def accepts(rule: str, change: float | bool) -> bool:
    """Return whether an alert rule accepts a change."""
    if isinstance(change, bool):
        return change or rule not in SECOND_THRESHOLDS
    return ALERT_RULES[rule] is not None and 0 < change < inf


def accepted_values(rule: str) -> str:
    """Return which changes an alert rule accepts, to follow "it must"."""
    if rule in SECOND_THRESHOLDS:
        return "be a number above 0"
    return "be true or false" if ALERT_RULES[rule] is None else "be a number above 0, or false"


def budget_requirements(budgets: Sequence[Budget]) -> Iterator[Requirement]:
    """Return the requirements of the budgets."""
    for number, budget in enumerate(budgets):
        setting = f"budgets[{number}]"
        rule = f"be {', '.join(PERIODS[:-1])} or {PERIODS[-1]}"
        yield Requirement(f"{setting}.per", budget.per in PERIODS, rule)
        less, more = sorted((budget.tokens, budget.dollars))
        rule = "have either tokens or dollars, above 0"
        yield Requirement(setting, less == 0 < more < inf, rule)
        is_one = not (budget.client and budget.account)
        yield Requirement(setting, is_one, "name a client or an account, not both")
        texts = (budget.name, budget.client, budget.account)
        are_short = all(text.isprintable() and len(text) <= LONGEST_NAME for text in texts)
        rule = f"have names of at most {LONGEST_NAME} printable characters"
        yield Requirement(setting, are_short, rule)
    titles = (budget.title for budget in budgets)
    yield Requirement("budgets", are_distinct(titles), "give two like budgets names that differ")
