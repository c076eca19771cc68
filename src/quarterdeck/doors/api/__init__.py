"""The HTTP API, with its OpenAPI description."""
