"""What lists filter by: whatever is put, in whatever order, the columns are those of the last documents."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.process.records import NEVER
from service.core.attributes import Attributes, attribute_term, deletion, is_deletion, searchable, tag_term
from service.core.log_records import UnreadableRecord
from service.core.terms import Terms

names = st.sampled_from(["a", "b", "c", "ü"])
fields = st.fixed_dictionaries(
    {},
    optional={
        "title": st.text(max_size=5),
        "category": names,
        "brand": names,
        "price": st.integers(0, 9),
        "tags": st.lists(names, max_size=3),
        "attributes": st.dictionaries(names, st.one_of(names, st.integers(0, 3), st.booleans(), st.none()), max_size=3),
        "hidden": st.booleans(),
        "available_until": st.integers(0, 9),
    },
)


@settings(max_examples=150, deadline=None)
@given(puts=st.lists(st.tuples(st.integers(0, 7), fields), max_size=30), stripped=st.booleans())
def test_the_columns_are_those_of_the_last_documents(puts: list[tuple[int, dict[str, Any]]], stripped: bool) -> None:
    items = Attributes()
    items.grow(8)
    for index, document in puts:
        text = json.dumps(document).encode()
        items.put(index, searchable(text) if stripped else text)
    last: dict[int, dict[str, Any]] = dict(puts)
    for field in ("category", "brand"):
        for name in ("a", "b", "c", "ü", "never"):
            code = items.code(field, name)
            having = {index for index, document in last.items() if document.get(field) == name}
            assert having == (set() if code is None else set(np.flatnonzero(items.codes(field) == code).tolist()))
    for tag in ("a", "b", "c", "ü"):
        having = {index for index, document in last.items() if tag in document.get("tags", [])}
        assert sorted(items.owners(tag_term(tag)).tolist()) == sorted(having)
    for value in ("a", 1, True):
        having = {
            index
            for index, document in last.items()
            if type(found := document.get("attributes", {}).get("b")) is type(value) and found == value
        }
        assert sorted(items.owners(attribute_term("b", value)).tolist()) == sorted(having)
    for index in range(8):
        document = last.get(index, {})
        np.testing.assert_equal(items.price[index], document.get("price", np.nan))
        assert items.until[index] == document.get("available_until", -NEVER)
        assert items.hidden[index] == document.get("hidden", False)


@settings(max_examples=100, deadline=None)
@given(puts=st.lists(st.tuples(st.integers(0, 40), st.sets(st.integers(0, 30), max_size=12)), max_size=60))
def test_terms_survive_being_rewritten_and_compacted(puts: list[tuple[int, set[int]]]) -> None:
    terms, last = Terms(), dict[int, set[int]]()
    for repeat in range(8):  # so that what is gone outgrows what is left
        for index, bare in puts:
            own = {(one + repeat) % 31 for one in bare}
            terms.put(index, [str(one) for one in own])
            last[index] = own
    for one in range(31):
        assert sorted(terms.owners(str(one)).tolist()) == sorted(index for index, own in last.items() if one in own)
    assert len(terms._hash) <= 4 * 1_024 + 8 * sum(map(len, last.values()))


def test_numbers_are_one_value_and_texts_and_truths_are_others() -> None:
    assert attribute_term("n", 1) == attribute_term("n", 1.0)
    assert len({attribute_term("n", value) for value in (1, "1", True, "true")}) == 4
    assert attribute_term("a", "b") != tag_term("b")


def test_what_travels_has_no_texts() -> None:
    assert json.loads(searchable(b'{"title": "T", "text": "long", "brand": "B"}')) == {"brand": "B"}
    assert searchable(b"") == b"{}"


@pytest.mark.parametrize(
    "document", [b"{", b"[]", b"null", b'{"price": "dear"}', b'{"price": []}', b'{"available_until": "soon"}']
)
def test_a_document_that_cannot_be_read_is_refused_before_it_travels(document: bytes) -> None:
    with pytest.raises(UnreadableRecord):
        searchable(document)


def test_a_deletion_is_told_from_a_document_that_speaks_of_one() -> None:
    assert is_deletion(deletion("a"))
    assert not is_deletion(b'{"item_id": "a", "attributes": {"deleted": true}}')
