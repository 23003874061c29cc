"""What goes between the service and its workers: nothing is lost on the way, and a worker is not believed."""

import asyncio
import io
import json
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upbrush.web.frames import BrokenLine, Nonsense, order_head, order_of, packed, receive, received
from upbrush.web.orders import Bench, Limits, Order, Part

orders = st.builds(
    Order,
    kind=st.sampled_from(["paint", "invented", "style", "list"]),
    style=st.none() | st.text(max_size=20),
    strength=st.floats(0, 1),
    size=st.none() | st.text(max_size=9),
    scale=st.none() | st.floats(1, 16),
    preview=st.none() | st.integers(16, 512),
    words=st.dictionaries(st.sampled_from(["name", "artist"]), st.text(max_size=9)),
)
parts = st.lists(
    st.builds(
        Part, role=st.sampled_from(["picture", "style_file"]), data=st.binary(max_size=99),
        path=st.none() | st.text(max_size=9), entry=st.none() | st.integers(0, 99),
    ),
    max_size=4,
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(orders, parts)
def test_an_order_arrives_as_it_was_given(order, parts):
    stream = io.BytesIO(order_head(order, parts) + b"".join(part.data for part in parts))
    head, data = receive(stream)
    found, got = order_of(head, data)
    assert found == order
    assert [vars(part) for part in got] == [vars(part) for part in parts]
    assert receive(stream) is None


def read(content, most=1000):
    async def run():
        stream = asyncio.StreamReader()
        stream.feed_data(content)
        stream.feed_eof()
        return await received(stream, most)

    return asyncio.run(run())


def test_an_answer_arrives():
    assert read(packed({"told": "part"}, b"abc") + b"abc") == ({"told": "part", "size": 3}, b"abc")


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=60))
def test_nonsense_from_a_worker_is_a_broken_line(content):
    with pytest.raises(BrokenLine):
        read(content)


def test_the_end_is_told_from_nonsense():
    for content in (b"", b"\0", packed({"told": "part"}, b"abc") + b"ab"):
        with pytest.raises(BrokenLine) as raised:
            read(content)
        assert not isinstance(raised.value, Nonsense)
    with pytest.raises(Nonsense):
        read(b"\0\0\0\2{]")


@pytest.mark.parametrize("size", [1001, -1, 10**12, "5", None, 2.5, [1]])
def test_a_worker_cannot_make_the_service_wait_for_memory(size):
    head = json.dumps({"size": size}).encode()
    with pytest.raises(BrokenLine):
        read(struct.pack(">I", len(head)) + head + b"x" * 50)


def test_a_head_that_is_too_long():
    with pytest.raises(BrokenLine):
        read(struct.pack(">I", 2**31) + b"x" * 100)


def test_a_bench_travels_as_json():
    bench = Bench("model", "shelf", threads=2, limits=Limits(pixels=5, worker_bytes=None))
    assert Bench.of(json.loads(json.dumps(bench.plain()))) == bench
