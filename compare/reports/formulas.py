"""A formula in plain text, such as "min R(β)   s.t.   y_n⟨x_n, β⟩ ≥ 1", as MathML, which browsers set without help.

Words stay text, and what stands between them is one formula each, so that a line can break there. Indices are written
x_n, β_{nm} or xₙ, powers D^(−1/2) or w²; an accent that combines (β̂) stands over its letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import normalize

from markupsafe import Markup, escape

INDEX = re.compile(r"_(?:\{([^{}]*)\}|((?:\d+|[^\W\d_])[₀-₉ₐ-ₜᵢ-ᵥⱼ]*|\*))|([₀-₉ₐ-ₜᵢ-ᵥⱼ]+)")
POWER = re.compile(r"\^(?:\{([^{}]*)\}|\(([^()]*)\)|([−-]?[^\W_]+|\*))|([⁰-ⁿ¹²³ᵀ]+)")
TOKEN = re.compile(r"\d+(?:\.\d+)?|(?:min|max|ln|log)(?![^\W_])|[^\W\d_][\u0300-\u036f]?|\S")
WORDS = re.compile(r"(?<![\w{])\(?(?!(?:min|max|ln|log)\b)[A-Za-z]{2,}(?![\w(])\)?|s\.t\.|\s{2,}")
"""What is no formula: words of two letters or more, and wide gaps."""
ACCENTS = {"\u0302": "^", "\u0303": "~", "\u0304": "¯", "\u0307": "˙"}
SIGNS = {"Σ": "∑", "Π": "∏", "-": "−"}


def formula(text: str) -> Markup:
    """The text with everything that is not a word as MathML."""
    parts: list[Markup] = []
    end = 0
    for word in [*WORDS.finditer(text), None]:
        between = text[end : word.start() if word else len(text)]
        if between.strip():
            found = Markup("<math>{}</math>").format(row(between.strip()))
            parts.append(Markup(" ") * between[0].isspace() + found + Markup(" ") * between[-1].isspace())
        elif between:
            parts.append(Markup(" "))
        if word:
            parts.append(Markup('<span class="ib-gap"></span> ') if word[0].isspace() else escape(word[0]))
            end = word.end()
    return Markup("").join(parts)


def row(text: str) -> Markup:
    """A formula without words, as what stands inside <math>."""
    return Markup("").join(atoms(text))


def atoms(text: str) -> Iterator[Markup]:
    """Letters, numbers and signs in order, each with its index and power."""
    at = 0
    while token := TOKEN.search(text, at):
        at = token.end()
        scripts: dict[str, Markup] = {}
        for place, pattern in 2 * (("sub", INDEX), ("sup", POWER)):
            script = pattern.match(text, at)
            if script and place not in scripts:
                plain = script.lastindex == pattern.groups  # signs that are small by themselves; y in β_yₙ has its own
                scripts[place] = row(normalize("NFKC", script[0]) if plain else script[script.lastindex or 0])
                at = script.end()
        tag = "m" + "".join(sorted(scripts))
        marks = Markup("").join(Markup("<mrow>{}</mrow>").format(scripts[place]) for place in sorted(scripts))
        yield Markup("<{0}>{1}{2}</{0}>").format(Markup(tag), atom(token[0]), marks) if marks else atom(token[0])


def atom(token: str) -> Markup:
    """One letter, number or sign."""
    if token[0].isdigit() or token in "½¼":
        return Markup("<mn>{}</mn>").format(token)
    if token[1:] in ACCENTS:
        return Markup('<mover accent="true"><mi>{}</mi><mo>{}</mo></mover>').format(token[0], ACCENTS[token[1:]])
    if token in ("min", "max"):
        return Markup('<mo lspace="0" rspace="0.2em">{}</mo>').format(token)
    if token[0].isalpha() and token not in SIGNS:
        return Markup("<mi>{}</mi>").format(token)
    return Markup('<mo stretchy="false">{}</mo>').format(SIGNS.get(token, token))
