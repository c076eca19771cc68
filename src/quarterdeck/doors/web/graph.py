"""Where a directed graph is drawn: in layers from the top, few crossings, and nothing over anything else.

The longest way to a node decides its layer. Between two layers lies one of labels: an edge passes each layer on its way
as a point, and where it has a label, that point is as wide as the label.
"""

from bisect import bisect_right, insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

NODES, EDGES, POINTS = 60, 120, 1_000
"""A larger graph is not drawn: nobody would see anything in it."""
NODE_HEIGHT, LABEL_HEIGHT = 46.0, 20.0
GAP, LAYER_GAP, MARGIN = 20.0, 16.0, 10.0
LOOP = 34.0
"""How far an edge to itself stands out at a node's side."""
_POINT_WIDTH, _PORT_GAP = 8.0, 22.0
_ORDERINGS, _SHIFTS = 8, 24
_STRAIGHT = 8
"""How much more an edge wants to be straight on its way than at its ends."""


@dataclass(frozen=True)
class Node:
    """What is drawn as a box of this width."""

    name: str
    width: float


@dataclass(frozen=True)
class Edge:
    """From one node to another, or to itself; `label` is the width that its words need, 0 without any."""

    source: str
    target: str
    label: float = 0


@dataclass(frozen=True)
class Point:
    """A place in the picture."""

    x: float
    y: float


@dataclass(frozen=True)
class Way:
    """How an edge is drawn: from border to border through these points, which it passes upright."""

    edge: Edge
    points: tuple[Point, ...]
    label: Point
    """The middle of its words, if it has any."""
    back: bool
    """It leads back up, to what came before: a loop."""


@dataclass(frozen=True)
class Layout:
    """The picture: the middle of each node, by its name, and the edges as they were given."""

    width: float
    height: float
    places: dict[str, Point]
    ways: tuple[Way, ...]


@dataclass
class _Spot:
    """A node, or the point at which an edge passes a layer."""

    width: float
    rank: int
    point: bool = False
    above: list[int] = field(default_factory=list[int])
    below: list[int] = field(default_factory=list[int])
    order: int = 0
    x: float = 0


def layout(nodes: Sequence[Node], edges: Sequence[Edge], *, bottom: Collection[str] = ()) -> Layout | None:
    """The picture of a graph, which begins with the first of `nodes`; those of `bottom` stand below all others.

    None when it is too large to be drawn. The ends of every edge must be nodes, and no edge leaves `bottom`.
    """
    if len(nodes) > NODES or len(edges) > EDGES:
        return None
    back, layers = _layers(nodes, edges, bottom)
    spots = {node.name: _Spot(node.width, 2 * layers[node.name]) for node in nodes}
    numbered, number = list(spots.values()), {name: place for place, name in enumerate(spots)}
    chains: list[list[int]] = []
    for place, edge in enumerate(edges):
        if edge.source == edge.target:  # room on both sides, so that the node stays in the middle of it
            loops = numbered[number[edge.source]]
            loops.width = max(loops.width, _width(nodes, edge.source) + 2 * (LOOP + edge.label))
            chains.append([])
            continue
        ends = (edge.target, edge.source) if place in back else (edge.source, edge.target)
        first, last = number[ends[0]], number[ends[1]]
        inner = range(numbered[first].rank + 1, numbered[last].rank)
        if len(numbered) + len(inner) > POINTS:
            return None
        at_label = inner[-1] if place in back else inner[0]
        points = [
            _Spot(edge.label if rank == at_label and edge.label else _POINT_WIDTH, rank, point=True) for rank in inner
        ]
        chain = [first, *range(len(numbered), len(numbered) + len(points)), last]
        numbered += points
        for upper, lower in pairwise(chain):
            numbered[upper].below.append(lower)
            numbered[lower].above.append(upper)
        chains.append(chain)
    ranks = _ordered(numbered)
    _shift(numbered, ranks)
    return _drawn(nodes, edges, back, numbered, chains)


def _width(nodes: Sequence[Node], name: str) -> float:
    return next(node.width for node in nodes if node.name == name)


def _walked(nodes: Sequence[Node], edges: Sequence[Edge]) -> tuple[frozenset[int], list[str]]:
    """Which edges lead back to where a walk came from, and an order of the nodes in which all others lead on."""
    leaving: dict[str, list[int]] = {node.name: [] for node in nodes}
    for place, edge in enumerate(edges):
        leaving[edge.source].append(place)
    back, done, on_the_way = set[int](), dict[str, None](), set[str]()

    def walk(name: str) -> None:
        on_the_way.add(name)
        for place in leaving[name]:
            target = edges[place].target
            if target in on_the_way:
                back.add(place)
            elif target not in done:
                walk(target)
        on_the_way.discard(name)
        done[name] = None

    for node in nodes:
        if node.name not in done:
            walk(node.name)
    return frozenset(back), list(done)[::-1]


def _layers(
    nodes: Sequence[Node], edges: Sequence[Edge], bottom: Collection[str]
) -> tuple[frozenset[int], dict[str, int]]:
    """Which edges lead back, and the layer of each node by the longest way to it."""
    back, order = _walked(nodes, edges)
    leading = [edge for place, edge in enumerate(edges) if place not in back]
    place_of, layers = {name: place for place, name in enumerate(order)}, dict.fromkeys(order, 0)
    for edge in sorted(leading, key=lambda edge: place_of[edge.source]):
        layers[edge.target] = max(layers[edge.target], layers[edge.source] + 1)
    lowest = max((layer for name, layer in layers.items() if name not in bottom), default=-1) + 1
    return back, {name: lowest if name in bottom else layer for name, layer in layers.items()}


def _ordered(spots: list[_Spot]) -> list[list[int]]:
    """The layers, each in an order with few crossings: by the mean place of what a spot is tied to, down and up."""
    ranks: list[list[int]] = [[] for _ in range(max(spot.rank for spot in spots) + 1)]
    for number, spot in enumerate(spots):
        ranks[spot.rank].append(number)
    best, least = [list(rank) for rank in ranks], _crossings(spots, ranks)
    for turn in range(_ORDERINGS):
        for rank in ranks if turn % 2 == 0 else ranks[::-1]:
            means = {number: _mean_order(spots, number, down=turn % 2 == 0) for number in rank}
            rank.sort(key=means.__getitem__)
            for place, number in enumerate(rank):
                spots[number].order = place
        if (found := _crossings(spots, ranks)) < least:
            best, least = [list(rank) for rank in ranks], found
    return best


def _mean_order(spots: list[_Spot], number: int, *, down: bool) -> float:
    tied = spots[number].above if down else spots[number].below
    return sum(spots[one].order for one in tied) / len(tied) if tied else spots[number].order


def _crossings(spots: list[_Spot], ranks: list[list[int]]) -> int:
    """How many edges cross; numbers the spots of each layer on the way."""
    for rank in ranks:
        for place, number in enumerate(rank):
            spots[number].order = place
    crossed = 0
    for rank in ranks:
        passed: list[int] = []
        for number in rank:
            ends = sorted(spots[one].order for one in spots[number].below)
            crossed += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return crossed


def _shift(spots: list[_Spot], ranks: list[list[int]]) -> None:
    """Moves all to the middle of what they are tied to, as far as their neighbours in the layer let them."""
    for rank in ranks:
        _spread([spots[number] for number in rank], [0.0] * len(rank))
    for turn in range(_SHIFTS):
        for rank in ranks if turn % 2 == 0 else ranks[::-1]:
            row = [spots[number] for number in rank]
            _spread(row, [_wanted(spots, spot, turn) for spot in row])


def _wanted(spots: list[_Spot], spot: _Spot, turn: int) -> float:
    sides = (spot.above, spot.below, (*spot.above, *spot.below))
    tied = sides[2 if turn >= _SHIFTS - 6 else turn % 2] or sides[2]
    weights = [_STRAIGHT if spot.point and spots[one].point else 1 for one in tied]
    total = sum(weight * spots[one].x for weight, one in zip(weights, tied, strict=True))
    return total / sum(weights) if tied else spot.x


def _spread(row: list[_Spot], wanted: list[float]) -> None:
    """Puts a layer's spots as near to what they want, by least squares, as order and distance allow."""
    lefts, left = list[float](), 0.0
    for place, spot in enumerate(row):
        left += (row[place - 1].width + spot.width) / 2 + GAP if place else 0
        lefts.append(left)
    blocks: list[tuple[float, int]] = []  # the mean of what is wanted of a block's first, and how many it has
    for spot_wants, offset in zip(wanted, lefts, strict=True):
        mean, size = spot_wants - offset, 1
        while blocks and blocks[-1][0] > mean:
            earlier, count = blocks.pop()
            mean, size = (earlier * count + mean * size) / (count + size), count + size
        blocks.append((mean, size))
    starts = [mean for mean, size in blocks for _ in range(size)]
    for spot, start, offset in zip(row, starts, lefts, strict=True):
        spot.x = start + offset


def _drawn(
    nodes: Sequence[Node], edges: Sequence[Edge], back: frozenset[int], spots: list[_Spot], chains: list[list[int]]
) -> Layout:
    left = min(spot.x - spot.width / 2 for spot in spots) - MARGIN
    width = max(spot.x + spot.width / 2 for spot in spots) + MARGIN - left
    for spot in spots:
        spot.x -= left
    step = (NODE_HEIGHT + LABEL_HEIGHT) / 2 + LAYER_GAP
    heights = [MARGIN + NODE_HEIGHT / 2 + step * rank for rank in range(max(spot.rank for spot in spots) + 1)]
    places = {node.name: Point(spots[n].x, heights[spots[n].rank]) for n, node in enumerate(nodes)}
    ports = _ports(nodes, spots, chains)
    ways: list[Way] = []
    for place, (edge, chain) in enumerate(zip(edges, chains, strict=True)):
        if not chain:
            ways.append(_loop(edge, places[edge.source], _width(nodes, edge.source)))
            continue
        inner = [_passed(spots[n], heights[spots[n].rank]) for n in chain[1:-1]]
        top = Point(ports[place, chain[0]], heights[spots[chain[0]].rank] + NODE_HEIGHT / 2)
        end = Point(ports[place, chain[-1]], heights[spots[chain[-1]].rank] - NODE_HEIGHT / 2)
        points = (top, *(point for pair in inner for point in pair), end)
        leads_back = place in back
        above, below = inner[-1 if leads_back else 0]
        label = Point(above.x, (above.y + below.y) / 2)
        ways.append(Way(edge, points[::-1] if leads_back else points, label, leads_back))
    return Layout(width, heights[-1] + NODE_HEIGHT / 2 + MARGIN, places, tuple(ways))


def _passed(spot: _Spot, y: float) -> tuple[Point, Point]:
    """Upright past the whole height of a layer, so that no curve touches what stands beside it."""
    half = (NODE_HEIGHT if spot.rank % 2 == 0 else LABEL_HEIGHT) / 2
    return Point(spot.x, y - half), Point(spot.x, y + half)


def _ports(nodes: Sequence[Node], spots: list[_Spot], chains: list[list[int]]) -> dict[tuple[int, int], float]:
    """Where each edge meets the border of its nodes: side by side, in the order of where they come from."""
    found: dict[tuple[int, int], float] = {}
    for number, node in enumerate(nodes):
        for here, next_to_it in ((0, 1), (-1, -2)):
            met = [place for place, chain in enumerate(chains) if chain and chain[here] == number]
            met.sort(key=[spots[chain[next_to_it]].x if chain else 0 for chain in chains].__getitem__)
            gap = min(_PORT_GAP, (node.width - _PORT_GAP) / len(met)) if met else 0
            for at, place in enumerate(met):
                found[place, number] = spots[number].x + (at - (len(met) - 1) / 2) * gap
    return found


def _loop(edge: Edge, at: Point, width: float) -> Way:
    side, far = at.x + width / 2, at.x + width / 2 + LOOP * 0.7
    points = (Point(side, at.y + 9), Point(far, at.y), Point(side, at.y - 9))
    return Way(edge, points, Point(side + LOOP * 0.6 + edge.label / 2, at.y), back=True)
