"""Docstrings: what they refer to exists, and every public one has the sections that apply.

A reference to a module is a dotted path in backticks that imports. A bare name in backticks is a name of the code: what
has been moved or renamed leaves a name that stands nowhere else. The sections are Google's (`Args:`, `Returns:`,
`Raises:`), then a paragraph `Reference:`, then a doctest.
"""

import abc
import ast
import builtins
import dataclasses
import enum
import functools
import importlib
import inspect
import itertools
import keyword
import pkgutil
import re
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("solvers", "gd", "compare", "proofs")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PAGES = sorted(
    page
    for page in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    if "examples" not in page.relative_to(ROOT).parts
)

DOTTED = re.compile(r"(?<!`)`((?:solvers|gd|compare|proofs)(?:\.\w+)+)(?:\([^`]*\))?`(?!`)")
FILE = re.compile(r"`((?:solvers|gd|compare|proofs|tests|docs|benchmarks)/[\w/]+\.\w+)`")
BARE = re.compile(r"(?<!`)`([A-Za-z]\w*)(?:\(\))?`(?!`)")
SHAPE = re.compile(r"shape|\([A-Z0-9]\w*,|as in|scalar")

NO_REFERENCE = {
    # data, reports and measures have definitions, not theorems
    "compare": {
        "angle", "uniform_distance", "l2_distance", "load", "load_channels", "load_images",
        "load_image_folder",
        "run_sweep", "load_sweep", "Dataset", "Report", "Section", "Column", "Check", "Figure", "Provenance",
    },
    # the claims carry the references
    "proofs": {"claims", "find", "verify", "Claim", "Step", "Mutant"},
    "gd": {"Oracle"},
    "solvers": {"MaxMarginClassifier", "Regularizer", "ConstantWeight", "FunctionWeight"},
}  # fmt: skip


def docstrings(path):
    """(line, text) of every docstring of a file, those of fields and constants included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [
        (node.lineno, node.value.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]


def resolves(dotted):
    """Whether a dotted path is a module, or a chain of attributes (or of annotated fields) of one."""
    first, *rest = dotted.split(".")
    thing = importlib.import_module(first)
    for name in rest:
        if hasattr(thing, name):
            thing = getattr(thing, name)
        elif name in getattr(thing, "__annotations__", {}) or name in assigned(thing):
            return True
        elif inspect.ismodule(thing) and importlib.util.find_spec(f"{thing.__name__}.{name}"):
            thing = importlib.import_module(f"{thing.__name__}.{name}")
        else:
            return False
    return True


def assigned(thing):
    """The attributes that the methods of a class give to self."""
    if not inspect.isclass(thing):
        return set()
    source = "".join(inspect.getsource(base) for base in thing.__mro__ if base.__module__.split(".")[0] in PACKAGES)
    return set(re.findall(r"self\.(\w+)\b", source))


@functools.cache
def names_of_the_code():
    """Every identifier and every word of a string (no docstring) in the packages, and what Python itself brings."""
    names = {*dir(builtins), *keyword.kwlist}
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        shown = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            for field in ("id", "attr", "name", "arg"):
                if isinstance(value := getattr(node, field, None), str):
                    names |= set(value.split("."))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in shown:
                names |= set(re.findall(r"\w+", node.value))
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_docstring_refers_to_exists(path):
    wrong = []
    for line, text in docstrings(path):
        prose = re.sub(r"^ *(>>>|\.\.\.) .*$", "", text, flags=re.MULTILINE)
        wrong += [(line, name) for name in DOTTED.findall(prose) if not resolves(name)]
        wrong += [(line, name) for name in FILE.findall(prose) if not (ROOT / name).exists()]
        wrong += [(line, name) for name in BARE.findall(prose) if name not in names_of_the_code()]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_refers_to_exists(page):
    text = page.read_text(encoding="utf-8")
    assert [name for name in DOTTED.findall(text) if not resolves(name)] == []
    assert [name for name in FILE.findall(text) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", ["solvers.max_margin", "solvers.Solution.beta", "gd.flow_limit", "compare.angle"])
def test_a_reference_that_exists_is_accepted(name):
    assert resolves(name)


@pytest.mark.parametrize("name", ["solvers.no_such_module", "solvers.Solution.no_such_field", "gd.flow.no_such"])
def test_a_reference_that_points_nowhere_is_caught(name):
    assert not resolves(name)


@pytest.mark.parametrize("name", ["conv_kernel_price", "conv_kernel_path"])
def test_a_bare_name_that_was_moved_is_caught(name):
    assert BARE.findall(f"see `{name}`") == [name]
    assert name not in names_of_the_code()


def test_every_module_imports():
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)


# Sections of public docstrings


def public():
    """(package, name, object) of every public function and class."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                yield package, name, thing


@functools.cache
def results():
    """The public classes that users do not construct: functions return them, or they are fields of such a class."""
    classes = {name: thing for _, name, thing in public() if inspect.isclass(thing)}
    texts = [str(inspect.signature(f).return_annotation) for _, _, f in public() if inspect.isfunction(f)]
    found = set()
    while True:
        words = {word for text in texts for word in re.findall(r"\w+", text)}
        new = {name for name in classes if name in words} - found
        new |= {name for name in classes if any(classes[name].__bases__[0] is classes[done] for done in found)} - found
        if not new:
            return found
        found |= new
        texts += [str(kind) for name in new for kind in getattr(classes[name], "__annotations__", {}).values()]


def constructed(name, thing):
    """Whether users call it: a function, or a class that is no result, enum, exception or abstract base."""
    if inspect.isfunction(thing):
        return True
    base = issubclass(thing, (enum.Enum, BaseException)) or inspect.isabstract(thing) or abc.ABC in thing.__bases__
    return not base and name not in results() and not getattr(thing, "_is_protocol", False)


def text_of(thing):
    """The docstring, for a class with that of its constructor."""
    parts = [inspect.getdoc(thing) or ""]
    if inspect.isclass(thing) and "__init__" in vars(thing):
        parts.append(inspect.getdoc(thing.__init__) or "")
    return "\n\n".join(parts)


def section(text, title):
    """The indented lines under a title, or None."""
    found = re.search(rf"^{title}:\n((?:[ \t]+.*\n?|\n(?=[ \t]))+)", text, re.MULTILINE)
    return found and textwrap.dedent(found[1])


def parameters(thing):
    """The parameters that a caller may give."""
    try:
        signature = inspect.signature(thing)
    except ValueError:
        return {}
    return {name: p for name, p in signature.parameters.items() if name not in ("self", "args", "kwargs")}


def described_fields(thing):
    """The fields of a class that have a docstring of their own, those of its bases included."""
    names = set()
    for base in thing.__mro__[:-1]:
        if base.__module__.split(".")[0] not in PACKAGES:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body
        for node, after in itertools.pairwise(body):
            documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            if isinstance(node, ast.AnnAssign) and documented:
                names.add(node.target.id)
    return names


def raises(thing):
    """Whether the body itself raises, or that of a class's constructor."""
    bodies = [thing]
    if inspect.isclass(thing):
        bodies = [vars(thing)[name] for name in ("__init__", "__post_init__") if name in vars(thing)]
    written = (body for body in bodies if inspect.isfunction(body) and Path(body.__code__.co_filename).is_file())
    trees = (ast.parse(textwrap.dedent(inspect.getsource(body))) for body in written)
    return any(isinstance(node, ast.Raise) and node.exc for tree in trees for node in ast.walk(tree))


def missing_sections(package, name, thing):
    """What this docstring lacks, in words."""
    text = text_of(thing)
    if not text:
        return ["docstring"]
    lacks = []
    entries = (section(text, "Args") or "") + (section(text, "Attributes") or "")
    fields = described_fields(thing) if inspect.isclass(thing) else set()
    called = constructed(name, thing)
    if called or dataclasses.is_dataclass(thing):
        for parameter, spec in parameters(thing).items():
            entry = re.search(rf"^(?:\w+, )*{parameter}(?:, \w+)*:(.*?)(?=^\S|\Z)", entries, re.MULTILINE | re.DOTALL)
            if entry is None and parameter not in fields:
                lacks.append(f"parameter {parameter}")
            elif entry and inspect.isfunction(thing) and re.search(r"Array|Tensor", str(spec.annotation)):
                lacks += [f"shape of {parameter}"] * (not SHAPE.search(entry[1]))
    if inspect.isfunction(thing) and inspect.signature(thing).return_annotation not in (None, "None"):
        lacks += ["Returns"] * (section(text, "Returns") is None)
    if called:
        lacks += ["Raises"] * (raises(thing) and section(text, "Raises") is None)
        needs_reference = name not in NO_REFERENCE[package]
        lacks += ["Reference"] * (needs_reference and not re.search(r"^References?:", text, re.MULTILINE))
        lacks += ["example"] * (">>> " not in text)
    return lacks


@pytest.mark.parametrize(
    ("package", "name", "thing"), [pytest.param(*row, id=f"{row[0]}.{row[1]}") for row in public()]
)
def test_public_docstrings_have_the_sections_that_apply(package, name, thing):
    assert missing_sections(package, name, thing) == []


def test_a_docstring_without_sections_is_caught():
    def area(side, height: "ArrayLike") -> float:  # noqa: F821 - a name as annotations have it
        """An area."""
        raise ValueError

    lacks = ["parameter side", "parameter height", "Returns", "Raises", "Reference", "example"]
    assert missing_sections("solvers", "area", area) == lacks


def test_an_array_without_its_shape_is_caught():
    def total(x: "ArrayLike") -> None:  # noqa: F821 - a name as annotations have it
        """A sum.

        Args:
            x: numbers.

        Reference: the Rhind papyrus.

        >>> total([1])
        """

    assert missing_sections("solvers", "total", total) == ["shape of x"]


def test_lists_of_exceptions_name_what_is_public():
    """The list of names without a reference holds no name that has gone."""
    for package, names in NO_REFERENCE.items():
        assert names <= set(importlib.import_module(package).__all__)
