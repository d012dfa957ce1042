"""`python -m runtime.preflight`: say in one sentence why nothing can start, before it starts."""

from ledger import settings
from ledger.settings import require_key
from runtime.serve import require_password, require_port


def main() -> None:
    """Check what must be right before the processes are started."""
    chosen = settings.load()
    require_key(chosen)
    require_password(chosen)
    require_port(chosen)
    address = f"http://{chosen.dashboard_host}:{chosen.dashboard_port}/"
    print(f"The dashboard will be at {address}", flush=True)


if __name__ == "__main__":
    main()
