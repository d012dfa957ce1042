"""The commands that install the processes as services of systemd or launchd."""

import click

from cli.group import SETTINGS

manager = click.option(
    "--manager",
    type=click.Choice(["systemd", "launchd"]),
    help="By default launchd on macOS, else systemd.",
)


@click.group(context_settings=SETTINGS)
def service() -> None:
    """Run everything as services.

    They are user services of systemd or launchd; root is not needed.
    """


@service.command()
@manager
def install(manager: str | None) -> None:
    """Write the units and start the services.

    Run it again after an upgrade.
    """
    from deploy import service

    service.install(service.choose_manager(manager))


@service.command()
@manager
def uninstall(manager: str | None) -> None:
    """Stop the services and remove their units; the data stays."""
    from deploy import service

    service.uninstall(service.choose_manager(manager))


@service.command()
@manager
def status(manager: str | None) -> None:
    """Print the state of each service.

    The exit status is 1 unless every service runs.
    """
    from deploy import service

    service.status(service.choose_manager(manager))


@click.command(context_settings=SETTINGS)
@click.argument("service")
def health(service: str) -> None:
    """Check a service, for containers.

    The exit status is 1, with a sentence, when it is not healthy.
    """
    from deploy import health

    health.check(service)
