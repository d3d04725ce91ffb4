"""What answers questions (role `serve`): profiles, vouchers, the site stream, the live feed, health.

Everything is read from the store, or appended to the log and then read from the store; nothing is decided here.
`pipeline.api.application.Api` is the whole as one ASGI application.
"""
