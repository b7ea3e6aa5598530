"""What comments, docstrings and pages name is there: files, links, modules, names of the code.

In backticks, a name with a dot is a module, class or attribute of ours, or stands so in the code;
a word by itself stands somewhere in the code. A path counts from the top of the repository.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from pathlib import Path

import pytest
from tests.conftest import ROOT

FOLDERS = (
    *("benchmarks", "conf", "docs", "jobs", "lib"),
    *("notebooks", "requirements", "scripts", "tests", ".ci"),
)
PATH = re.compile(rf"(?<![\w/.:~-])((?:{'|'.join(map(re.escape, FOLDERS))})/[\w./*-]*\w)")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
QUOTED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
DOTTED = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+)(?:\(.*\))?$")
WORD = re.compile(r"[A-Za-z_]\w{2,}$")
PLACEHOLDER = re.compile(r"(?<![A-Za-z])[A-Z]{3,}(?![A-Za-z])|\*")  # conf/models/NAME.yaml
# Names that are not ours and that no code of ours says.
FOREIGN = {
    *(
        "matplotlib",
        "np",
        "scipy",
        "mlflow",
        "horovod",
        "spark",
        "query",
    ),  # query: a StreamingQuery
    *("applyInPandas", "applyInPandasWithState", "transformWithStateInPandas", "approx_top_k"),
    *("ConcurrentAppendException", "log_model", "strace", "uv"),
    "main",  # the catalog of an example
    "flags_missing",  # put together from two words
}


def parts_of(path: Path) -> tuple[str, str]:
    """Prose (comments, docstrings, pages) and code of a file."""
    text = path.read_text()
    if path.suffix == ".md":
        return text, ""
    if path.suffix != ".py":
        lines = [line.partition("#") for line in text.splitlines()]
        return "\n".join(line[2] for line in lines), "\n".join(line[0] for line in lines)
    docstrings = {
        (node.body[0].lineno, node.body[0].col_offset)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node, clean=False) is not None
    }
    prose, code = [], []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        said = token.type == tokenize.COMMENT or token.start in docstrings
        (prose if said else code).append(token.string)
    return "\n".join(prose), " ".join(code).replace(" . ", ".")


FILES = [
    path
    for folder in (ROOT, *(ROOT / name for name in FOLDERS))
    for path in sorted(folder.glob("*") if folder == ROOT else folder.rglob("*"))
    if path.is_file() and path.suffix in {"", ".md", ".py", ".sh", ".toml", ".yaml", ".conf", ".in"}
]
PARTS = {path: parts_of(path) for path in FILES}
CODE = "\n".join(code for path, (_, code) in PARTS.items() if path != Path(__file__))
WORDS = set(re.findall(r"[A-Za-z_]\w*", CODE))


def names_of(path: Path) -> dict[str, set[str]]:
    """Names of a module, and those of each class in it."""
    found: dict[str, set[str]] = defaultdict(set)
    for node in ast.parse(path.read_text()).body:
        for name in _bound(node):
            found[""].add(name)
        if isinstance(node, ast.ClassDef):
            for inner in node.body:
                found[node.name] |= _bound(inner)
            for inner in ast.walk(node):
                if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
                    found[node.name].add(inner.attr)
    return found


def _bound(node: ast.AST) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.ImportFrom | ast.Import):
        return {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    targets = [getattr(node, "target", None), *getattr(node, "targets", [])]
    return {t.id for t in targets if isinstance(t, ast.Name)}


MODULES: dict[tuple[str, ...], dict[str, set[str]]] = {}
for path in (p for p in FILES if p.suffix == ".py"):
    dotted = path.relative_to(ROOT).with_suffix("").parts
    dotted = dotted[1:] if dotted[0] == "lib" else dotted
    MODULES[dotted[:-1] if dotted[-1] == "__init__" else dotted] = names_of(path)


def is_ours(name: str) -> bool:
    """Whether a dotted name leads to a module, a class or what is in them."""
    parts = tuple(name.split("."))
    for module, names in MODULES.items():
        for length in range(1, len(parts) + 1):
            if module[-length:] == parts[:length]:
                rest = parts[length:]
                if not rest or rest[0] in names[""]:
                    return len(rest) < 2 or rest[0] not in names or rest[1] in names[rest[0]]
        if parts[0] in names and parts[1] in names[parts[0]]:
            return True
    return False


def dead(path: Path) -> list[str]:
    prose, _ = PARTS[path]
    found = [name for name in PATH.findall(prose) if not PLACEHOLDER.search(name)]
    found = [name for name in found if not (ROOT / name).exists()]
    if path.suffix == ".md":
        links = [link for link in LINK.findall(prose) if "://" not in link]
        found += [link for link in links if not (path.parent / link).exists()]
    for name in QUOTED.findall(prose):
        if PLACEHOLDER.search(name) or re.split(r"\W", name)[0] in FOREIGN:
            continue
        if WORD.match(name):
            metric = name.removeprefix("fraudlake_")  # as Prometheus shows it
            found += [] if {name, metric} & WORDS or (ROOT / name).exists() else [name]
        elif match := DOTTED.match(name):
            said = match[1] in CODE or any(match[1] == file.name for file in FILES)
            found += [] if said or is_ours(match[1]) else [name]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_named_is_there(path):
    assert not dead(path)


def test_what_is_dead_is_found(tmp_path):
    page = tmp_path / "page.md"
    for text, found in {
        "see lib/fraudlake/errors.py, conf/models/NAME.yaml": [],
        "see lib/fraudlake/gone.py": ["lib/fraudlake/gone.py"],
        "[a](page.md#part), [b](https://example.org), [c](other.md)": ["other.md"],
        "`errors.ConfigError`, `Lake.read`, `fraudlake.errors`, `errors.Gone`": ["errors.Gone"],
        "`gone.load`, `Lake.gone`, `spark.gone`": ["gone.load", "Lake.gone"],
        "`ConfigError` and `GoneError`": ["GoneError"],
    }.items():
        page.write_text(text)
        PARTS[page] = parts_of(page)
        assert dead(page) == found, text
