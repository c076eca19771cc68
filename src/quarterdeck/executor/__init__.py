"""The hands: workspaces, sandbox, tool bodies and the journal, reached by HTTP alone."""
