"""See one's own record as somebody else sees it: their predicate, decided by the engine that decides for them.

Nothing is copied and nothing special-cased: `policy.visible` of the other, narrowed to the patient who looks. The trail
names who really looked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from commonchart.access import policy
from commonchart.access.actors import Actor
from commonchart.access.records import Records

if TYPE_CHECKING:
    from commonchart.search.visible import Visible


class SeenAs(Records):
    """Records of the one who looks, with what `them` may see of the looker's own patient, and no more than that."""

    def __init__(self, records: Records, them: Actor) -> None:
        super().__init__(records.database, records.actor, records.clock, key=records.key)
        own, theirs = (
            policy.visible(self.actor, self.clock()),
            policy.visible(them, self.clock(), letters="rs"),
        )
        self.visible = replace(
            theirs,
            everything=False,
            types=None,
            patients=own.patients,
            shared=own.shared,
            releases=True,
            moment=own.moment,
        )

    @property
    def readable(self) -> Visible:
        """By its id they see no more."""
        return self.visible


def organization(records: Records, org: str, network: bool | None) -> Actor:
    """A clinician of an organisation who treats patients, as nobody in particular."""
    return Actor(records.actor.tenant, "", "", "clinician", org, "web", network=network)
