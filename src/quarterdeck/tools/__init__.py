"""The catalogue of tools: name, schema, risk, privilege and level of each."""
