"""The settings: one class, filled from `config.json` and the environment, which wins."""

import contextlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import tzlocal
from msgspec import Meta

from ledger import config
from ledger.aliases import Aliases
from ledger.own_prices import Price
from runtime.alert_rules import Budget
from runtime.pool import MASK, Listed, Proxy, Text, listed, single
from runtime.setting_rules import refuse_impossible

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0.1, le=86400)]
# In a list, the entry and its field are named too.
NAMED = re.compile(r"\w*(?:\[\d+\](?:\.\w+)?)?")
SECRETS = ("management_key", "dashboard_password_hash", "client_aliases", "alert_urls")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every setting with its default; `config.json` and the environment use these names.

    What stands below a setting is its meaning, from which `make docs` writes docs/settings.md.
    """

    cliproxy_host: Text = "127.0.0.1"
    """Where the proxy is: a host name, an address, or a URL for one behind TLS.
    Example: `https://proxy.example.com`"""
    cliproxy_port: Port = 8317
    """The proxy's port. Example: `8317`"""
    management_key: str = ""
    """The proxy's `remote-management.secret-key`, in clear as its owner wrote it.
    Example: `a long random text`"""
    poll_interval_seconds: Seconds = 1.0
    """Rest after the queue was empty. Example: `5`"""
    quota_refresh_seconds: Annotated[int, Meta(ge=60)] = 300
    """How often an account's quota is asked for. Example: `900`"""
    dashboard_host: Text = "127.0.0.1"
    """Where the dashboard listens; beyond this machine it demands a password.
    Example: `192.168.1.5`"""
    dashboard_port: Port = 8320
    """The dashboard's port. Example: `8321`"""
    data_dir: Text = "data"
    """The folder of `ledger.db`, in the checkout unless absolute; never inside `auth_dir`.
    Example: `~/.local/share/cliproxy-ledger`"""
    auth_dir: Text = "~/.cli-proxy-api"
    """The proxy's folder of credential files; read where `quota_source` says so, never written.
    Example: `~/.cli-proxy-api`"""
    timezone: str = ""
    """IANA name of the zone for local days and hours; empty is the machine's.
    Example: `Asia/Shanghai`"""
    batch_size: Annotated[int, Meta(ge=1, le=5000)] = 500
    """Most events in one pop and one transaction. Example: `1000`"""
    usage_source: Literal["auto", "resp", "http"] = "auto"
    """How events are popped: by RESP, by HTTP, or by whichever the proxy serves. Example: `http`"""
    prices: dict[str, Price] = {}
    """Your own prices, before the list's: patterns of model names, dollars for a million tokens.
    Example: `{"mock-*": {"input": 1.25, "cache_read": 0.125, "output": 10}}`"""
    quota_source: Literal["auto", "files", "management", "off"] = "auto"
    """Who asks for quotas: `files` reads the credentials in `auth_dir`, `management` lets the proxy
    ask with its own tokens, `off` asks nobody; `auto` is the proxy where the key works, else files.
    Example: `management`"""
    provider_urls: dict[str, str] = {}
    """Stand-ins for the providers on this machine, for the demo and tests.
    Example: `{"codex": "http://127.0.0.1:9000"}`"""
    dashboard_password_hash: str = ""
    """What `.venv/bin/datasette hash-password` prints; the user name is `ledger`.
    Example: `pbkdf2_sha256$480000$…`"""
    keep_events_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    """After how many days raw events are deleted: 0 for never, else at least 7, in whole weeks.
    Sums stay for ever. Example: `365`"""
    subscription_price: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    """What your subscriptions cost in a month, in dollars, for the report of a month to share among
    clients; 0 shares nothing. Example: `200`"""
    metrics_accounts: Literal["on", "off"] = "on"
    """Whether `/metrics` tells what is left of each account's quota, by the account's name.
    Example: `off`"""
    account_aliases: dict[str, str] = {}
    """Your own names for accounts, each by its label or by provider:label.
    Example: `{"ann@example.com": "Ann", "claude:ann@example.com": "Ann, private"}`"""
    client_aliases: dict[str, str] = {}
    """Your own names for client keys, each by its label, or by the whole key, which stays in here.
    Example: `{"…3f7a": "laptop"}`"""
    proxies: list[Listed] = []
    """Several proxies, or one with a name: the whole list, in place of `cliproxy_host`,
    `cliproxy_port` and `management_key`; see docs/proxies.md.
    Example: `[{"name": "home", "address": "10.0.0.2:8317", "management_key_variable": "HOME_KEY"}]`
    """

    alert_urls: list[str] = []
    """Where alerts are sent: addresses of apprise, which bring their own passwords; see
    docs/alerts.md. Example: `["ntfy://my-topic", "tgram://123456:token/987654"]`"""
    alert_rules: dict[str, float | bool] = {}
    """What is worth an alert, over the defaults: a number in place of a rule's own, or false.
    Example: `{"quota_low": 20, "unpriced": false}`"""
    quiet_hours: str = ""
    """From when to when, in local time, only what is severe is sent. Example: `23:00-07:00`"""
    budgets: list[Budget] = []
    """What may be used, by a client, an account or all, in a day, a week or a month.
    Example: `[{"dollars": 200, "per": "month"}, {"client": "ci", "tokens": 5e6, "per": "day"}]`"""
    alert_check_seconds: Seconds = 15.0
    """How often it is looked whether something is worth an alert. Example: `60`"""

    def __repr__(self) -> str:
        """Show every setting, the key masked."""
        shown = msgspec.structs.asdict(self)
        shown |= {name: MASK for name in SECRETS if shown[name]}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def data_folder(self) -> Path:
        """The folder that holds the ledger."""
        return config.folder(self.data_dir)

    @property
    def auth_folder(self) -> Path:
        """The proxy's folder of credential files."""
        return config.folder(self.auth_dir)

    @property
    def pool(self) -> list[Proxy]:
        """The proxies: those of the list, else the one of the single settings."""
        if self.proxies:
            return listed(self.proxies)
        at = (self.cliproxy_host, self.cliproxy_port)
        return [single(*at, self.management_key, self.auth_folder)]

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
        """The IANA name of the time zone that days and hours are shown in."""
        return self.timezone or tzlocal.get_localzone_name() or "UTC"


def load() -> Settings:
    """Read, check and return the settings; create `config.json` or make it private.

    Raises `SystemExit` with one sentence naming each setting that is unknown or malformed.
    """
    file = config.path()
    config.keep_private(file)
    from_file, from_environment = config.from_file(file), config.from_environment()
    name_unknown(from_file, f"in {file}")
    name_unknown(from_environment, "in the environment, with the prefix LEDGER_")
    settings = converted(from_file, strict=True, where=f"in {file}")
    merged = {**msgspec.to_builtins(settings), **opened(from_environment)}
    settings = converted(merged, strict=False, where="in the environment")
    refuse_impossible(settings)
    return settings


def name_unknown(found: dict[str, Any], where: str) -> None:
    """Refuse names that are not settings."""
    unknown = sorted(set(found) - set(Settings.__struct_fields__))
    if unknown:
        raise SystemExit(f"Unknown setting {', '.join(unknown)} {where}.")


def opened(found: dict[str, Any]) -> dict[str, Any]:
    """Read the mappings and lists among the environment's settings, which are JSON there."""
    nested = [name for name in found if isinstance(getattr(Settings(), name), dict | list)]
    for name in nested:
        with contextlib.suppress(ValueError):
            found = {**found, name: json.loads(found[name])}
    return found


def converted(raw: dict[str, Any], *, strict: bool, where: str) -> Settings:
    """Check types and ranges; the sentence names the setting, never its value."""
    try:
        return msgspec.convert(raw, Settings, strict=strict)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        name = NAMED.match(place)[0]
        if reason.startswith("Invalid enum value"):
            reason = f"it must be {' or '.join(get_args(Settings.__annotations__[name]))}"
        raise SystemExit(f"The setting {name} {where} is malformed: {reason}.") from None
