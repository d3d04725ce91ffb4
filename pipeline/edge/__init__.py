"""The edge: what every HTTP port of every role does before and after its application.

1. `connection`: bytes become one request, within bounds of time and size, or 400 and the connection's end (`heads`);
2. `caller`: whose address it is, by the word of trusted proxies alone;
3. `guard`: an address that asks too often is told to wait; every answer carries the security headers;
4. `limits`: how often somebody may do something; the collector and the API ask it about keys, ids and codes.

No route, no key and no record is known here. An address is personal data: it is compared and forgotten, never
logged, never a label.
"""
