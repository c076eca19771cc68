"""Bodies of the tools that the server carries out, one module each, named as the tool."""
