"""The Agent Client Protocol: editors of any kind talk with agents here, and may carry out what those do."""
