"""Which models may be asked where, which one is asked when nobody names any, and which when it can't answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ModelRules:
    """The rules that hold for one session, of the instance, its project and its flow together."""

    defaults: tuple[str, ...] = ()
    """The narrowest first: of the flow in the project, of the flow, of the project, of the instance."""
    allow_lists: tuple[tuple[str, ...], ...] = ()
    """A model must fit a pattern of each; so a project can only narrow what the instance allows."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """The model for a component's tag."""
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def default(self) -> str | None:
        """The model of a session that names none; None when no rule says."""
        return self.defaults[0] if self.defaults else None

    def of_tags(self, tags: Iterable[str]) -> str | None:
        """The model of a component with these tags: that of the first tag which has one."""
        return next((self.tags[tag] for tag in tags if tag in self.tags), None)

    def chain(self, name: str) -> tuple[str, ...]:
        """The models that are asked when `name` can't answer: only those that were named for it, and are allowed."""
        return tuple(one for one in self.fallbacks.get(name, ()) if self.barred(one) is None)

    def barred(self, name: str) -> str | None:
        """Why `name` may not be asked here; None when it may."""
        for patterns in self.allow_lists:
            if not any(fits(pattern, name) for pattern in patterns):
                return f"The model {name} is not allowed here. Allowed are: {', '.join(patterns) or 'none'}."
        return None


def fits(pattern: str, name: str) -> bool:
    """Whether `name` is one of `pattern`'s, where `*` stands for any characters."""
    head, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, tail = rest
    at = len(head)
    for part in middle:
        found = name.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return name.startswith(head) and name.endswith(tail) and len(name) - len(tail) >= at


def joined(rules: Iterable[ModelRules]) -> ModelRules:
    """Rules of several scopes as one, the narrowest first: its default and its tags win, all allow-lists hold."""
    whole = ModelRules()
    for rule in rules:
        whole = ModelRules(
            defaults=(*whole.defaults, *rule.defaults),
            allow_lists=(*whole.allow_lists, *rule.allow_lists),
            tags={**rule.tags, **whole.tags},
            fallbacks={**rule.fallbacks, **whole.fallbacks},
        )
    return whole
