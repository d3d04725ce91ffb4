"""The desk: where the shop's agents talk with visitors. `/desk` is its page.

What is said comes from the topic `conversations` and goes to the log as `Chat` events; nothing of a conversation
lives here alone. Sessions and who is available do: agents log in at one `serve` process.
"""
