"""What the figures were measured on."""

import os
import platform
import sqlite3
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

PACKAGES = ("datasette", "genai-prices", "msgspec", "redis")


def described() -> dict[str, str]:
    """Give machine, versions and date."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "versions": f"Python {sys.version.split()[0]}, SQLite {sqlite3.sqlite_version}, {packages}",
        "load before the start": f"{os.getloadavg()[0]:.1f} processes",
    }


def others() -> float:
    """Give the seconds of processor time that other programs have taken since the start."""
    times, own = psutil.cpu_times(), os.times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Guests' time is in user time already.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return sum(times) - idle - guests - sum(own[:4])


def processor() -> str:
    """Give the processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (named or [platform.processor() or "unknown processor"])[0]
