"""Whether the services are at work, in sentences."""

import time
from collections.abc import Iterator

from deploy import health
from deploy.manager import SERVICES, Manager
from ledger.settings import Settings, config_path

START_SECONDS, LOOK_SECONDS = 30.0, 0.3
# The upgrade of a large ledger.
LONGEST_SECONDS = 900.0


def report(manager: Manager, chosen: Settings) -> None:
    """Wait until every service is at work, and say what came of it."""
    waiting = awaited(manager, chosen)
    for service in SERVICES:
        print(problem(manager, chosen, service) or sentence(manager, chosen, service))
    for line in closing_words(manager, chosen):
        print(line)
    if waiting:
        raise SystemExit(f"Not everything runs yet: look at the log of {', '.join(waiting)}.")


def awaited(manager: Manager, chosen: Settings) -> list[str]:
    """Wait for the services; give those that are not at work when there is no sense in waiting."""
    begun, told = time.monotonic(), False
    while waiting := [name for name in SERVICES if problem(manager, chosen, name)]:
        passed = time.monotonic() - begun
        is_down = len(processes(manager)) < len(SERVICES)
        if passed > (START_SECONDS if is_down else LONGEST_SECONDS):
            break
        if passed > START_SECONDS and not told:
            print("Still waiting: the upgrade of a large ledger takes minutes.", flush=True)
            told = True
        time.sleep(LOOK_SECONDS)
    return waiting


def processes(manager: Manager) -> dict[str, int]:
    """Give the services that run, each with its process."""
    found = {service: manager.process(service) for service in SERVICES}
    return {service: process for service, process in found.items() if process}


def problem(manager: Manager, chosen: Settings, service: str) -> str | None:
    """Say why a service is not at work; None when it is."""
    process = manager.process(service)
    if process is None:
        return f"{service} does not run."
    if trouble := health.trouble(chosen, service):
        return trouble
    said = None if service == "web" else health.state(chosen.data_folder, service)
    # An earlier process may have said that.
    return f"{service} has not said anything yet." if said and said.pid != process else None


def sentence(manager: Manager, chosen: Settings, service: str) -> str:
    """Say what a running service does."""
    process = manager.process(service)
    if service == "web":
        return f"web runs (process {process}) and answers at {address(chosen)}"
    said = health.state(chosen.data_folder, service)
    return f"{service} runs (process {process}): {said.detail or said.state}" if said else service


def address(chosen: Settings) -> str:
    """Give the address of the dashboard as seen from this machine."""
    host = health.own_address(chosen.dashboard_host)
    return f"http://{f'[{host}]' if ':' in host else host}:{chosen.dashboard_port}/"


def closing_words(manager: Manager, chosen: Settings) -> Iterator[str]:
    """Say where everything is."""
    yield f"The data is in {chosen.data_folder}; the settings are in {config_path()}."
    yield "The logs:"
    for service in SERVICES:
        yield f"  {manager.logs(service)}"
    if advice := manager.advice():
        yield advice
