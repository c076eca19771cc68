"""GitLab, of its makers and of one's own, as a forge that projects are connected to."""
