"""The few XMP properties Shoebox needs, read so that no malformed packet can fail a picture (ISO 16684-1, 7).

Expat alone, without a tree: a packet has no document type, so one that has is not read, and no entity is ever expanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from xml.parsers import expat

# A packet of JPEG has 64 KB at most. Programs write their history into those of other formats; the dates come first.
MAX_XMP_BYTES = 1024 * 1024
MAX_VALUE = 128
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_PREFIXES = {
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/xap/1.0/": "xmp",
}
NOTHING: Mapping[str, str] = MappingProxyType({})


def read_xmp(packet: bytes) -> Mapping[str, str]:
    """Return the picture's own simple properties of the four namespaces, such as `xmp:CreateDate`. Never raises.

    Of a damaged packet it answers with what stands before the damage, of one larger than `MAX_XMP_BYTES` with nothing.
    """
    if not packet or len(packet) > MAX_XMP_BYTES:
        return NOTHING
    reader = _Reader()
    with suppress(expat.ExpatError, LookupError, ValueError, _DocumentTypeError):  # Lookup, Value: an unknown encoding
        reader.read(packet.strip(b"\x00 \t\r\n"))
    return reader.properties


class _DocumentTypeError(Exception):
    pass


class _Reader:
    """Collects attributes and children of `rdf:RDF/rdf:Description`; what lies deeper is about other pictures."""

    def __init__(self) -> None:
        self.properties: dict[str, str] = {}
        self._depth = 0
        self._rdf = 0  # the depth of the outermost rdf:RDF, once it has come
        self._in_description = False
        self._text = ""

    def read(self, packet: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.CharacterDataHandler = self._data
        parser.EndElementHandler = self._end
        parser.Parse(packet, True)

    def _refuse(self, *_: object) -> None:
        raise _DocumentTypeError

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._text = ""
        if name == f"{_RDF} RDF":
            self._rdf = self._rdf or self._depth
        elif name == f"{_RDF} Description" and self._rdf and self._depth == self._rdf + 1:
            self._in_description = True
            for attribute, value in attributes.items():
                self._keep(attribute, value)

    def _data(self, text: str) -> None:
        self._text += text[: MAX_VALUE + 1 - len(self._text)]

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._depth == self._rdf:
            self._in_description = False
        elif self._in_description and self._depth == self._rdf + 1:
            self._keep(name, self._text)
        self._text = ""

    def _keep(self, name: str, value: str) -> None:
        namespace, _, local = name.partition(" ")
        prefix, value = _PREFIXES.get(namespace), value.strip()
        if prefix and 0 < len(value) <= MAX_VALUE:
            self.properties.setdefault(f"{prefix}:{local}", value)
