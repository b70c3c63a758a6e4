"""The tables by class (DESIGN 4) and the columns of the rows that search keeps. `tests/house/test_ddl.py` holds them."""

from __future__ import annotations

PATIENT_SHARDED = frozenset(
    {
        "resource",
        "history",
        "string_row",
        "quantity_row",
        "date_row",
        "uri_row",
        "composite_row",
        "identifier_row",
        "text_row",
        "contained_row",
        "due",
        "outreach_message",
    }
)
LOOK_UP = frozenset({"resource_loc", "person_link"})
LOCAL = frozenset(
    {
        "change",
        "change_cursor",
        "audit",
        "app_user",
        "credential",
        "site_setting",
        "draft",
        "recent_patient",
        "load_run",
        "load_entry",
        "content_pack",
        "code_system",
        "concept",
        "concept_set",
        "value_set",
        "concept_map",
        "terminology_state",
        "package",
        "package_entry",
        "search_parameter",
        "reindex",
        "bulk_run",
        "bulk_file",
        "subscription_state",
        "subscription_event",
        "subscription_ticket",
        "vaccine_lot",
        "vaccine_movement",
        "outreach_campaign",
        "outreach_wording",
        "outreach_digest",
        "schedule_pack",
        "schedule_use",
        "app",
        "app_grant",
        "app_code",
        "app_launch",
        "app_assertion",
        "app_subscription",
    }
)

SEARCH_ROWS: dict[str, tuple[str, ...]] = {
    "string_row": ("param", "folded", "exact"),
    "quantity_row": ("param", "unit", "lo", "hi"),
    "date_row": ("param", "lo", "hi"),
    "uri_row": ("param", "value"),
    "composite_row": ("param", "token", "unit", "lo", "hi", "date_lo", "date_hi", "folded"),
    "identifier_row": ("system", "value"),
    "text_row": ("words", "coded"),
    "contained_row": ("ctype", "local", "tokens", "date_lo", "date_hi", "kept"),
}

VERSION_COLUMNS = "rtype, id, vid, recorded, org, actor, source, deleted, body, patient, status, code, category, date_lo, date_hi"
