"""What the supported browsers do not have, from MDN's browser-compat-data, and where the pages use it all the same.

The table beside the fixtures is made of the npm package (CC0):

    npm pack @mdn/browser-compat-data && tar xzf mdn-browser-compat-data-*.tgz
    python -m tests.browser_features package/data.json

A use is found by its name, for a script has no types. A member's name that another interface has had for longer
tells nothing (`AbortSignal.any` is found, as `Promise.any` would not be, by the name before it; `any` alone is not),
nor does one that the pages themselves define.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeAlias

import tinycss2
import tree_sitter_javascript
from tree_sitter import Language, Node, Parser

TABLE = Path(__file__).parent / "fixtures" / "browser-features.json"
# docs/reference/browsers.md names them, too.
SUPPORTED = {
    "chrome": "100",
    "chrome_android": "100",
    "firefox": "100",
    "firefox_android": "100",
    "safari": "15.4",
    "safari_ios": "15.4",
}
Table: TypeAlias = dict[str, set[str]]

_QUOTES = "\"'"
_OWN_OBJECTS = {"this", "upload", "photo", "tile"}  # what a script assigns to on these is no browser's
# Syntax, as browser-compat-data names it, by what tells that a node is one.
_SYNTAX: dict[str, Callable[[Node, str], bool]] = {
    "classes.static.initialization_blocks": lambda node, _: node.type == "class_static_block",
    "classes.private_class_fields_in": lambda node, text: (
        node.type == "binary_expression" and bool(re.match(r"#\w+ in ", text))
    ),
    "statements.import.import_attributes": lambda node, _: node.type == "import_attribute",
    "statements.using": lambda node, text: text.startswith("using "),
    "regular_expressions.lookbehind_assertion": lambda node, text: node.type == "regex_pattern" and "(?<!" in text,
    "regular_expressions.lookbehind_assertion ": lambda node, text: node.type == "regex_pattern" and "(?<=" in text,
    "regular_expressions.modifier": lambda node, text: (
        node.type == "regex_pattern" and bool(re.search(r"\(\?[ims-]+:", text))
    ),
    "builtins.RegExp.unicodeSets": lambda node, text: node.type == "regex_flags" and "v" in text,
    "builtins.RegExp.hasIndices": lambda node, text: node.type == "regex_flags" and "d" in text,
}


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """A feature that a file uses; `covered` if the CSS property stands before it with an older value or a prefix."""

    file: str
    feature: str
    covered: bool = False


@cache
def load_table() -> Table:
    """Return the features that at least one of the supported browsers lacks, by kind."""
    return {kind: set(names) for kind, names in json.loads(TABLE.read_text())["features"].items()}


def uses_in(path: Path, own_names: frozenset[str] = frozenset()) -> set[Use]:
    """Return what a script, style sheet or page uses of the table. `own_names` are defined by the pages' scripts."""
    text = path.read_text()
    match path.suffix:
        case ".js":
            found = _script(text, own_names)
        case ".css":
            return {Use(path.name, feature, covered) for feature, covered in _style(text)}
        case ".html":
            found = _page(text)
        case _:
            return set()
    return {Use(path.name, feature) for feature in found}


# --- scripts -----------------------------------------------------------------------------------------------------


def names_defined_in(text: str) -> set[str]:
    """Return the names that a script defines: of functions, methods, variables, keys, and what it assigns to."""
    return {_text(name) for node in _nodes(text) for name in [_defined_by(node)] if name}


def _defined_by(node: Node) -> Node | None:
    match node.type:
        case "method_definition" | "function_declaration" | "variable_declarator":
            return node.child_by_field_name("name")
        case "pair":
            return node.child_by_field_name("key")
        case "assignment_expression":
            left = node.child_by_field_name("left")
            owner = left and left.child_by_field_name("object")
            return left and left.child_by_field_name("property") if _text(owner) in _OWN_OBJECTS else None
    return None


def _script(text: str, own_names: frozenset[str]) -> Iterator[str]:
    table = load_table()
    own_here = names_defined_in(text)
    for node in _nodes(text):
        name = _text(node)
        match node.type:
            case "identifier" if name in table["globals"] and name not in own_here:
                yield name
            case "member_expression":
                owner, member = _text(node.child_by_field_name("object")), _text(node.child_by_field_name("property"))
                if f"{owner}.{member}" in table["statics"]:
                    yield f"{owner}.{member}"
            case "property_identifier" | "shorthand_property_identifier_pattern":
                if name in table["members"] and name not in own_names:
                    yield f".{name}"
            case "call_expression" | "new_expression":
                yield from _arguments(node, table)
        yield from (
            kind.strip() for kind, is_one in _SYNTAX.items() if kind.strip() in table["syntax"] and is_one(node, name)
        )


def _arguments(call: Node, table: Table) -> Iterator[str]:
    called = _text(call.child_by_field_name("function") or call.child_by_field_name("constructor")).rpartition(".")[2]
    arguments = call.child_by_field_name("arguments")
    for argument in arguments.named_children if arguments else []:
        if (
            argument.type == "string"
            and called == "addEventListener"
            and _text(argument).strip(_QUOTES) in table["events"]
        ):
            yield f"event {_text(argument).strip(_QUOTES)}"
        if argument.type != "object":
            continue
        for pair in argument.named_children:
            option = f"{called}({_text(pair.child_by_field_name('key') or pair)})"
            if option in table["options"]:
                yield option


def _nodes(text: str) -> Iterator[Node]:
    waiting = [Parser(Language(tree_sitter_javascript.language())).parse(text.encode()).root_node]
    while waiting:
        node = waiting.pop()
        assert node.type != "ERROR", f"not understood: {_text(node)[:80]}"
        yield node
        waiting += node.children


def _text(node: Node | None) -> str:
    return (node.text or b"").decode() if node else ""


# --- style sheets ------------------------------------------------------------------------------------------------


def _style(text: str) -> Iterator[tuple[str, bool]]:
    yield from _rules(tinycss2.parse_stylesheet(text, skip_comments=True, skip_whitespace=True))


def _rules(rules: list[Any]) -> Iterator[tuple[str, bool]]:
    table = load_table()
    for rule in rules:
        assert rule.type != "error", rule.message
        prelude = _selectors(rule.prelude) if rule.type == "qualified-rule" else ()
        if any(name in table["selectors"] for name in prelude):
            yield tinycss2.serialize(rule.prelude).strip(), False
        if rule.type == "at-rule":
            if f"@{rule.lower_at_keyword}" in table["at_rules"]:
                yield f"@{rule.lower_at_keyword}", False
            if rule.content is not None and rule.lower_at_keyword in {"media", "supports", "keyframes"}:
                yield from _rules(tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True))
        else:
            content = tinycss2.parse_declaration_list(rule.content, skip_comments=True, skip_whitespace=True)
            yield from _declarations(content)


def _selectors(tokens: list[Any]) -> Iterator[str]:
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type in {"ident", "function"} and before is not None and before == ":":
            yield f":{token.lower_value if token.type == 'ident' else token.lower_name}"
        if token.type == "function":
            yield from _selectors(token.arguments)


def _declarations(declarations: list[Any]) -> Iterator[tuple[str, bool]]:
    old: set[str] = set()
    for declaration in declarations:
        assert declaration.type == "declaration", declaration
        too_new = list(_declaration(declaration))
        yield from ((feature, declaration.lower_name in old) for feature in too_new)
        if not too_new or declaration.lower_name.startswith("-"):
            old.add(re.sub(r"^-[a-z]+-", "", declaration.lower_name))


def _declaration(declaration: Any) -> Iterator[str]:
    table = load_table()
    name = declaration.lower_name
    if name in table["properties"]:
        yield name
    waiting = list(declaration.value)
    while waiting:
        token = waiting.pop()
        match token.type:
            case "ident" if f"{name}: {token.lower_value}" in table["values"]:
                yield f"{name}: {token.lower_value}"
            case "dimension" if token.lower_unit in table["units"]:
                yield token.lower_unit
            case "function":
                if f"{token.lower_name}()" in table["functions"]:
                    yield f"{token.lower_name}()"
                waiting += token.arguments


# --- pages -------------------------------------------------------------------------------------------------------


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {tag, *(f"{owner} {name}" for name, _ in attrs for owner in (tag, "*"))}
        names |= {f"{tag} {name}={word}" for name, value in attrs for word in (value or "").split()}
        self.found |= names & load_table()["html"]


def _page(text: str) -> set[str]:
    tags = _Tags()
    tags.feed(text)
    return {f"<{name}>" for name in tags.found}


# --- the table ---------------------------------------------------------------------------------------------------


def make_table(data: dict[str, Any]) -> dict[str, list[str]]:
    """Return the features that at least one of the supported browsers lacks, by kind, from browser-compat-data."""
    table: Table = {
        kind: set() for kind in ("globals", "statics", "prototypes", "members", "events", "options", "syntax")
    }
    old_members: set[str] = set()
    old_events: set[str] = set()
    old_options: set[str] = set()
    builtins = data["javascript"]["builtins"]
    for part in (data["api"], builtins):
        table["globals"] |= {name for name, each in part.items() if not _is_supported(each)}
    for interface, name, feature in _members(data):
        lacking = not _is_supported(feature)
        member = re.sub(r"_static$", "", name)
        if name.endswith("_event"):
            (table["events"] if lacking else old_events).add(name.removesuffix("_event"))
            continue
        if lacking and interface in {"Window", "WorkerGlobalScope"}:
            table["globals"].add(member)
        if lacking and interface not in table["globals"] and (name != member or interface in builtins):
            table["statics"].add(f"{interface}.{member}")
        if lacking and interface not in table["globals"] and name == member:
            table["prototypes"].add(f"{interface}.{member}")
        (table["members"] if lacking else old_members).add(member)
        for option, support in feature.items():
            if found := re.fullmatch(r"options_(\w+)_parameter", option):
                (old_options if _is_supported(support) else table["options"]).add(f"{member}({found[1]})")
    table["members"] -= old_members
    table["events"] -= old_events
    table["options"] -= old_options
    table["syntax"] = {
        path for path, each in _walk(data["javascript"]) if not _is_supported(each) and path in _known_syntax()
    }
    table |= _css(data["css"])
    table["html"] = set(_html(data["html"]))
    return {kind: sorted(names) for kind, names in table.items()}


def _known_syntax() -> set[str]:
    return {name.strip() for name in _SYNTAX}


def _members(data: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for part in (data["api"], data["javascript"]["builtins"]):
        for interface, members in part.items():
            for name, feature in members.items():
                if "__compat" in feature and re.fullmatch(r"\w+", name):
                    yield interface, name, feature


def _css(data: dict[str, Any]) -> Table:
    features = {
        "properties": {name for name, each in data["properties"].items() if not _is_supported(each)},
        "values": {
            f"{name}: {value}"
            for name, each in data["properties"].items()
            for value, support in each.items()
            if value != "__compat" and not _is_supported(support)
        },
        "at_rules": {f"@{name}" for name, each in data["at-rules"].items() if not _is_supported(each)},
        "selectors": {f":{name}" for name, each in data["selectors"].items() if not _is_supported(each)},
        "functions": set(),
        "units": set(),
    }
    for path, each in _walk(data["types"]):
        if not _is_supported(each):
            for name, call in re.findall(r"<code>([\w-]+)(\(\))?</code>", each["__compat"].get("description", "")):
                if call:
                    features["functions"].add(f"{name}()")
                elif path.partition(".")[0] in {"angle", "length", "resolution", "time"}:
                    features["units"].add(name)
    return features


def _html(data: dict[str, Any]) -> Iterator[str]:
    yield from (f"* {name}" for name, each in data["global_attributes"].items() if not _is_supported(each))
    for tag, element in data["elements"].items():
        if not _is_supported(element):
            yield tag
        for name, attribute in element.items():
            if name != "__compat" and not _is_supported(attribute):
                yield f"{tag} {name}"
            for value, support in attribute.items() if name != "__compat" else ():
                if value != "__compat" and not _is_supported(support):
                    yield f"{tag} {name}={value}"


def _walk(data: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, each in data.items():
        if name != "__compat":
            if "__compat" in each:
                yield f"{path}{name}", each
            yield from _walk(each, f"{path}{name}.")


def _is_supported(feature: dict[str, Any]) -> bool:
    """Return whether all supported browsers have a feature, as it is: without a flag, under its own name."""
    support = feature.get("__compat", {}).get("support")
    return support is None or all(_has(support.get(browser, []), oldest) for browser, oldest in SUPPORTED.items())


def _has(statements: Any, oldest: str) -> bool:
    for each in statements if isinstance(statements, list) else [statements]:
        added = each["version_added"]
        renamed = each.keys() & {"flags", "prefix", "alternative_name", "version_removed"}
        if isinstance(added, str) and not renamed and added != "preview" and _version(added) <= _version(oldest):
            return True
    return False


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.removeprefix("≤").split("."))


if __name__ == "__main__":
    source = json.loads(Path(sys.argv[1]).read_text())
    head = {"source": f"@mdn/browser-compat-data {source['__meta']['version']}", "supported": SUPPORTED}
    TABLE.write_text(json.dumps({**head, "features": make_table(source)}, indent=0, sort_keys=True) + "\n")
