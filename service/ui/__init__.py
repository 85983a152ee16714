"""Pages for people: a client of the public HTTP API, through `service.client`, and nothing else (extra `ui`)."""
