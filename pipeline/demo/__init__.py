"""What only the demonstration has: a mail server with a mailbox page, and people who stand in for real ones.

Nothing else depends on it, and it decides nothing: it speaks to Rapport by HTTP and SMTP, as all around a shop do.
"""
