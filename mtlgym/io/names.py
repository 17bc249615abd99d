"""Names of files and folders made from text of any kind."""


def folder_name(text: str) -> str:
    """The text with a dash for each character that may mean something in a path."""
    return "".join(c if c.isalnum() or c in "-_.=" else "-" for c in text)
