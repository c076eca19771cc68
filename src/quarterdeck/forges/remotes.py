"""The forges that a project can be connected to, by name: a further one is a line here."""

from quarterdeck.app.remote_forge import RemoteForge
from quarterdeck.core.remote import ForgeName
from quarterdeck.forges.github.client import GitHub
from quarterdeck.forges.gitlab.client import GitLab

REMOTES: dict[ForgeName, RemoteForge] = {"github": GitHub(), "gitlab": GitLab()}
