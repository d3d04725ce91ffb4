"""What a message says about permissions: explicit consent events, traits, and the browser's Sec-GPC signal. Pure.

- `track` "Consent Granted" and "Consent Withdrawn" with `channel`, `purpose`, `wording`, `place`: strict. A
  withdrawal that names nothing withdraws everything; a grant says what it grants.
- `identify` with `traits.consent`: `{"email": {"marketing": true}}`, or `{"email": true}` for marketing. What is
  not of that shape is a trait like others.
- `track` "Segment Consent Preference Updated" with `context.consent.categoryPreferences` of these shapes; categories
  that are no channel (`analytics`) are the site's own. On other events the same field is a stamp that may be older
  than a later word, so only this event says something.
- `context.gpc` (or the header `Sec-GPC: 1`) on any of these messages: profiling is withdrawn. A click says it by its
  own field, `opted_out`.
"""

from typing import Any

from pipeline.core.events import ConsentChange
from pipeline.producers.collector.answers import Rejected
from pipeline.producers.collector.values import first_text, text

CHANNELS = ("email", "push", "site", "sms", "phone", "post")
PURPOSES = ("marketing", "service", "profiling")
ALL = "*"

OPTED_OUT_BY_SIGNAL = ConsentChange(channel=ALL, purpose="profiling", granted=False, wording="Sec-GPC")


def of_event(name: str, properties: dict[str, Any]) -> tuple[ConsentChange, ...]:
    """What the event "Consent Granted" or "Consent Withdrawn" changes. Raises Rejected."""
    granted = name == "Consent Granted"
    change = ConsentChange(
        channel=_named(properties, "channel", CHANNELS, None if granted else ALL),
        purpose=_named(properties, "purpose", PURPOSES, "marketing" if granted else ALL),
        granted=granted,
        wording=first_text(properties, "wording"),
        place=first_text(properties, "place"),
    )
    return (change,)


def of_traits(traits: dict[str, Any], page_url: str) -> tuple[ConsentChange, ...]:
    """What `traits.consent` changes."""
    return _stated(traits.get("consent"), "traits.consent", page_url)


def of_preferences(context: dict[str, Any], page_url: str) -> tuple[ConsentChange, ...]:
    """What the answer to a consent banner, `context.consent.categoryPreferences`, changes."""
    consent = context.get("consent")
    stated = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    return _stated(stated, "context.consent.categoryPreferences", page_url)


def _stated(stated: object, wording: str, place: str) -> tuple[ConsentChange, ...]:
    """Changes by channel: `{"email": true}`, or `{"email": {"marketing": true}}`; what is neither is left out."""
    if not isinstance(stated, dict):
        return ()
    changes = []
    for channel, answer in stated.items():
        answers = answer if isinstance(answer, dict) else {"marketing": answer}
        for purpose, granted in answers.items():
            if isinstance(granted, bool) and _can_change(channel, purpose, granted):
                changes.append(
                    ConsentChange(channel=channel, purpose=purpose, granted=granted, wording=wording, place=place)
                )
    return tuple(changes)


def _can_change(channel: str, purpose: str, granted: bool) -> bool:
    known = (channel in CHANNELS or channel == ALL) and (purpose in PURPOSES or purpose == ALL)
    return known and not (granted and ALL in (channel, purpose))


def _named(properties: dict[str, Any], field: str, known: tuple[str, ...], absent: str | None) -> str:
    value = properties.get(field)
    if (value is None or value == "") and absent is not None:
        return absent
    found = text(value).strip().lower()
    if found in known or (found == ALL and absent == ALL):
        return found
    star = "" if absent != ALL else f", or {ALL} for all"
    raise Rejected("bad_consent", f"`properties.{field}` names no {field} of: {', '.join(known)}{star}")
