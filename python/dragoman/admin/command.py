"""What a command of the admin page is: a path, what it does, its parameters and its page."""

from collections.abc import Callable
from dataclasses import dataclass

from dragoman.admin.answer import Answer
from dragoman.admin.face import Proxy
from dragoman.admin.query import Query

Page = Callable[[Proxy, Query], Answer]


@dataclass(frozen=True)
class Param:
    """A query parameter. `choices`, if any, are the values it takes."""

    name: str
    help: str
    choices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The help, with the choices."""
        return f"{self.help}; One of ({', '.join(self.choices)})" if self.choices else self.help


@dataclass(frozen=True)
class Command:
    """One path. A command that `mutates` is POST only; others take any method, as Envoy's."""

    path: str
    help: str
    page: Page
    params: tuple[Param, ...] = ()
    mutates: bool = False
