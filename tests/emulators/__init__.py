"""Services of others as programs of this machine, and examples of what the real ones send."""
