"""The HTTP API: one file per resource, problem+json for every error, no knowledge of any store."""
