"""What ships: `conf/` and `jobs/`, in a checkout and in an installed wheel; formats of files."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from fraudlake.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = _PACKAGE.parent.parent


def folder(name: str) -> Path:
    """Folder `conf` or `jobs`: inside the package in a wheel, beside `lib/` in a checkout."""
    packaged = _PACKAGE / name
    return packaged if packaged.is_dir() else _CHECKOUT / name


def names(kind: str) -> list[str]:
    """Names that ship in `conf/KIND/`, for instance `names("datasets")`."""
    return sorted(path.stem for path in (folder("conf") / kind).glob("*.yaml"))


def jobs() -> list[str]:
    """Names of the jobs, in alphabetical order."""
    return sorted(path.stem for path in folder("jobs").glob("[a-z]*.py"))


def formats() -> list[str]:
    """Names of the formats of files that can be read, in alphabetical order."""
    return sorted(path.stem for path in (_PACKAGE / "ingest" / "formats").glob("[a-z]*.py"))


def find(kind: str, name: str) -> Path:
    """The YAML file behind a name or a path.

    Parameters
    ----------
    kind
        Folder below `conf/`: `datasets`, `features`, `models`, `search` or `gates`.
    name
        A name in that folder (`handbook`), or the path of a YAML file.

    Raises
    ------
    ConfigError
        No such file; the message lists what exists.
    """
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if path.is_file():
            return path
        raise ConfigError([f"got {name!r}, expected the path of a YAML file that exists"])
    path = folder("conf") / kind / f"{name}.yaml"
    if path.is_file():
        return path
    shipped = names(kind)
    close = get_close_matches(name, shipped, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise ConfigError(
        [f"got {name!r}, expected one of {', '.join(shipped)} (or the path of a YAML file){hint}"]
    )
