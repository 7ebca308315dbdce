"""Checks a package of evidence as whoever receives it would, and prints what was found as JSON.

Usage: evidence.py PACKAGE FOLDER. The package is unpacked into the folder, which is empty. `pypdf` reads the report.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import zipfile

import pypdf

package, folder = sys.argv[1], pathlib.Path(sys.argv[2])
with zipfile.ZipFile(package) as archive:
    assert archive.testzip() is None
    names = archive.namelist()
    archive.extractall(folder)


def sums(name):
    """How `sha256sum -c` ends."""
    return subprocess.run(["sha256sum", "-c", "--quiet", name], cwd=folder, capture_output=True).returncode


told = {line.split("  ", 1)[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
receipts = []
for receipt in sorted((folder / "archive/receipts").rglob("*.jsonl")):
    header, rest = receipt.read_bytes().split(b"\n", 1)
    receipts.append(json.loads(header)["entries_sha256"] == hashlib.sha256(rest).hexdigest())
pages = pypdf.PdfReader(folder / "report.pdf").pages
found = {
    "names": names,
    "all_have_digests": told == set(names) - {"SHA256SUMS"},
    "package": sums("SHA256SUMS"),
    "receipts": sums("RECEIPT-SHA256SUMS"),
    "entries": receipts,
    "pdf": "\n".join(page.extract_text() for page in pages),
}
print(json.dumps(found))
