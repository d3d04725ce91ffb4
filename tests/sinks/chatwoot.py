"""A stand-in of Chatwoot: an API inbox with its public client API, agents, and its webhooks. No assertions.

Written from Chatwoot's own controllers, views and presenters: field names, types and statuses are theirs.
"""

from __future__ import annotations

import hmac
import itertools
import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pipeline.sinks import chatwoot
from pipeline.talks import Talks

INBOX = "mN5hAbCdEfGhIjKlMnOpQrSt"
SECRET = "n8vQw2ZxKp4tYs7uRb9dLmEc"
AGENT = {"id": 7, "name": "Kim Doe", "email": "kim@shop.example", "type": "user"}
TALKS = Talks(b"identity secret")
ACCOUNT = {"id": 1, "name": "Example Shop"}
_PATH = re.compile(r"/public/api/v1/inboxes/([^/]+)/contacts(?:/([^/]+)(/conversations)?(?:/(\d+)/(\w+))?)?")

Answer = tuple[int, Any]


class Chatwoot:
    """Listens on a free port. `before(method, path)` may answer in its stead with a status; 0 hangs up."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, Any]] = {}
        """By source_id."""
        self.conversations: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str]] = []
        """Method and what follows on `/contacts`."""
        self.before: Callable[[str, str], int | None] = lambda _method, _path: None
        self.webhook_url = ""
        self._ids = itertools.count(101)
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer("GET")

            def do_POST(self) -> None:
                self._answer("POST")

            def _answer(self, method: str) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
                status, value = outer._routed(method, self.path, body)
                if not status:
                    self.close_connection = True
                    return
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json; charset=utf-8")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Whoever died in the middle of a request is no news here."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def said(self) -> list[str]:
        """What visitors wrote, in the order it came."""
        return [each["content"] for it in self.conversations for each in it["messages"] if each["incoming"]]

    # ---- what agents do

    def answers(self, content: str | None, conversation: int = 0, **terms: Any) -> dict[str, Any]:
        """The webhook of an agent's message in a conversation (of those here, the first)."""
        held = self.conversations[conversation]
        message = {
            "account": ACCOUNT,
            "additional_attributes": {},
            "content_attributes": {},
            "content_type": "text",
            "content": content,
            "conversation": self.conversation_data(held),
            "created_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "id": next(self._ids),
            "inbox": {"id": 3, "name": "Shop"},
            "message_type": "outgoing",
            "private": False,
            "sender": AGENT,
            "source_id": None,
            "event": "message_created",
        }
        return message | terms

    def resolves(self, conversation: int = 0, status: str = "resolved") -> dict[str, Any]:
        """The webhook of a changed status."""
        held = self.conversations[conversation]
        before, held["status"] = held["status"], status
        changed = [{"status": {"previous_value": before, "current_value": status}}]
        return self.conversation_data(held) | {
            "event": "conversation_status_changed",
            "changed_attributes": changed,
        }

    def conversation_data(self, held: dict[str, Any]) -> dict[str, Any]:
        source = held["source_id"]
        return {
            "additional_attributes": {},
            "can_reply": True,
            "channel": "Channel::Api",
            "contact_inbox": {"id": 5, "contact_id": 9, "inbox_id": 3, "source_id": source, "hmac_verified": False},
            "id": held["id"],
            "inbox_id": 3,
            "messages": [{"id": 1, "content": "the latest", "message_type": 0}],
            "labels": [],
            "meta": {"sender": {"id": 9, "type": "contact", **self.contacts[source]}, "hmac_verified": False},
            "status": held["status"],
            "custom_attributes": held["custom_attributes"],
            "snoozed_until": None,
            "unread_count": 1,
            "created_at": int(time.time()),
            "updated_at": time.time(),
        }

    def tells(self, payload: dict[str, Any], **how: Any) -> int:
        """POST a webhook to `webhook_url`; the status it was answered with."""
        request = urllib.request.Request(self.webhook_url, *signed(payload, **how), method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)

    def close(self) -> None:
        """Nobody listens any more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def __enter__(self) -> Chatwoot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- its public client API

    def _routed(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        found = _PATH.fullmatch(path)
        self.asked.append((method, path.partition("/contacts")[2]))
        instead = self.before(method, path)
        if instead is not None:
            return instead, {"error": "told to"}
        with self._lock:
            if found is None or found[1] != INBOX:
                return 404, {"error": "Resource could not be found"}
            return self._answered(method, found[2], bool(found[3]), int(found[4] or 0), found[5] or "", body)

    def _answered(
        self, method: str, source: str | None, talks: bool, id_: int, what: str, body: dict[str, Any]
    ) -> Answer:
        if source is None:
            contact = {"identifier": body.get("identifier"), "name": body.get("name")}
            held = self.contacts.setdefault(body["source_id"], contact)
            return 200, {"source_id": body["source_id"], "pubsub_token": "p", "id": 9, **held}
        if source not in self.contacts:
            return 404, {"error": "Resource could not be found"}
        mine = [it for it in self.conversations if it["source_id"] == source]
        if talks and not id_ and method == "GET":
            return 200, [self._view(it) for it in mine]
        if talks and not id_:
            begun = {"id": next(self._ids), "source_id": source, "status": "open", "messages": []}
            begun["custom_attributes"] = body.get("custom_attributes", {})
            self.conversations.append(begun)
            return 200, self._view(begun)
        one = next((it for it in mine if it["id"] == id_), None)
        if one is None or what not in ("messages", "toggle_status"):
            return 404, {"error": "Resource could not be found"}
        if what == "toggle_status":
            one["status"] = "resolved"
            return 200, self._view(one)
        if not body.get("content"):
            return 422, {"message": "Content can't be blank"}
        message = {"id": next(self._ids), "content": body["content"], "echo_id": body["echo_id"], "incoming": True}
        one["messages"].append(message)
        one["status"] = "open"
        return 200, {"id": message["id"], "content": message["content"], "message_type": 0, "conversation_id": id_}

    def _view(self, held: dict[str, Any]) -> dict[str, Any]:
        contact = {"id": 9, **self.contacts[held["source_id"]]}
        return {"id": held["id"], "inbox_id": 3, "status": held["status"], "messages": [], "contact": contact}


def signed(payload: object, *, secret: str = SECRET, seconds: int | None = None) -> tuple[bytes, dict[str, str]]:
    """Body and headers, as `lib/webhooks/trigger.rb` makes them."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    at = str(int(time.time()) if seconds is None else seconds)
    digest = hmac.new(secret.encode(), at.encode() + b"." + body, "sha256").hexdigest()
    return body, {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "X-Chatwoot-Delivery": "5b6f4dc8-4d2e-4d3c-9d7a-0f6f0f6f0f6f",
        "X-Chatwoot-Timestamp": at,
        "X-Chatwoot-Signature": f"sha256={digest}",
    }


def destination(url: str) -> chatwoot.Chatwoot:
    """What sends to it."""
    return chatwoot.Chatwoot(url, INBOX, TALKS, allow_private=True)
