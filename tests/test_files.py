import pytest

from energy_at.files import safe_name, write_file


@pytest.mark.parametrize("content", ["täxt", b"\x00bytes"])
def test_a_file_is_written_with_its_folder_and_nothing_else(content, tmp_path):
    path = tmp_path / "new" / "file.x"
    write_file(path, "before")
    write_file(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert list(path.parent.iterdir()) == [path]


def test_a_name_can_be_part_of_a_path():
    assert safe_name("PGD-20 (eps 8/255)") == "PGD-20__eps_8_255_"
