"""The bodies of the executor's tools, one module each, named as the tool is."""
