"""The jobs: thin, idempotent, one transaction each. They call `app/` and commit."""

from __future__ import annotations

import psycopg
import structlog
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from app.analytics import reconcile, upkeep
from app.billing import auto_top_up, vouchers
from app.billing.payments import card_entry, methods, perform
from app.charging import clockwork, commands, connectivity, mock, stop_watch
from app.charging.payments import holds
from app.charging.plans import local_list_sync
from app.charging.receipts import issuing
from app.charging.recovery import outages, recovery
from app.charging.reservations import clockwork as reservation_clockwork
from app.charging.security import clockwork as certificate_clockwork
from app.charging.trials import asking as trials_asked
from app.charging.trials import running as trials
from app.charging.upkeep import boot_recipe, diagnostics, firmware
from app.core import admin_sessions, mail_delivery, partitions, settings, sms
from app.core import redis as redis_clients
from app.core.clock import utcnow
from app.core.db import OWNER_ROLE, db, plain_url, separate_transaction, transaction
from app.exports import background as exports
from app.exports import running as exports_running
from jobs.beside import run_beside

log = structlog.get_logger(__name__)


def watch_connections() -> int:
    """Take silent stations down the ladder, and those of gateways that died; strike out who was refused and got in."""
    with transaction() as session:
        alive = commands.living_gateways(redis_clients.client())
        connectivity.forget_admitted(session)
        return connectivity.forget_gateway(session, alive=alive, now=utcnow()) + connectivity.climb_ladder(
            session, now=utcnow()
        )


def watch_sessions() -> int:
    """Fail sessions that never began, reset stops nobody answered, finish those that fell silent or are forgotten."""
    changed = 0
    for due in (
        clockwork.fail_unstarted,
        clockwork.reset_stopping,
        clockwork.close_ghosts,
        clockwork.finish_inactive,
    ):
        try:
            with transaction() as session:
                changed += due(session, now=utcnow())
        except SQLAlchemyError:  # one of them must not keep the others from their work; the next tick repeats it
            log.exception("watch_sessions.failed", rule=due.__name__)
    return changed


def stop_by_rules() -> int:
    """Ask for the stop of sessions whose rules are broken, with or without a reading; a batch in each transaction."""
    asked, after = 0, 0
    while True:
        with transaction() as session:
            due = stop_watch.possibly_over(session, now=utcnow(), after=after)
        if not due:
            return asked
        with transaction() as session:
            asked += stop_watch.look_at(session, session_ids=due, now=utcnow())
        after = due[-1]


def recover_faults() -> int:
    """Begin and advance auto-recoveries, each in a transaction of its own."""
    with transaction() as session:
        changed = recovery.begin_recoveries(session, now=utcnow())
    with transaction() as session:
        due = recovery.due_recoveries(session, now=utcnow())
    for recovery_id in due:
        try:
            with transaction() as session:
                changed += recovery.advance_recovery(session, recovery_id=recovery_id, now=utcnow())
        except Exception:  # one station's recovery must not keep the others from theirs
            log.exception("recover_faults.failed", recovery_id=recovery_id)
    return changed


def watch_outages() -> int:
    """Open and close outages; mail those that are news."""
    with transaction() as session:
        return outages.watch_outages(session, now=utcnow())


def send_mails() -> bool:
    """Send what is due in the outbox, beside the other jobs: a mail server may take its time."""
    return run_beside(current_app._get_current_object(), deliver_mails)  # type: ignore[attr-defined]


def deliver_mails() -> int:
    """Send what is due in the outbox; no transaction is open while the server is spoken to."""
    return mail_delivery.send_due(transaction, clock=utcnow)


def send_sms() -> bool:
    """Send the SMS that are due, beside the other jobs: the processor may take its time."""
    return run_beside(current_app._get_current_object(), deliver_sms)  # type: ignore[attr-defined]


def deliver_sms() -> int:
    """Send the SMS that are due; no transaction is open while the processor is spoken to."""
    return sms.send_due(transaction, clock=utcnow)


def perform_payments() -> bool:
    """Ask payment processors about what is due, beside the other jobs: they may take their time."""
    return run_beside(current_app._get_current_object(), settle_payments)  # type: ignore[attr-defined]


def settle_payments() -> int:
    """Ask about everything that is due, until nothing is; no transaction is open while a processor is spoken to."""
    done = 0
    while asked := perform.perform_due(transaction, clock=utcnow):
        done += asked
    return done


def tend_payment_methods() -> bool:
    """Finish cards' entries nobody told of, and have removed cards forgotten, beside the other jobs."""
    return run_beside(current_app._get_current_object(), tend_cards)  # type: ignore[attr-defined]


def tend_cards() -> int:
    """The same at once; no transaction is open while a processor is spoken to."""
    return card_entry.tend(transaction, clock=utcnow)


def top_up_balances() -> int:
    """Buy packages for those whose balance has reached the limit; ``perform_payments`` charges for them."""
    return auto_top_up.begin_due(transaction, clock=utcnow)


def expire_vouchers() -> int:
    """Expire vouchers whose last day is over."""
    expired = 0
    while True:
        with transaction() as session:
            done = vouchers.expire(session, now=utcnow())
        expired += done
        if done < vouchers.BATCH:
            return expired


def expire_payment_methods() -> int:
    """Mark cards whose month is over as Expired."""
    expired = 0
    while True:
        with transaction() as session:
            done = methods.expire_methods(session, now=utcnow())
        expired += done
        if done < methods.BATCH:
            return expired


def expire_commands() -> int:
    """Give every command that nobody answered in time its outcome."""
    with transaction() as session:
        return commands.expire(session, now=utcnow())


def keep_local_lists() -> int:
    """Send what is missing to stations whose local auth list differs from what it should be."""
    with transaction() as session:
        return local_list_sync.keep_in_step(session, now=utcnow())


def bill_finished_sessions() -> int:
    """Bill what was finished but not billed, each session in a transaction of its own; settle what a credit paid."""
    with transaction() as session:
        due = clockwork.unbilled(session, now=utcnow())
    for session_id in due:
        try:
            with transaction() as session:
                clockwork.bill(session, session_id=session_id, now=utcnow())
        except Exception:  # a session that cannot be billed must not keep the others from it
            log.exception("bill_finished_sessions.failed", session_id=session_id)
    with transaction() as session:
        resumed = clockwork.resume_payments(session, now=utcnow())
    with transaction() as session:
        return len(due) + resumed + clockwork.settle(session, now=utcnow())


def release_holds() -> int:
    """Let go what is held on payment methods and no session uses; ``perform_payments`` tells the processor."""
    with transaction() as session:
        return holds.void_unused(session, now=utcnow())


def tend_certificates() -> int:
    """Sign certificate requests that wait, send again what no station answered, give up what none can be told."""
    secret_key = current_app.config["SECRET_KEY"]
    with transaction() as session:
        done = certificate_clockwork.give_up(session, now=utcnow())
    with transaction() as session:
        done += certificate_clockwork.sign_waiting(session, secret_key=secret_key, now=utcnow())
    with transaction() as session:
        return done + certificate_clockwork.send_again(session, now=utcnow())


def renew_certificates() -> int:
    """Have stations ask for a new client certificate before theirs ends."""
    with transaction() as session:
        return certificate_clockwork.renew_expiring(session, now=utcnow())


def keep_partitions() -> list[str]:
    """Make the coming months' partitions and drop those whose time is over."""
    with transaction() as session:
        keep = {table: settings.get_int(session, key) for table, (_, key) in partitions.TABLES.items()}
    db.session.remove()
    with psycopg.connect(plain_url(current_app.config["MIGRATION_DATABASE_URL"]), autocommit=True) as owner:
        owner.execute(f"SET ROLE {OWNER_ROLE}")
        owner.execute("SET lock_timeout = '5s'")
        made = partitions.create_partitions(owner, now=utcnow())
        return made + partitions.drop_expired(owner, now=utcnow(), keep_days=keep)


def keep_roll_ups() -> bool:
    """Compute anew what sessions have changed in the roll-ups, beside the other jobs: a first filling takes minutes."""
    return run_beside(current_app._get_current_object(), roll_up)  # type: ignore[attr-defined]


def roll_up() -> int:
    """The same at once; a transaction for each batch."""
    return upkeep.keep_up(transaction, clock=utcnow)


def check_roll_ups() -> bool:
    """Compare the roll-ups with the sessions and repair them, beside the other jobs."""
    return run_beside(current_app._get_current_object(), reconcile_roll_ups)  # type: ignore[attr-defined]


def reconcile_roll_ups() -> None:
    """The same at once; a transaction for each month."""
    reconcile.reconcile(transaction, clock=utcnow)
    with transaction() as session:
        reconcile.forget_old(session, now=utcnow())


def configure_stations() -> int:
    """Bring the configuration defaults to charge points after boot, and when they have changed."""
    with transaction() as session:
        due = boot_recipe.due(session, now=utcnow())
    sent = 0
    for charge_point_id in due:
        try:
            with transaction() as session:
                sent += boot_recipe.tend(session, charge_point_id=charge_point_id, now=utcnow())
        except SQLAlchemyError:  # one of them must not keep the others from it; the next tick repeats it
            log.exception("configure_stations.failed", charge_point_id=charge_point_id)
    return sent


def watch_transfers() -> int:
    """End firmware updates by the station's boot, and updates and diagnostics of which nothing is heard any more."""
    changed = 0
    for due in (firmware.settle_by_boot, firmware.fail_silent, diagnostics.fail_silent):
        with transaction() as session:
            changed += due(session, now=utcnow())
    return changed


def forget_files() -> int:
    """Delete diagnostics files and used-up addresses that were kept long enough."""
    forgotten = 0
    while True:
        with transaction() as session:
            done = diagnostics.forget_files(session, now=utcnow())
        forgotten += done
        if done < diagnostics.BATCH:
            return forgotten


def watch_reservations() -> int:
    """Expire, end and cancel reservations, and remind their users; each rule in a transaction of its own."""
    changed = 0
    for rule in reservation_clockwork.RULES:
        try:
            with transaction() as session:
                changed += rule(session, now=utcnow())
        except SQLAlchemyError:  # one of them must not keep the others from their work; the next tick repeats it
            log.exception("watch_reservations.failed", rule=rule.__name__)
    return changed


def run_mock_sessions() -> int:
    """Bring the sessions of Demo stations up to now."""
    with transaction() as session:
        return mock.advance_all(session, now=utcnow())


def tend_receipts() -> bool:
    """Issue receipts that are due, beside the other jobs: at the turn of a month there are many to typeset."""
    return run_beside(current_app._get_current_object(), issue_receipts)  # type: ignore[attr-defined]


def issue_receipts() -> int:
    """Issue receipts and credit notes that are due, and make and mail their PDFs, each in transactions of its own."""
    return issuing.tend(transaction, clock=utcnow)


def run_tariff_trial(trial_id: int) -> bool:
    """Try a draft of a tariff on last month's sessions, beside the other jobs; False if it has to wait its turn."""
    with transaction() as session:
        first = trials_asked.unfinished(session, limit=trials.AT_ONCE)
    if trial_id not in first:
        return False
    return run_beside(current_app._get_current_object(), finish_tariff_trial, trial_id)  # type: ignore[attr-defined]


def finish_tariff_trial(trial_id: int) -> None:
    """Run a trial to its end, a transaction for each batch of sessions."""
    trials.run_trial(transaction, trial_id=trial_id, clock=utcnow)


def run_tariff_trials() -> int:
    """Take up the trials that nobody runs: those that had to wait, and those whose worker died."""
    with transaction() as session:
        due = trials_asked.unfinished(session, limit=trials.AT_ONCE)
    return sum(run_tariff_trial(trial_id) for trial_id in due)


def forget_tariff_trials() -> int:
    """Delete trials that were kept long enough, one at a time."""
    forgotten = 0
    while True:
        with transaction() as session:
            done = trials.forget_trials(session, now=utcnow())
        forgotten += done
        if not done:
            return forgotten


def forget_sign_ins() -> int:
    """Delete sign-ins and one-time links of admins that have been over for 90 days."""
    with transaction() as session:
        return admin_sessions.forget_old(session, now=utcnow())


def run_export(job_id: int) -> bool:
    """Write an export that somebody waits for, beside the other jobs; False if it has to wait its turn."""
    with transaction() as session:
        first = exports.due(session, now=utcnow(), limit=exports_running.AT_ONCE)
    if job_id not in first:
        return False
    return run_beside(current_app._get_current_object(), finish_export, job_id)  # type: ignore[attr-defined]


def finish_export(job_id: int) -> None:
    """Write an export's file, with what its admin may see now."""
    source = current_app.extensions["export_source"]
    exports_running.run(separate_transaction, job_id=job_id, source=source, clock=utcnow)


def run_exports() -> int:
    """Take up the exports that nobody writes: those that had to wait, and those whose worker died."""
    with transaction() as session:
        due = exports.due(session, now=utcnow(), limit=exports_running.AT_ONCE)
    return sum(run_export(job_id) for job_id in due)


def expire_exports() -> int:
    """Delete the files of exports that were kept long enough."""
    expired = 0
    while True:
        with transaction() as session:
            done = exports.expire(session, now=utcnow())
        expired += done
        if done < exports.BATCH:
            return expired
