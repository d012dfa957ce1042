"""The cast of the demo: accounts and client keys. Every name and key is made up."""

import hashlib
import uuid
from dataclasses import dataclass
from functools import cache, cached_property

KEY = "demo-management-key"
SEED = 2026
AUTH_DIR = "/srv/proxy/auths"
CLIENT_KEYS = (
    "sk-demo-client-alpha",
    "sk-demo-client-beta",
    "sk-demo-client-gamma",
    "sk-demo-client-delta",
    "sk-demo-client-night",
)
TOKEN_LIFE = 10 * 86400


@dataclass(frozen=True, eq=False)
class Account:
    """One credential of the proxy: a file of its auth folder, or a key of its configuration."""

    provider: str
    email: str = ""
    plan: str = ""
    file: str = ""
    key: str = ""
    base_url: str = ""
    note: str = ""
    websockets: bool = False

    @cached_property
    def name(self) -> str:
        """The provider as the configuration names it."""
        return self.provider.removeprefix("openai-compatible-")

    @cached_property
    def path(self) -> str:
        """The file as the proxy sees it."""
        return f"{AUTH_DIR}/{self.file}"

    @cached_property
    def auth_index(self) -> str:
        """The proxy's id for it: 16 hex digits of a hash of the path, or of address and key."""
        from_key = f"openai-compatibility:{self.base_url}+{self.key}"
        return _sha256(from_key if self.key else f"{self.provider}:{self.path}")[:16]

    @cached_property
    def account_id(self) -> str:
        """The provider's id for the workspace."""
        return workspace(self.email, self.plan)

    @cached_property
    def project(self) -> str:
        """Google's name for the project that an Antigravity account uses."""
        return f"demo-project-{self.auth_index[:6]}"

    def source(self, client_key: str) -> str:
        """Return what events call it: e-mail, upstream key, or the client's own key."""
        return self.email or self.key or client_key

    def token_sha256(self, moment: float) -> str:
        """Return the hash of the access token that it would have then, unix seconds."""
        return _token(self.auth_index, int(moment // TOKEN_LIFE))


def workspace(email: str, plan: str) -> str:
    """Make up the provider's id for an account."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{email} {plan}"))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _token(auth_index: str, number: int) -> str:
    return _sha256(f"token {number} of {auth_index}")


def _codex(email: str, plan: str, *, note: str = "", websockets: bool = False) -> Account:
    name = f"codex-{_sha256(workspace(email, plan))[:8]}-{email}-{plan}.json"
    return Account("codex", email, plan, file=name, note=note, websockets=websockets)


def _named(provider: str, email: str, plan: str = "") -> Account:
    return Account(provider, email, plan, file=f"{provider}-{email}.json")


ALICE = _codex("alice@example.com", "plus", note="5 hours and a week", websockets=True)
ALICE_TEAM = _codex("alice@example.com", "team")
BOB = _codex("bob@example.com", "pro", websockets=True)
DAVE = _codex("dave@example.com", "plus", note="shared with the night jobs")
FRANK = _codex("frank@example.com", "free")
ERIN = _codex("erin@example.com", "plus", note="logged out")
CAROL = _named("claude", "carol@example.com", "max")
GRACE = _named("claude", "grace@example.com", "pro")
HEIDI = _named("antigravity", "heidi@example.com", "pro")
KIMI = Account("kimi", file="kimi-1790000000000.json")
JUDY = _named("xai", "judy@example.com")
LUMEN = Account(
    "openai-compatible-lumen",
    key="sk-fake-upstream-0001",
    base_url="https://lumen.example/v1",
)

ACCOUNTS = (ALICE, ALICE_TEAM, BOB, DAVE, ERIN, FRANK, CAROL, GRACE, HEIDI, KIMI, JUDY, LUMEN)
FILES = tuple(account for account in ACCOUNTS if account.file)
