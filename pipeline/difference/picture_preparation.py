"""Finds the normalisation of a network whose file does not state it, by agreement with the other side.

The mean, std and order of channels that another program uses in front of a network are in none of its files.
Usual ones, and those of the other side, are tried on a few pictures.
"""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.difference.decibels import ratio_db
from pipeline.difference.real_graph import read_real_graph
from pipeline.difference.side import Array, Pictures, Side, Unprepared
from pipeline.models.input_form import InputForm, usual_forms

TRIED_ON = 8
"""Pictures."""
FOUND_DB = 20.0
"""What the best form has at least, as two roundings of one network have. Below it something else differs too,
and the picture is better judged at the first layer."""
SCORED = 1e-9


@dataclass(frozen=True)
class TriedForm:
    """A form, and how far the network then agrees with the other side, in dB."""

    form: InputForm
    agreement_db: float


def prepared(a: Side | Unprepared, b: Side | Unprepared, pictures: Pictures) -> tuple[Side, Side]:
    """Return both sides with the preparation of their pictures; notes say where it is from."""
    if isinstance(a, Unprepared) and isinstance(b, Unprepared):
        a = _as_stated(a)
    if isinstance(a, Side):
        return a, b if isinstance(b, Side) else _like(b, a, pictures)
    assert isinstance(b, Side)  # noqa: S101 - one of them is
    return _like(a, b, pictures), b


def _as_stated(one: Unprepared) -> Side:
    """Open a network in the form that its description states, else in the most usual one, and say so."""
    if one.stated is not None:
        return _noted(one.opened(one.stated), f"{one.name} takes {one.takes}: pictures {one.stated.name}")
    form = next(usual_forms(one.size[2]))
    return _noted(
        one.opened(form),
        f"{one.name} takes {one.takes}, and nothing says how its pictures are normalised: taken was"
        f" {form.name}. Let edgec find out: edgec doctor {one.name} --data FOLDER --write",
    )


def _like(one: Unprepared, other: Side, pictures: Pictures) -> Side:
    if one.stated is not None:
        return _as_stated(one)
    few = pictures[:TRIED_ON]
    own = own_form(other)
    given = (*one.own_forms, *_both_orders(own), *usual_forms(one.size[2]))
    forms = tuple(dict.fromkeys(given))
    tried = sorted(_tried(one, other, forms, few), key=lambda found: -found.agreement_db)
    if not tried:
        return _as_stated(one)
    best, found = tried[0], f"{one.name} takes {one.takes}, and nothing says how its pictures are normalised"
    if best.agreement_db < FOUND_DB:
        form = own or best.form
        return _noted(
            one.opened(form),
            f"{found}. None of {len(tried)} usual ways makes it agree with {other.name} (the best, "
            f"{best.form.name}: {best.agreement_db:.0f} dB), so it is given {form.name}: if the picture is at"
            " fault, that is said below",
        )
    lines = ", ".join(best.form.lines)
    rest = [one for one in tried[1:] if one.form.lines != best.form.lines]
    second = f", the next best, {rest[0].form.name}, to {rest[0].agreement_db:.0f} dB" if rest else ""
    return _noted(
        one.opened(best.form),
        f"{found}. Found by trying {len(tried)}: {best.form.name} ({lines}) agrees with {other.name} to"
        f" {best.agreement_db:.0f} dB{second}",
    )


def _both_orders(own: InputForm | None) -> tuple[InputForm, ...]:
    """Return a form for RGB, and for a network whose channels are in the order BGR."""
    if own is None or len(own.mean) == 1 or own.colors == "BGR":
        return () if own is None else (own,)
    return own, InputForm(f"{own.name}, BGR", own.mean[::-1], own.std[::-1], "BGR")


def _tried(one: Unprepared, other: Side, forms: tuple[InputForm, ...], pictures: Pictures) -> list[TriedForm]:
    wanted = _scores(other.logits(pictures))
    tried = []
    for form in forms:
        found = one.scores(form, pictures)
        if found.shape != wanted.shape:
            return []
        tried.append(TriedForm(form, ratio_db(_centred(wanted), _centred(found))))
    return tried


def _scores(logits: Array) -> Array:
    """Return logarithms of probabilities [N, classes], for pixels of their mean over pixels."""
    values = logits.astype(np.float64).reshape(*logits.shape[:2], -1)
    power = np.exp(values - values.max(1, keepdims=True))
    scores: Array = np.log(np.maximum((power / power.sum(1, keepdims=True)).mean(2), SCORED))
    return scores


def _centred(scores: Array) -> Array:
    centred: Array = scores - scores.mean(1, keepdims=True)
    return centred


def own_form(side: Side) -> InputForm | None:
    """Return how a graph that takes pixels normalises them; None if not by a mean and a std."""
    if side.graph is None or side.size is None:
        return None
    graph = read_real_graph(side.graph)
    first = next((node for node in graph.nodes if node.operator == "Conv"), None)
    if first is None or side.size[2] not in (1, 3):
        return None
    levels = np.zeros((2, *side.size), np.uint8)
    levels[1] = 255
    read = first.inputs[0]
    from pipeline.difference.observed import tensor_values

    seen = np.asarray(tensor_values(graph, levels)[read], np.float64)
    if seen.ndim != 4 or seen.shape[1] != side.size[2]:
        return None
    black, white = seen[0].mean((1, 2)), seen[1].mean((1, 2))
    if (white <= black).any():
        return None
    std = 1 / (white - black)
    found = InputForm(f"that of {side.name}", tuple((-black * std).tolist()), tuple(std.tolist()))
    return next((one for one in usual_forms(side.size[2]) if _alike(one, found)), found)


def _alike(one: InputForm, other: InputForm) -> bool:
    """Whether two forms are the same up to the rounding of float32."""
    ours, theirs = (np.asarray([*form.mean, *form.std]) for form in (one, other))
    return one.colors == other.colors and bool(np.allclose(ours, theirs, atol=1e-5))


def _noted(side: Side, note: str) -> Side:
    return replace(side, notes=(note, *side.notes))
