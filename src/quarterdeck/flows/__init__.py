"""The reader of flow definitions, and the flows that ship."""
