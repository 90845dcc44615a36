"""XML documents as editors expect them: UTF-8, indented, with a document type."""

from xml.etree import ElementTree as ET


def document(root: ET.Element, *, doctype: str) -> bytes:
    """Return an element as a whole document."""
    ET.indent(root, " ")
    body: bytes = ET.tostring(root, encoding="utf-8")
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n{doctype}\n'
    return head.encode() + body + b"\n"
