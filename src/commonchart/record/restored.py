"""After a restore: what an old backup would let in again is ended, and the privacy officers are told (hostile list, J9).

A backup knows nothing of what was revoked since it was made. So every session, token, link, code and emergency access in
it ends here: people sign in again, programs get new tokens, and apps are allowed again. Consents and users that were ended
since cannot be known: each organisation gets a notice that says what to enter again.
"""

from __future__ import annotations

from datetime import datetime

import psycopg

ENDED = {
    "sessions and tokens": "UPDATE credential SET revoked = %(now)s WHERE revoked IS NULL AND expires > %(now)s",
    "allowed apps": "UPDATE app_grant SET revoked = %(now)s, why = 'restored' WHERE revoked IS NULL AND expires > %(now)s",
    "codes of apps": "UPDATE app_code SET used = %(now)s WHERE used IS NULL AND expires > %(now)s",
    "launches of apps": "UPDATE app_launch SET used = %(now)s WHERE used IS NULL AND expires > %(now)s",
    "links by mail": "UPDATE account_link SET ended = %(now)s WHERE ended IS NULL AND expires > %(now)s",
    "links of developers": "UPDATE developer_link SET ended = %(now)s WHERE ended IS NULL AND expires > %(now)s",
    "invitations": "UPDATE portal_invitation SET withdrawn = %(now)s WHERE used IS NULL AND withdrawn IS NULL AND expires > %(now)s",
    "links that share": "UPDATE share_link SET revoked = %(now)s WHERE revoked IS NULL AND expires > %(now)s",
    "files of links that share": "DELETE FROM share_file WHERE expires > %(now)s",
    "emergency accesses": "UPDATE emergency_access SET revoked = %(now)s, revoked_by = 'restored' WHERE revoked IS NULL AND ends > %(now)s",
    "websocket tickets": "DELETE FROM subscription_ticket WHERE expires > %(now)s",
}
"""What is ended, by its name."""
WORDS = (
    "The record was restored from a backup of {made:%Y-%m-%d %H:%M} UTC. What patients withdrew, and whom you shut out, after "
    "that moment is not known here any more: enter it again."
)
_TELL = (
    "INSERT INTO privacy_notice (tenant, at, kind, org, source, words) "
    "SELECT DISTINCT tenant, %s::timestamptz, 'restored', org, 'restore', %s FROM membership WHERE ended IS NULL"
)
_TRACE = (
    "INSERT INTO audit (at, tenant, actor, role, org, client, purpose, action, detail) "
    "SELECT DISTINCT %s::timestamptz, tenant, 'system', 'system', '', 'cli', 'SYSADMIN', 'restore', %s FROM app_user"
)


def nobody_returns(url: str, made: datetime, now: datetime) -> dict[str, int]:
    """End all of it in the database at `url`, restored from a backup that was `made` then; how many of each."""
    with psycopg.connect(url) as conn:
        ended = {name: conn.execute(statement, {"now": now}).rowcount for name, statement in ENDED.items()}
        conn.execute(_TELL, [now, WORDS.format(made=made)])
        conn.execute(_TRACE, [now, f"of {made.isoformat()}; ended {sum(ended.values())}"])
    return {name: number for name, number in ended.items() if number}
