"""What an actor may see, as a predicate that every statement on patient data must carry.

The plan says who asks; relationships, consents and emergency access are looked up by the statement itself, so that a
change of them holds from the next statement on, and nothing has to be forgotten anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from commonchart.care.labels import UNDECISIVE, mask
from commonchart.record.keys import patient_key

Condition = tuple[str, list[Any]]


# (element, codes): the element, a coded concept or a list of them, has one of the codes, "system|code" or "code"
Only = tuple[tuple[str, tuple[str, ...]], ...]


class Part(Struct, frozen=True):
    """Rows of these types (None: of every type), of one patient or of the `shared` types (None: of anybody), so coded.

    With an `id` only that one.
    """

    types: frozenset[str] | None = None
    patient: str | None = None
    shared: frozenset[str] = frozenset()
    only: Only = ()
    id: str | None = None

    def predicate(self, alias: str) -> Condition:
        """SQL and its arguments."""
        parts: list[str] = []
        args: list[Any] = []
        if self.types is not None:
            parts.append(f"{alias}.rtype = ANY(%s)")
            args.append(sorted(self.types))
        if self.patient is not None:
            own = f"({alias}.pk = %s AND {alias}.patient = %s)"
            parts.append(f"({own} OR {alias}.rtype = ANY(%s))")
            args += [patient_key(self.patient), self.patient, sorted(self.shared)]
        if self.id is not None:
            parts.append(f"{alias}.id = %s")
            args.append(self.id)
        for element, codes in self.only:
            parts.append(_coded(alias, element))
            args += [list(codes), [code for code in codes if "|" not in code]]
        return f"({' AND '.join(parts) or 'true'})", args


class Beyond(Struct, frozen=True):
    """Who asks, where organisations share: their own records, and what others let them see. `org` None: there is one.

    `open` are types of which everybody sees those about nobody. `names` are the spellings that a provision may name the
    actor by. `blocked` labels cross to another organisation only where a consent names them; `never` not in an emergency
    either. `related`: whether a relationship of treatment opens anything (the role, and the purpose, allow it).
    `refused`: a patient has shut this very person out, so that even their own organisation's records are looked at.
    """

    org: str | None
    user: str
    names: tuple[str, ...]
    person: str
    purposes: tuple[str, ...]
    open: frozenset[str]
    blocked: int
    never: int
    shares: bool
    related: bool
    refused: bool
    now: datetime | None


class Visible(Struct, frozen=True):
    """One tenant, and in it everything (of `types`, if given), or what is about `patients` plus the `shared` types.

    Empty means nothing. `hidden` are labels that are not shown, unless `author` wrote the version. `beyond` is set where
    organisations do not see each other's records as a matter of course; `within` where an app was given less: only what one of the parts also holds.
    `releases`: what a clinician holds back from the patient for a while (`result_hold`) is left out, as of `moment` (None:
    as long as it is held at all).
    """

    tenant: int
    everything: bool = False
    patients: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    types: frozenset[str] | None = None
    hidden: int = 0
    author: str = ""
    beyond: Beyond | None = None
    within: tuple[Part, ...] | None = None
    releases: bool = False
    moment: datetime | None = None

    def predicate(self, alias: str) -> Condition:
        """SQL and its arguments: true of the rows of `resource` or `history` under this alias that may be seen.

        Raises RuntimeError where organisations share and no moment was given: nothing is decided by halves.
        """
        parts: list[Condition] = [(f"{alias}.tenant = %s", [self.tenant])]
        if not self.everything:
            parts.append(self._own(alias))
        elif self.types is not None:
            parts.append((f"{alias}.rtype = ANY(%s)", [sorted(self.types)]))
        if self.hidden:
            parts.append(_unlabelled(alias, self.hidden, self.author))
        if self.within is not None:
            parts.append(_any(part.predicate(alias) for part in self.within))
        if self.beyond is not None:
            parts.append(_at_the_moment(_theirs, alias, self.beyond))
        if self.releases:
            parts.append(_released(alias, f"_h.rtype = {alias}.rtype AND _h.id = {alias}.id", self.moment))
        return parts[0] if len(parts) == 1 else _all(parts)

    def about(self, alias: str, patients: Sequence[str]) -> Condition:
        """`predicate` for statements about these patients alone: if all are `settled`, which is asked once, labels decide of a row.

        What it says of any row is what `predicate` says.
        """
        whole = self.predicate(alias)
        if not patients or not self._simple or self.beyond is None:
            return whole
        doubtful, more = self.doubtful(alias)
        plain = (f"{alias}.patient = ANY(%s) AND NOT ({doubtful})", [list(patients), *more])
        quick = _all([plain, self.all_settled(patients)])
        return _all([(f"{alias}.tenant = %s", [self.tenant]), _any([quick, whole])])

    def all_settled(self, patients: Sequence[str]) -> Condition:
        """SQL and its arguments, asked once a statement: whether each of these is `settled`. Of none, no."""
        settled, args = self.settled("_p")
        each = "(SELECT %s::int AS tenant, unnest(%s::text[]) AS patient) _p"
        return f"coalesce((SELECT bool_and({settled}) FROM {each}), false)", [
            *args,
            self.tenant,
            list(patients),
        ]

    def due(self, alias: str) -> Condition:
        """The same for rows of `due` under this alias: by the labels and organisations of the facts that decided."""
        parts: list[Condition] = [(f"{alias}.tenant = %s", [self.tenant])]
        if not self.everything:
            parts.append((f"{alias}.patient = ANY(%s)", [sorted(self.patients)]))
        if self.deciding:
            parts.append(_unlabelled(alias, self.deciding, ""))
        if self.within is not None:
            parts.append(_any(_due_within(alias, part) for part in self.within))
        if self.beyond is not None:
            parts.append(_at_the_moment(_due_of_theirs, alias, self.beyond))
        if self.releases:  # what was worked out from it tells of it
            told = f"position('\"' || _h.rtype || '/' || _h.id || '\"' IN {alias}.why) > 0"
            parts.append(_released(alias, told, self.moment))
        return _all(parts)

    def doubtful(self, alias: str) -> Condition:
        """SQL and its arguments, cheap: the rows that `predicate` has to be asked of though their patient is `settled`."""
        if not self._simple:
            return "true", []
        blocked = self.hidden | (self.beyond.blocked if self.beyond else 0)
        return f"{alias}.labels <> 0 AND {alias}.labels & %s::bigint <> 0", [blocked]

    def settled(self, alias: str) -> Condition:
        """SQL and its arguments: patients of whom every row that is not `doubtful` may be seen, whoever keeps it.

        `alias` is a row with `tenant` and `patient`. Not settled is what has to be asked row by row.
        """
        if not self._simple:
            return "false", []
        return ("true", []) if self.beyond is None else _at_the_moment(_settled, alias, self.beyond)

    @property
    def _simple(self) -> bool:
        """Whether organisations and labels alone decide."""
        narrowed = self.types is not None or self.within is not None or self.releases
        return self.everything and not narrowed and not (self.beyond and self.beyond.refused)

    @property
    def deciding(self) -> int:
        """The hidden labels that a worked-out answer may rest on."""
        return self.hidden & ~mask(*UNDECISIVE)

    @property
    def whole(self) -> bool:
        """Whether everything that answers rest on may be seen, so that stored answers and counts may be shown as they are."""
        open_ = self.everything and self.types is None and self.within is None and self.beyond is None
        return open_ and not self.deciding

    def scope(self) -> list[Any]:
        """Everything but the moment, in a fixed order: equal where the same may be seen at the same time."""
        return [_ordered(getattr(self, name)) for name in self.__struct_fields__ if name != "moment"]

    def _own(self, alias: str) -> Condition:
        shared: Condition = (f"{alias}.rtype = ANY(%s) AND {alias}.patient IS NULL", [sorted(self.shared)])
        if not self.patients:
            return _all([shared])
        own = f"{alias}.pk = ANY(%s) AND {alias}.patient = ANY(%s)"
        keys = [patient_key(p) for p in self.patients]
        return _any([(own, [keys, sorted(self.patients)]), shared])


def _released(alias: str, which: str, moment: datetime | None) -> Condition:
    """Nothing holds it back from the patient now."""
    lasting, args = ("", []) if moment is None else (" AND _h.until > %s", [moment])
    return (
        f"NOT EXISTS (SELECT 1 FROM result_hold _h WHERE _h.tenant = {alias}.tenant AND _h.patient = {alias}.patient "
        f"AND {which} AND _h.lifted IS NULL{lasting})",
        list[Any](args),
    )


def _all(parts: Iterable[Condition]) -> Condition:
    return _joined(parts, " AND ", "true")


def _any(parts: Iterable[Condition]) -> Condition:
    """Any of them; of none, nothing."""
    return _joined(parts, " OR ", "false")


def _joined(parts: Iterable[Condition], word: str, empty: str) -> Condition:
    held = list(parts)
    if not held:
        return empty, []
    return f"({word.join(f'({text})' if word == ' OR ' else text for text, _ in held)})", [
        arg for _, args in held for arg in args
    ]


def _unlabelled(alias: str, hidden: int, author: str) -> Condition:
    """Nearly every row has no label, and PostgreSQL knows it: the first comparison keeps its plans as they were."""
    free: list[Condition] = [(f"{alias}.labels = 0", []), (f"{alias}.labels & %s::bigint = 0", [hidden])]
    if author:
        free.append((f"{alias}.actor = %s", [author]))
    return _any(free)


def _due_within(alias: str, part: Part) -> Condition:
    """A due row says something of every type of fact: an app with less than all of them sees none."""
    if part.types is not None or part.only or part.id is not None:
        return "false", []
    return ("true", []) if part.patient is None else (f"{alias}.patient = %s", [part.patient])


def _coded(alias: str, element: str) -> str:
    """Whether the body has one of the codes: the same of current and of superseded versions, which keep no tokens.

    json, not jsonb, whose numbers are narrower than FHIR's decimals.
    """
    held = f"{alias}.body::json->'{element}'"
    return (
        f"EXISTS (SELECT 1 FROM json_array_elements(CASE json_typeof({held}) WHEN 'array' THEN {held} "
        f"WHEN 'object' THEN json_build_array({held}) ELSE '[]' END) scoped, "
        "json_array_elements(CASE json_typeof(scoped->'coding') WHEN 'array' THEN scoped->'coding' ELSE '[]' END) coded "
        "WHERE coalesce(coded->>'system', '') || '|' || (coded->>'code') = ANY(%s) OR coded->>'code' = ANY(%s))"
    )


# ---- where organisations share ---------------------------------------------------------------------------------


class _Now:
    """Stands for the moment in what is kept of a condition."""


NOW = _Now()


def _at_the_moment(made: Callable[[str, Beyond], Condition], alias: str, who: Beyond) -> Condition:
    """The condition, whose text is made once for an actor. Raises RuntimeError without a moment."""
    if who.now is None:
        raise RuntimeError("what organisations share is decided at a moment, and none was given")
    text, args = _made(made, alias, replace(who, now=None))
    return text, [who.now if one is NOW else one for one in args]


@lru_cache(maxsize=2048)
def _made(made: Callable[[str, Beyond], Condition], alias: str, who: Beyond) -> Condition:
    return made(alias, who)


def _theirs(alias: str, who: Beyond) -> Condition:
    """Own records, what is about nobody and open, and what others share."""
    own = _kept_by(f"{alias}.org = %s", who)
    if who.refused:
        said, args = _decided(alias, who, personal=True)
        own = _all([own, (f"coalesce({said}, true)", args)])
    if who.org is None:
        return own
    about_nobody: Condition = (
        f"{alias}.patient IS NULL AND {alias}.rtype = ANY(%s)",
        [sorted(who.open)],
    )
    return _any([own, about_nobody, _shared(alias, who)])


def _kept_by(text: str, who: Beyond) -> Condition:
    """Whether it is the actor's own organisation's: of no organisation, nothing is."""
    if who.org is None:
        return "true", []
    return (text, [who.org]) if who.org else ("false", [])


def _shared(alias: str, who: Beyond) -> Condition:
    """About a patient, and let through by an emergency, a consent, or else a relationship."""
    if not who.shares:
        return "false", []
    said, said_args = _decided(alias, who, personal=False)
    treats = _related(alias, who) if who.related else ("false", [])
    decided: Condition = (  # OFFSET 0: asked once a row, however often it is needed
        f"(SELECT coalesce({said}, _x.treats AND {alias}.labels & %s::bigint = 0) "
        f"FROM (SELECT {treats[0]} AS treats OFFSET 0) _x)",
        [*said_args, who.blocked, *treats[1]],
    )
    emergency = _all([_emergency(alias, who), (f"{alias}.labels & %s::bigint = 0", [who.never])])
    return _all([(f"{alias}.patient IS NOT NULL", []), _any([emergency, decided])])


def _emergency(alias: str, who: Beyond) -> Condition:
    """Opened by this very user, for the organisation that they act for; not against a patient who shuts them out by name now."""
    opened: Condition = (
        f"EXISTS (SELECT 1 FROM emergency_access _g WHERE _g.tenant = {alias}.tenant AND _g.actor = %s "
        f"AND _g.org = coalesce(%s, _g.org) AND _g.patient = {alias}.patient AND _g.revoked IS NULL AND _g.starts <= %s AND _g.ends > %s)",
        [who.user, who.org, NOW, NOW],
    )
    if not who.refused:
        return opened
    barred = (
        f"NOT EXISTS (SELECT 1 FROM consent_rule _b WHERE _b.tenant = {alias}.tenant AND _b.patient = {alias}.patient "
        "AND NOT _b.permit AND _b.starts <= %s AND _b.ends > %s AND %s = ANY(_b.people))"
    )
    return _all([opened, (barred, [NOW, NOW, who.person])])


def _related(alias: str, who: Beyond) -> Condition:
    """The organisation treats the patient, or somebody whom identity has linked with the patient."""
    held = "{0}.org = %s AND {0}.starts <= %s AND {0}.ends > %s"
    args: list[Any] = [who.org, NOW, NOW]
    return _any(
        [
            (
                f"EXISTS (SELECT 1 FROM relationship _t WHERE _t.tenant = {alias}.tenant AND _t.patient = {alias}.patient "
                f"AND {held.format('_t')})",
                args,
            ),
            (
                "EXISTS (SELECT 1 FROM person_link _m JOIN person_link _o ON _o.tenant = _m.tenant AND _o.person = _m.person "
                "AND _o.unlinked_at IS NULL JOIN relationship _t ON _t.tenant = _o.tenant AND _t.patient = _o.patient "
                f"WHERE _m.tenant = {alias}.tenant AND _m.patient = {alias}.patient AND _m.unlinked_at IS NULL "
                f"AND {held.format('_t')})",
                args,
            ),
        ]
    )


def _settled(alias: str, who: Beyond) -> Condition:
    """Nothing but labels can hide anything of the patient: the organisation treats them, and no consent denies this actor anything."""
    if who.org is None:
        return "true", []
    if not (who.org and who.shares and who.related):
        return "false", []
    return _all([_related(alias, who), _undenied(alias, who)])


def _undenied(alias: str, who: Beyond) -> Condition:
    """No consent of the patient denies this actor anything now."""
    text, args = _of_patient(alias, who)
    return f"NOT EXISTS (SELECT 1 FROM consent_rule _k WHERE {text} AND NOT _k.permit)", args


def _decided(alias: str, who: Beyond, *, personal: bool) -> Condition:
    """What the patient's consents say of this row to this actor: the deepest provision, denying if two disagree; or NULL.

    A provision that permits speaks only of what it can open: named to this actor or to one in a relationship, and labels
    that need it named in it. `personal`: only those that name the very person.
    """
    parts = [
        _of_patient(alias, who),
        (f"(_k.rtypes IS NULL OR {alias}.rtype = ANY(_k.rtypes))", []),
        (f"(_k.keepers IS NULL OR {alias}.org = ANY(_k.keepers))", []),
        (f"(_k.data IS NULL OR {alias}.rtype || '/' || {alias}.id = ANY(_k.data))", []),
        (_LABELLED.format(alias), []),
        (_CODED.format(alias), []),
        (_DATED.format(alias), []),
        _opening(alias, who, "false" if personal else "_x.treats"),
    ]
    if personal:
        parts.append(("%s = ANY(_k.people)", [who.person]))
    text, args = _all(parts)
    return (
        f"(SELECT _k.permit FROM consent_rule _k WHERE {text} ORDER BY _k.depth DESC, _k.permit LIMIT 1)",
        args,
    )


def _of_patient(alias: str, who: Beyond) -> Condition:
    """In force, and about this actor and purpose."""
    text = (
        f"_k.tenant = {alias}.tenant AND _k.patient = {alias}.patient AND _k.starts <= %s AND _k.ends > %s "
        f"AND {_one_of_each('_k.actors')} AND {_one_of_each('_k.purposes')}"
    )
    names, purposes = ([f"%|{_plain(one)}|%" for one in held] for held in (who.names, who.purposes))
    return text, [NOW, NOW, names, purposes]


def _plain(text: str) -> str:
    """A text with the wildcards of LIKE as letters."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _one_of_each(column: str) -> str:
    """Each list of the column has one of the names: none of them has none."""
    return f"({column} IS NULL OR NOT EXISTS (SELECT 1 FROM unnest({column}) _g WHERE NOT _g LIKE ANY(%s)))"


_LABELLED = "(_k.labels IS NULL OR NOT EXISTS (SELECT 1 FROM unnest(_k.labels) _m WHERE {0}.labels & _m = 0))"
# a denied code hides whatever has it anywhere; a permitted one opens only what has it as its main code
_CODED = (
    "(_k.codes IS NULL OR CASE WHEN _k.permit THEN coalesce({0}.code = ANY(_k.hashes), false) ELSE EXISTS "
    "(SELECT 1 FROM unnest(_k.codes) _c WHERE position('\"code\":\"' || _c || '\"' IN coalesce({0}.body, '')) > 0) END)"
)
# a denied period hides what may reach into it, also by a date that is not exact, and a permitted one opens what lies within
# it: what has no date is hidden by the one and not opened by the other
_DATED = (
    "(_k.data_from IS NULL OR coalesce(CASE WHEN _k.permit THEN {0}.date_lo >= _k.data_from AND {0}.date_hi <= _k.data_until "
    "ELSE {0}.date_lo < _k.data_until AND {0}.date_hi > _k.data_from END, NOT _k.permit))"
)


def _opening(alias: str, who: Beyond, treats: str) -> Condition:
    opened = _all(
        [
            (f"(_k.actors IS NOT NULL OR {treats})", []),
            (f"{alias}.labels & %s::bigint & ~_k.opens = 0", [who.blocked]),
        ]
    )
    return _any([("NOT _k.permit", []), opened])


def _due_of_theirs(alias: str, who: Beyond) -> Condition:
    """Decided by own facts alone; or by what nobody has denied this actor anything of, without a label that is blocked."""
    own = _kept_by(f"string_to_array({alias}.orgs, E'\\n') <@ ARRAY[%s]", who)
    if who.refused:
        text, args = _of_patient(alias, who)
        personal = f"NOT EXISTS (SELECT 1 FROM consent_rule _k WHERE {text} AND NOT _k.permit AND %s = ANY(_k.people))"
        own = _all([own, (personal, [*args, who.person])])
    if who.org is None or not who.shares:
        return own
    usual = _all(
        [_related(alias, who), _undenied(alias, who), (f"{alias}.labels & %s::bigint = 0", [who.blocked])]
    )
    if not who.related:
        usual = ("false", [])
    emergency = _all([_emergency(alias, who), (f"{alias}.labels & %s::bigint = 0", [who.never])])
    return _any([own, usual, emergency])


def _ordered(value: Any) -> Any:
    """A value without its moments, sets sorted."""
    if isinstance(value, Struct):
        return [_ordered(getattr(value, name)) for name in value.__struct_fields__ if name != "now"]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_ordered(one) for one in value]
    return value
