"""Pictures of graphs: everything is there once, nothing lies over anything else, and edges meet their nodes."""

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.doors.web import graph
from quarterdeck.doors.web.graph import Edge, Layout, Node, Point, layout

Box = tuple[float, float, float, float]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Node], list[Edge], list[str]]:
    """Any graph, with loops and what nothing leads to; some of the nodes that no edge leaves are to stand below."""
    widths = draw(st.lists(st.floats(60, 300), min_size=1, max_size=12))
    nodes = [Node(f"n{place}", width) for place, width in enumerate(widths)]
    names = st.sampled_from([node.name for node in nodes])
    ends = draw(st.lists(st.tuples(names, names), max_size=24, unique=True))
    edges = [Edge(source, target, draw(st.sampled_from([0.0, 40.0, 160.0]))) for source, target in ends]
    leaving = {edge.source for edge in edges}
    last = [node.name for node in nodes if node.name not in leaving]
    return nodes, edges, draw(st.lists(st.sampled_from(last), unique=True)) if last else []


def box(at: Point, width: float, height: float) -> Box:
    return at.x - width / 2, at.y - height / 2, at.x + width / 2, at.y + height / 2


def over(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def boxes(nodes: list[Node], found: Layout) -> dict[str, Box]:
    """All that has a width: nodes, and the words at edges."""
    drawn = {node.name: box(found.places[node.name], node.width, graph.NODE_HEIGHT) for node in nodes}
    labels = {
        f"{way.edge.source} {way.edge.target}": box(way.label, way.edge.label, graph.LABEL_HEIGHT)
        for way in found.ways
        if way.edge.label
    }
    return drawn | labels


@given(graphs())
def test_all_of_a_graph_is_drawn_and_nothing_over_anything(drawn: tuple[list[Node], list[Edge], list[str]]) -> None:
    nodes, edges, bottom = drawn
    found = layout(nodes, edges, bottom=bottom)
    assert found is not None
    assert list(found.places) == [node.name for node in nodes]
    assert [way.edge for way in found.ways] == edges
    there = boxes(nodes, found)
    for (name, one), (other_name, other) in combinations(there.items(), 2):
        assert not over(one, other), (name, other_name)
    for left, top, right, end in there.values():
        assert min(left, top) >= 0
        assert right <= found.width
        assert end <= found.height
    for way in found.ways:
        for name, point in ((way.edge.source, way.points[0]), (way.edge.target, way.points[-1])):
            left, top, right, end = there[name]
            assert left - 1e-6 <= point.x <= right + 1e-6, "it meets its node"
            assert min(abs(point.y - top), abs(point.y - end), abs(point.x - right)) < 1e-6, "at its border"
        source, target = found.places[way.edge.source].y, found.places[way.edge.target].y
        assert way.back == (source >= target), "down, or drawn as a way back"
    for name in bottom:
        assert all(found.places[name].y >= at.y for at in found.places.values())
    for way in found.ways:
        for point in way.points[1:-1] if way.edge.source != way.edge.target else ():
            mine = (way.edge.source, way.edge.target, f"{way.edge.source} {way.edge.target}")
            inside = [name for name, (left, top, right, end) in there.items()
                      if name not in mine and left < point.x < right and top < point.y < end]  # fmt: skip
            assert not inside, "no edge passes through what is not its own"


def test_a_chain_stands_straight_and_a_loop_leads_back() -> None:
    nodes = [Node(name, 100) for name in "abcd"]
    found = layout(nodes, [Edge("a", "b"), Edge("b", "c", 40), Edge("c", "b", 30), Edge("c", "d")], bottom=["d"])
    assert found is not None
    ys = [found.places[name].y for name in "abcd"]
    assert ys == sorted(set(ys))
    assert [way.back for way in found.ways] == [False, False, True, False]
    assert found.ways[2].points[0].y > found.ways[2].points[-1].y
    assert abs(found.places["a"].x - found.places["b"].x) < 30


def test_few_edges_cross() -> None:
    """Two pairs that are given the wrong way round are drawn side by side."""
    nodes = [Node(name, 80) for name in ("top", "left", "right", "of_right", "of_left")]
    edges = [Edge("top", "left"), Edge("top", "right"), Edge("right", "of_right"), Edge("left", "of_left")]
    found = layout(nodes, edges)
    assert found is not None
    at = found.places
    assert (at["left"].x < at["right"].x) == (at["of_left"].x < at["of_right"].x)


def test_what_is_too_large_is_not_drawn() -> None:
    many = [Node(f"n{place}", 80) for place in range(graph.NODES + 1)]
    assert layout(many, []) is None
    few = many[: graph.NODES]
    assert layout(few, [Edge("n0", "n1")] * (graph.EDGES + 1)) is None
    chain = [Edge(one.name, other.name) for one, other in pairwise(few)]
    assert layout(few, chain) is not None
    assert layout(few, chain + [Edge("n0", one.name) for one in few[2:]]) is None, "each passes many layers"
