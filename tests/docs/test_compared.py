"""What README says of models is what the comparison found."""

from tests.docs.compared import README, readme


def test_the_table_of_models_is_that_of_the_comparison() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == readme(text), "run `python -m tests.docs.compared`"
