# SPDX-License-Identifier: Apache-2.0
"""Lines of code of a stock kernel and of public versions of it: see make_lines.sh.

Ours: the kernel (or op) with every function, record and constant of kernels/ that it uses, directly or not, once;
neither blank lines, comments nor `case`, `bench`, `schedule` and `instantiate` lines; std does not count. Theirs: the
functions named (their own helpers among them, those of another file as PATH:NAME), decorators and signatures
included, without blank lines, comments and docstrings; what the language's own library holds, configurations for
tuners and the code of the host do not count.
"""

import ast
import io
import os
import re
import statistics
import subprocess
import sys
import tokenize

DECLARATION = re.compile(r"^(kernel|fn|op|record|const|import|case|bench|schedule|instantiate)\b\s*\"?([A-Za-z0-9_./]*)")


def blocks(path):
    """Top-level declarations of a .tg file: name -> lines of code; and its imports: name -> path."""
    found, imports, current = {}, {}, None
    for line in open(path, encoding="utf-8"):
        start = DECLARATION.match(line)
        if start:
            kind, name = start.groups()
            current = name if kind in ("kernel", "fn", "op", "record", "const") else None
            if kind == "import" and name.endswith(".tg"):
                imports[os.path.basename(name)[:-3]] = os.path.normpath(os.path.join(os.path.dirname(path), name))
        text = line.split("//")[0].strip()
        if current is not None and text:
            found.setdefault(current, []).append(text)
    return found, imports


def ours(path, name, seen=None):
    """Lines of one declaration and of what it uses."""
    seen = set() if seen is None else seen
    if (path, name) in seen:
        return 0
    seen.add((path, name))
    found, imports = blocks(path)
    if name not in found:
        raise SystemExit(f"{path} has no {name}")
    lines = found[name]
    text = " ".join(lines)
    total = len(lines)
    for module, function in re.findall(r"\b([A-Za-z_0-9]+)\.([A-Za-z_0-9]+)", text):
        if module in imports and function in blocks(imports[module])[0]:
            total += ours(imports[module], function, seen)
    for word in set(re.findall(r"(?<![.\w])([A-Za-z_][A-Za-z_0-9]*)", text)) - {name}:
        if word in found:
            total += ours(path, word, seen)
    return total


def lines_of(source, name):
    """The numbers of the lines of code of a Python function (Outer.inner for nested ones)."""
    code, nodes = set(), {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            code.update(range(token.start[0], token.end[0] + 1))

    def walk(node, prefix):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                nodes.setdefault(prefix + child.name, child)
                walk(child, prefix + child.name + ".")
            else:
                walk(child, prefix)

    walk(ast.parse(source), "")
    node = nodes[name]
    rows = set(range(min([node.lineno] + [d.lineno for d in node.decorator_list]), node.end_lineno + 1))
    for inner in ast.walk(node):
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant) and isinstance(inner.value.value, str):
            rows -= set(range(inner.lineno, inner.end_lineno + 1))
    return rows & code


def theirs(read, path, names):
    """Lines of functions, each line once; read gives the text of a file of the repository."""
    counted = set()
    for name in names:
        file, _, function = name.rpartition(":")
        counted |= {(file or path, line) for line in lines_of(read(file or path), function)}
    return len(counted)


def rows_of(data):
    """The data file: `kernel FILE NAME` begins a row, `public REPOSITORY COMMIT PATH FUNCTIONS LINES` belongs to it."""
    rows = []
    for line in open(data, encoding="utf-8"):
        words = line.split("#")[0].split()
        if words and words[0] == "kernel":
            rows.append({"file": words[1], "name": words[2], "public": []})
        elif words:
            _, repository, commit, path, functions, lines = words
            rows[-1]["public"].append((repository, commit, path, functions, int(lines)))
    return rows


def recount(rows, sources):
    """Public lines again, from clones DIR/OWNER+NAME; says what differs."""
    wrong = 0
    for row in rows:
        for repository, commit, path, functions, lines in row["public"]:
            clone = os.path.join(sources, repository.replace("/", "+"))
            clone = os.path.join(clone, "repo") if os.path.isdir(os.path.join(clone, "repo")) else clone
            if not os.path.isdir(clone):
                print(f"{repository}: no clone, not counted again")
                continue

            def read(file):
                show = ["git", "-C", clone, "show", f"{commit}:{file}"]
                return subprocess.run(show, capture_output=True, check=True).stdout.decode()

            count = theirs(read, path, functions.split(","))
            if count != lines:
                print(f"{repository} {path} {functions}: {count} lines, the data file says {lines}")
                wrong += 1
    return wrong


def main():
    here, mode = os.path.dirname(os.path.abspath(__file__)), sys.argv[1]
    rows = rows_of(os.path.join(here, "lines.txt"))
    if mode == "recount":
        return recount(rows, sys.argv[2]) != 0
    longer = 0
    print("| kernel | lines | public versions | median | share |")
    print("|---|---:|---|---:|---:|")
    for row in rows:
        count = ours(os.path.normpath(os.path.join(here, "../kernels", row["file"])), row["name"])
        median = statistics.median(p[4] for p in row["public"])
        public = "; ".join(f"{p[4]}: {p[0]} `{p[2]}`" for p in row["public"])
        print(f"| `{row['name']}` ({row['file']}) | {count} | {public} | {median:g} | {100 * count / median:.0f} % |")
        if 2 * count > median:
            longer += 1
            print(f"{row['name']}: {count} lines, more than half of {median:g}", file=sys.stderr)
    return longer != 0


if __name__ == "__main__":
    sys.exit(main())
