"""Error messages of the parser, reduced to the line that helps."""


def one_line(message: str) -> str:
    """The reason at the heart of a nested parser message, with the option that it concerns."""
    return " ".join(message.split())
