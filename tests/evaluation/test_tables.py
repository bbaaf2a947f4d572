import csv
import io

from energy_at.evaluation.tables import aligned, csv_text


def test_all_keys_are_columns_and_what_a_row_lacks_is_empty():
    rows = [{"a": 1, "b": "x, y"}, {"a": None, "c": 0.1}]
    read = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert read == [{"a": "1", "b": "x, y", "c": ""}, {"a": "", "b": "", "c": "0.1"}]


def test_columns_are_aligned():
    assert aligned([("net", "x", "1"), ("a", "yes", "10")], left=2) == "net  x     1\na    yes  10"
