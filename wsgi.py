"""The roof: composes the application and runs the process that ROLE names.

`python wsgi.py` without ROLE is the whole product on one machine; see `app/core/supervisor.py`.
"""

import os

if __name__ == "__main__" and os.environ.get("ROLE") in ("all", "web", "ocpp"):
    from gevent import monkey

    monkey.patch_all()

import sys
from dataclasses import replace
from typing import Any

from flask import Flask

from app.core import bootstrap, embedded, schema, supervisor
from app.core.config import Config, ConfigurationError, load
from app.core.db import transaction
from app.factory import build


def create_app(config: Config | None = None, **overrides: Any) -> Flask:
    """The application on its database and Redis, started if need be and migrated. For `flask --app wsgi`."""
    config = config or load()
    admin_url, redis_url = config.database_url, config.redis_url
    if admin_url is None or redis_url is None:
        servers = embedded.start(config)
        admin_url, redis_url = servers.admin_database_url, servers.redis_url
    app_url = bootstrap.prepare(admin_url, config)
    schema.upgrade(bootstrap.migration_url(admin_url, config))
    flask_app = build(
        config,
        database_url=app_url,
        migration_url=bootstrap.migration_url(admin_url, config),
        redis_url=redis_url,
        **overrides,
    )
    compose(flask_app)
    with flask_app.app_context(), transaction() as session:
        schema.seed_roles(session)
        if config.admin_password:
            schema.seed_first_admin(session, email=config.admin_email, password=config.admin_password)
    return flask_app


def compose(flask_app: Flask) -> None:
    """Put screens and commands on the application; each knows only `app/`."""
    import admin_views
    import jobs.asked
    import jobs.cli
    import ocpp_ws.cli
    import ocpp_ws.files
    from app.charging import raw_commands
    from ocpp_ws.dictionary import OcppDictionary

    flask_app.extensions[raw_commands.EXTENSION] = OcppDictionary()
    admin_views.register(flask_app)
    jobs.cli.register(flask_app)
    jobs.asked.init_app(flask_app)
    ocpp_ws.cli.register(flask_app)
    ocpp_ws.files.register(flask_app)


def prepare(config: Config) -> str | None:
    """Migrate, make the first admin, fill a demo. Returns the first admin's password if one was made now."""
    flask_app = create_app(replace(config, admin_password=None))
    password = supervisor.first_password(config)
    with flask_app.app_context():
        with transaction() as session:
            made = schema.seed_first_admin(session, email=config.admin_email, password=password)
        if config.demo:
            import app.demo

            app.demo.fill_if_empty(flask_app)
    return password if made else None


def main() -> int:
    """Run the role the environment names; without one, everything. Returns the exit status."""
    try:
        config = load()
        if config.role is None:
            return supervisor.run(config, prepare)
        flask_app = create_app(config)
        if config.role in ("worker", "scheduler"):
            import jobs.run

            return jobs.run.run(flask_app, config.role)
        if config.role == "simulator":
            import ocpp_ws.simulator.demo

            return ocpp_ws.simulator.demo.run(flask_app, config)
        import ocpp_ws.run

        return ocpp_ws.run.serve(flask_app, config)
    except ConfigurationError as error:
        print(f"sync: {error}", file=sys.stderr)  # noqa: T201 (one plain line for the person who started us)
        return 1


if __name__ == "__main__":
    sys.exit(main())
