"""The API's reference as OpenAPI 3.1, made from code: `docs/reference/openapi.yaml` is this, and compared with it.

Schemas of request bodies come from the very types that read them; answers are shown by examples that the views
made of `specimens`. Run `python -m pipeline.api.openapi` to print it anew (it needs PyYAML, which running Rapport
does not).
"""

import sys
from typing import Any

import msgspec

from pipeline import __version__
from pipeline.api.explaining import decisions_view
from pipeline.api.mail_reports import MailReports
from pipeline.api.messages import item_of
from pipeline.api.openapi_chat import chat_paths
from pipeline.api.openapi_parts import ERRORS, parameter, refused, shown
from pipeline.api.openapi_segments import segment_paths
from pipeline.api.openapi_tracking import tracking_paths
from pipeline.api.orders import RedeemOrder
from pipeline.api.personalizing import Asked
from pipeline.api.points import Converted, ConvertPoints
from pipeline.api.products import CatalogueChange
from pipeline.api.redeeming import Redeemed
from pipeline.api.specimens import AT, CUSTOMER, PROMPT, RECOMMENDED, TASK, TASK_DONE, VOUCHER
from pipeline.api.statement import invitations, statement
from pipeline.api.tasks import TaskOutcome, task_view
from pipeline.api.view import customer_view, voucher_view

Json = dict[str, Any]


def openapi() -> Json:
    """The document, as plain JSON."""
    document: Json = msgspec.json.decode(msgspec.json.encode(_document()))
    return document


def _document() -> Json:
    bodies = [RedeemOrder, Redeemed, MailReports, ConvertPoints, Converted, Asked, CatalogueChange, TaskOutcome]
    (redeem_order, redeemed, mail_reports, convert, converted, asked, catalogue, outcome), components = (
        msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    )
    error = {
        "type": "object",
        "required": ["code", "message"],
        "properties": {
            "code": {"type": "string", "description": "Stable, for programs."},
            "message": {"type": "string", "description": "For people: what was found, what was expected."},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rapport",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "What `rapport up` answers: `rapport collect` the paths tagged tracking, under the write"
            " key or the server key; `rapport serve` the others, under the server key. Amounts are integer minor"
            " units beside their currency, times are epoch milliseconds in fields ending in `_at`.",
        },
        "security": [{"basic": []}, {"bearer": []}],
        "paths": {
            **tracking_paths(refused(*ERRORS)),
            "/v1/customers/{id}": {"get": _customer(), "delete": _erase()},
            "/v1/customers/{id}/export": {"get": _export()},
            "/v1/customers/{id}/decisions": {"get": _decisions()},
            "/v1/customers/{id}/loyalty": {"get": _loyalty()},
            "/v1/customers/{id}/referral": {"get": _referral()},
            "/v1/customers/{id}/points/convert": {"post": _convert(convert, converted)},
            "/v1/vouchers/{code}": {"get": _voucher()},
            "/v1/vouchers/{code}/redeem": {"post": _redeem(redeem_order, redeemed)},
            "/v1/tasks": {"get": _tasks()},
            "/v1/tasks/{id}/outcome": {"post": _task_outcome(outcome)},
            **(segment_paths() | chat_paths()),
            "/v1/email/events": {"post": _mail_reports(mail_reports)},
            "/v1/personalize": {"post": _personalize(asked)},
            "/v1/catalogue": {"post": _catalogue(catalogue)},
            "/v1/recommendations": {"get": _recommendations()},
            "/v1/stream": {"get": _stream()},
            "/feed": {"get": _feed("The live feed's page.", "text/html")},
            "/feed/events": {
                "get": _feed("Server-sent events `counts` and `entries` of the live feed.", "text/event-stream")
            },
            "/healthz": {"get": _open("Whether the process answers.", "application/json")},
            "/readyz": {
                "get": _open("Whether the log and the store answer; the reasons if not.", "application/json", "503")
            },
            "/metrics": {"get": _open("Figures for Prometheus.", "text/plain")},
        },
        "components": {
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "The key as user, no password."},
                "bearer": {"type": "http", "scheme": "bearer", "description": "The key."},
            },
            "schemas": {"Error": error, **components},
        },
    }


def _customer() -> Json:
    return {
        "operationId": "getCustomer",
        "summary": "All that is known of a customer, with every decision and its reason.",
        "parameters": [parameter("id", _ID)],
        "responses": {"200": shown("The profile.", customer_view(CUSTOMER)), **refused("401", "403", "404", "503")},
    }


def _decisions() -> Json:
    return {
        "operationId": "getDecisions",
        "summary": "Why each campaign acted for a customer, or why not: its last answer, with the facts of that"
        " moment, and in words.",
        "parameters": [parameter("id", _ID)],
        "responses": {
            "200": shown("The latest first.", {"id": CUSTOMER.key, "decisions": decisions_view(CUSTOMER)}),
            **refused("401", "403", "404", "503"),
        },
    }


def _loyalty() -> Json:
    return {
        "operationId": "getLoyalty",
        "summary": "A customer's points, tier and the last lines of their statement.",
        "parameters": [parameter("id", _ID)],
        "responses": {
            "200": shown("The latest line first.", {"id": CUSTOMER.key, **statement(CUSTOMER)}),
            **refused("401", "403", "404", "503"),
        },
    }


def _referral() -> Json:
    return {
        "operationId": "getReferral",
        "summary": "A customer's invitation code, the friends who came by it, and by whose code they came.",
        "parameters": [parameter("id", _ID)],
        "responses": {
            "200": shown(
                'Of `came_by` the `status`: CLAIMED, ACCEPTED, REFUSED (for the `reason`) or FULFILLED; "": none.',
                {"id": CUSTOMER.key, **invitations(CUSTOMER)},
            ),
            **refused("401", "403", "404", "503"),
        },
    }


def _convert(asked: Json, converted: Json) -> Json:
    return {
        "operationId": "convertPoints",
        "summary": "Convert points into the voucher of a reward: once, and answered the same for the same request.",
        "parameters": [parameter("id", _ID)],
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
        "responses": {
            "200": {"description": "Converted.", "content": {"application/json": {"schema": converted}}},
            **refused("400", "401", "403", "404", "413", "422", "503"),
        },
    }


def _erase() -> Json:
    told = {"erased": True, "request_id": "9e107d9d372bb6826bd81d3542a419d6", "browsers": 1, "vouchers": 1}
    return {
        "operationId": "eraseCustomer",
        "summary": "Erase a person with their browsers and vouchers, or a browser that is nobody's. Later events of"
        " theirs are dropped; only an identify with the server key, sent later, makes them known again.",
        "parameters": [parameter("id", _ID)],
        "responses": {
            "200": shown("Erased; their browsers and vouchers follow at once.", told),
            **refused("401", "403", "404", "409", "503"),
        },
    }


def _export() -> Json:
    example = {
        "version": 1,
        "exported_at": AT,
        "id": CUSTOMER.key,
        "profile": customer_view(CUSTOMER),
        "browsers": [{"id": "a:browser", "profile": None}],
        "vouchers": [voucher_view(VOUCHER, AT)],
        "records": [],
    }
    return {
        "operationId": "exportCustomer",
        "summary": "Everything that is kept about a person: profile with all orders, browsers, vouchers, and every"
        " record the log still has. Streamed; a document that is cut off is no JSON.",
        "parameters": [parameter("id", _ID)],
        "responses": {
            "200": shown("The document.", example),
            **refused("401", "403", "404", "503"),
        },
    }


def _voucher() -> Json:
    return {
        "operationId": "getVoucher",
        "summary": "A voucher's terms and what became of it.",
        "parameters": [parameter("code", _CODE)],
        "responses": {
            "200": shown("The voucher.", voucher_view(VOUCHER, AT)),
            **refused("401", "403", "404", "503"),
        },
    }


def _redeem(order: Json, redeemed: Json) -> Json:
    return {
        "operationId": "redeemVoucher",
        "summary": "Redeem a voucher for an order: once, and answered the same for the same order id.",
        "parameters": [parameter("code", _CODE)],
        "requestBody": {"required": True, "content": {"application/json": {"schema": order}}},
        "responses": {
            "200": {"description": "Redeemed.", "content": {"application/json": {"schema": redeemed}}},
            **refused(*ERRORS),
        },
    }


def _mail_reports(reports: Json) -> Json:
    return {
        "operationId": "reportMails",
        "summary": "What became of mails, as a mail provider reports it: an address that bounced gets no more mail, a"
        " complaint takes the permission back.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": reports}}},
        "responses": {
            "200": shown("On the log; `unknown` are no mails of ours.", {"accepted": 1, "unknown": 0}),
            **refused("401", "403", "413", "503"),
        },
    }


def _personalize(asked: Json) -> Json:
    content = {"title": "Welcome back, Ada", "link_url": "/tea", "link_text": "To the tea"}
    module = {"slot": "home-hero", "module": "welcome-back", "variant": "regular", "content": content}
    why = {"by": "profile", "campaign": "", "facts": {"purchases.orders": 3}}
    product = {"product_id": "tea-04", "name": "Rooibos Orange", "category": "tea", "price_cents": 690}
    more: Json = {"currency": "EUR", "url": "https://shop.example/tea-04"}
    reason = {"reason": "bought_together", "because": "tea-01", "score": 0.31}
    products = [{**product, **more, "why": reason}]
    return {
        "operationId": "personalize",
        "summary": "What stands in a page's slots for this visitor, and why (`by`: campaign, choice, profile or"
        " fallback; the facts only for the server key); what they are to be asked; what they prefer; what is"
        " recommended to them, of what the catalogue has a name for. A page asks with the write key in the body; it"
        " is answered as a person only with `userHash`.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
        "responses": {
            "200": shown(
                "A slot without a module is null. With `recommends`, so many `recommendations` at most belong to it.",
                {
                    "slots": {"home-hero": {**module, "recommends": 1, "why": why, "recommendations": products}},
                    "recommendations": products,
                },
            ),
            **refused("401", "413", "503"),
        },
    }


def _catalogue(change: Json) -> Json:
    return {
        "operationId": "changeCatalogue",
        "summary": "What the shop sells: names, prices, stock. What is left out of a product stays as it was.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": change}}},
        "responses": {
            "200": shown("All of it is on the log.", {"accepted": 1}),
            **refused("401", "403", "413", "503"),
        },
    }


def _tasks() -> Json:
    filters = {
        "kind": "Only mailshot, phone or visit.",
        "state": "open (as it is without it) or done.",
        "after": "The `next` of the page before.",
        "limit": "So many at most, 100 without it, 1000 at most.",
    }
    return {
        "operationId": "getTasks",
        "summary": "Tasks for people of the shop, the oldest first.",
        "parameters": [{**parameter(name, words, "query"), "required": False} for name, words in filters.items()],
        "responses": {
            "200": shown('A page; `next` is "" on the last one.', {"tasks": [task_view(TASK)], "next": ""}),
            **refused("400", "401", "403", "503"),
        },
    }


def _recommendations() -> Json:
    asked = {
        "user": f"{_ID} Never what they own or have in the cart.",
        "product": "What goes with this product; without it, with what the customer has to do with.",
        "limit": "How many, 1 to 20; without it 5.",
    }
    return {
        "operationId": "getRecommendations",
        "summary": "What is bought together with a product, or with what a customer has in the cart, looked at or"
        " bought; then what sells best. Never what is out of stock.",
        "parameters": [{**parameter(name, words, "query"), "required": False} for name, words in asked.items()],
        "responses": {
            "200": shown("The best first.", {"recommendations": [RECOMMENDED]}),
            **refused("401", "403", "404", "503"),
        },
    }


def _task_outcome(outcome: Json) -> Json:
    return {
        "operationId": "reportTask",
        "summary": "Report what came of a task: it goes off the list, and into the customer's file. The first word"
        " counts; the same one, sent again, is answered the same.",
        "parameters": [parameter("id", "The task's id.")],
        "requestBody": {"required": True, "content": {"application/json": {"schema": outcome}}},
        "responses": {
            "200": shown("The task, done.", task_view(TASK, TASK_DONE)),
            **refused("400", "401", "403", "404", "409", "413", "503"),
        },
    }


def _stream() -> Json:
    item = item_of(PROMPT, AT)
    return {
        "operationId": "openStream",
        "summary": "What a visitor's open page is told: server-sent events `prompt`, `voucher`, `revoked`,"
        " `module` and `chat`.",
        "security": [],
        "parameters": [
            parameter("token", "From `POST /v1/stream/token` of the collector.", "query"),
            {**parameter("last_event_id", "The last event seen.", "query"), "required": False},
        ],
        "responses": {
            "200": {
                "description": "Goes on until the token ends.",
                "content": {
                    "text/event-stream": {"schema": {"type": "string"}, "example": item.text if item else ""}
                },
            },
            **refused("401", "503"),
        },
    }


def _feed(words: str, kind: str) -> Json:
    return {
        **_open(words, kind, "401"),
        "parameters": [parameter("token", "Part of the address printed at start.", "query")],
    }


_ID = "A user id, or `u:` or `a:` with the id of a person or a browser."
_CODE = "The voucher's code as it was typed: case and hyphens don't matter, O is 0, I and L are 1."


def _open(words: str, kind: str, *refusals: str) -> Json:
    answer = {"description": words, "content": {kind: {"schema": {}}}}
    return {"summary": words, "security": [], "responses": {"200": answer, **refused(*refusals)}}


def as_yaml() -> str:
    """The document as the file in `docs/reference` has it."""
    import yaml  # only where documentation is made

    class Plain(yaml.SafeDumper):
        """Repeats what is the same instead of pointing at it."""

        def ignore_aliases(self, _data: Any) -> bool:
            return True

    text: str = yaml.dump(openapi(), Dumper=Plain, sort_keys=False, allow_unicode=True, width=110)
    return "# Made by `python -m pipeline.api.openapi`; a test compares it.\n" + text


if __name__ == "__main__":
    sys.stdout.write(as_yaml())
