"""The brain: the turn loop, components, model access and jobs."""
