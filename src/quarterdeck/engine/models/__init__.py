"""Models that answer agents: the Protocol, the providers and the scripted one."""
