"""Other chat products' webhooks in the API's reference. Pure."""

from pipeline.api.openapi_parts import Json, parameter, refused, shown


def chat_paths() -> Json:
    """By path."""
    return {"/v1/chat/chatwoot": {"post": _chatwoot()}}


def _chatwoot() -> Json:
    signature = "sha256= and the HMAC-SHA256 of timestamp, a dot and the body, hexadecimal."
    return {
        "operationId": "hearChatwoot",
        "summary": "Chatwoot's webhooks: what agents answer there is said to the visitor, once. Signed, without a"
        " key; 404 unless `chatwoot_url` is set.",
        "security": [],
        "parameters": [
            parameter("X-Chatwoot-Timestamp", "When it was signed, epoch seconds.", "header"),
            parameter("X-Chatwoot-Signature", signature, "header"),
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": shown("`said`, `ended`, `ignored`, or `foreign`: of another inbox.", {"outcome": "said"}),
            **refused("401", "404", "413", "503"),
        },
    }
