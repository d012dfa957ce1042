"""Tell a client's key from what other programs note in its place where an attempt had none."""

import re

# What the proxy's own statistics, and keeper after it, note then: the provider or the path.
PROVIDERS = {
    *("claude", "codex", "gemini", "gemini-cli", "vertex", "aistudio", "antigravity"),
    *("kimi", "xai", "qwen", "iflow", "openai", "unknown"),
}
ENDPOINT = re.compile(r"[A-Z]+ /")


def is_key(text: str) -> bool:
    """Tell whether a text may be a client's key."""
    return bool(text) and text not in PROVIDERS and not ENDPOINT.match(text)
