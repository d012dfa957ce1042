"""The providers whose quota can be read, by the name that the proxy uses for them."""

from quota.providers import antigravity, claude, codex, kimi, xai

PROVIDERS = {
    "antigravity": antigravity.PROVIDER,
    "claude": claude.PROVIDER,
    "codex": codex.PROVIDER,
    "kimi": kimi.PROVIDER,
    "xai": xai.PROVIDER,
}
