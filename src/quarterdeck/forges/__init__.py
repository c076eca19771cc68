"""What stands around a repository: issues, merge requests, webhooks, pipelines."""
