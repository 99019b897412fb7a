#!/bin/sh
# Makes rpmdb.sqlite: 40 packages of our own in RPM's table, in WAL mode, one with a header of many pages.
cd "$(dirname "$0")" && rm -f rpmdb.sqlite && python3 - <<'PYTHON'
import sqlite3
import struct


def header(name, version, release, files):
    index, data = b"", b""
    for tag, kind, count, value in [
        (1000, 6, 1, name.encode() + b"\0"),
        (1001, 6, 1, version.encode() + b"\0"),
        (1002, 6, 1, release.encode() + b"\0"),
        (1022, 6, 1, b"noarch\0"),
        (1027, 8, len(files), b"".join(file.encode() + b"\0" for file in files)),
    ]:
        if count:
            index += struct.pack(">4I", tag, kind, len(data), count)
            data += value
    return struct.pack(">2I", len(index) // 16, len(data)) + index + data


db = sqlite3.connect("rpmdb.sqlite")
db.execute("PRAGMA page_size = 512")
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE IF NOT EXISTS 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)")
db.execute("CREATE TABLE IF NOT EXISTS 'Name' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL)")
for number in range(40):
    files = [f"/usr/share/demo/{file}" for file in range(200 if number == 7 else 1)]
    db.execute("INSERT INTO Packages (blob) VALUES (?)", (header(f"demo-{number}", "1.0", "1", files),))
db.commit()
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
db.close()
PYTHON
