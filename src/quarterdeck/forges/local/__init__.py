"""The forge that is always there: bare repositories of the server, and pipelines from `.gitlab-ci.yml`."""
