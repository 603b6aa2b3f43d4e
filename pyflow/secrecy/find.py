"""Where the value of a ``Secret`` is looked up, by whoever runs the task.

First in a folder, as clusters mount secrets: ``<folder>/<name>/<key>``, or ``<folder>/<name>`` for a secret without keys. Then
in the environment: ``NAME_KEY``, or ``NAME``. A cluster sets a variable for each of a task's in its pods, under a name of its own
(``PLACED``): the task's may be that of a credential of pyflow's, such as ``AWS_ACCESS_KEY_ID``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from pyflow.errors import ConfigError

PLACED: Final = "PYFLOW_SECRET_"
"""What stands before the name of a task's variable where the place has put its secret already."""


class SecretFinder(NamedTuple):
    """Looks secrets up.

    Args:
        folder: The folder of the setting ``secrets``; empty: there is none.
    """

    folder: str = ""

    def values(self, wanted: Mapping[str, list[str | None]], environment: Mapping[str, str]) -> dict[str, str]:
        """The values of secrets, by the variables that they are for.

        Args:
            wanted: For each variable name and key of its secret.
            environment: The environment to look in.

        Raises:
            ConfigError: At least one is not there; the message says where each was looked for, and shows no value.
        """
        found, missing = {}, []
        for variable, (name, key) in wanted.items():
            value = environment.get(PLACED + variable)
            if value is None:
                value = self._in_folder(str(name), key)
            if value is None:
                value = environment.get(variable_of(str(name), key))
            if value is None:
                missing.append(self._words(variable, str(name), key))
            else:
                found[variable] = value
        if missing:
            raise ConfigError(" ".join(missing))
        return found

    def _in_folder(self, name: str, key: str | None) -> str | None:
        if not self.folder:
            return None
        path = self._path(name, key)
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
            raise ConfigError(f"The secret in {path} cannot be read: {why}.") from error
        # Editors end a file with a line break, which is no part of a password.
        return text.removesuffix("\n").removesuffix("\r")

    def _path(self, name: str, key: str | None) -> str:
        return os.path.join(self.folder, name) if key is None else os.path.join(self.folder, name, key)

    def _words(self, variable: str, name: str, key: str | None) -> str:
        secret = f"Secret({name!r})" if key is None else f"Secret({name!r}, key={key!r})"
        where = f"neither in the file {self._path(name, key)} nor in" if self.folder else "not in"
        more = "" if self.folder else ", and the setting secrets names no folder to look in"
        return f"{secret}, for the variable {variable!r}, is {where} the variable {variable_of(name, key)}{more}."


def variable_of(name: str, key: str | None) -> str:
    """The variable in which a secret may lie: ``DB_PASSWORD`` for ``Secret("db", key="password")``."""
    text = name if key is None else f"{name}_{key}"
    return re.sub(r"[^A-Za-z0-9]", "_", text).upper()
