# SPDX-License-Identifier: Apache-2.0
"""Prints the secrets of its environment in every form of test S8, and writes them into all that lastro keeps of a step.

s8.py make DIR      30 values, DIR/S01 to DIR/S30, and forms.json: what must be found nowhere
s8.py leak          the step
"""
import base64
import json
import os
import random
import sys
import textwrap
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
from xml.sax.saxutils import escape, quoteattr


def values():
    r = random.Random(8)
    word = lambda n, alphabet="abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789": "".join(r.choice(alphabet) for _ in range(n))
    # In pieces, because this file itself is kept as the code of the step.
    pem = "\n".join([f"{'-' * 5}BEGIN {'PRIVATE'} KEY{'-' * 5}", *textwrap.wrap(word(1600), 64), f"{'-' * 5}END {'PRIVATE'} KEY{'-' * 5}"])
    out = [word(n) for n in (6, 7, 8, 12, 16, 20, 32, 40, 64, 100, 255, 1000, 4096)]
    out += [word(24, "0123456789abcdef"), word(20, "0123456789"), "ghp_" + word(36), "AKIA" + word(16).upper(), word(40, "abc+/=") + "=="]
    out += [f"postgres://ana:{word(12)}@db.example/{word(5)}?sslmode=require&x=1", f'p"{word(6)}\'q\\{word(6)}', f"<{word(8)}&{word(8)}>", f"{word(5)} {word(5)}\t{word(5)}"]
    out += ["pässwörd-" + word(6), "鍵" + word(9) + "🔑" + word(4), "$(" + word(8) + ")`" + word(4) + "`", "%41" + word(10) + "%20"]
    out += [pem, json.dumps({"type": "service" + "_account", "private" + "_key": pem, "id": word(20)}, indent=2), f"first {word(10)}\nsecond {word(10)}\r\nthird {word(10)}", word(60_000)]
    assert len(out) == 30
    return out


def encoded(v):
    """Yields (form, text) for what a step may print in one piece."""
    raw = v.encode()
    yield "raw", v
    for name, f in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        for before in ("", "x", "ab", "user:"):
            yield f"{name} after {len(before)}", f(before.encode() + raw).decode()
        yield f"{name} without padding", f(raw).decode().rstrip("=")
        yield f"{name} wrapped", base64.encodebytes(raw).decode() if name == "base64" else "\n".join(textwrap.wrap(f(raw).decode(), 64))
    yield "quote", urllib.parse.quote(v)
    yield "quote all", urllib.parse.quote(v, safe="")
    yield "quote_plus", urllib.parse.quote_plus(v)
    yield "json", json.dumps(v)
    yield "json, not ascii", json.dumps(v, ensure_ascii=False)
    yield "repr", repr(v)
    yield "hex", raw.hex()
    yield "HEX", raw.hex().upper()
    yield "xml", escape(v)
    yield "xml attribute", quoteattr(v)


def forbidden(v):
    """What may be found nowhere: each form, without quotes and line ends; of a value of several lines each line."""
    for name, text in encoded(v):
        core = text.strip("\"'\n") if name in ("json", "json, not ascii", "repr", "xml attribute") else text
        if "after" in name:  # the first and last digits belong to the neighbours too
            before = int(name.split()[-1])
            core = text.rstrip("=")[-(-before * 8 // 6):-1]
        if "\n" not in core:
            yield name, core
    for line in v.split("\n"):
        if "\n" in v and len(line.strip()) >= 12:
            yield "line", line.strip()


def make(folder):
    doc = []
    for i, v in enumerate(values(), 1):
        with open(f"{folder}/S{i:02}", "w", newline="") as f:
            f.write(v)
        doc += [{"secret": f"S{i:02}", "form": name, "text": text} for name, text in forbidden(v)]
    with open(f"{folder}/forms.json", "w") as f:
        json.dump(doc, f)


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def leak():
    secrets = {n: v for n, v in os.environ.items() if len(n) == 3 and n[0] == "S" and n[1:].isdigit()}
    assert len(secrets) == 30 and list(dict(sorted(secrets.items())).values()) == values()
    os.makedirs("work", exist_ok=True)
    for name, v in sorted(secrets.items()):
        for form, text in encoded(v):
            say(f"{form}: {text}.")
        say("reversed lines:\n" + "\n".join(reversed(v.split("\n"))))
        half = len(v.encode()) // 2
        for piece in (v.encode()[:half], v.encode()[half:], b"\n"):
            os.write(1, piece)
            time.sleep(0.002)
        try:
            raise ValueError("cannot log in with " + v)
        except ValueError:
            say(traceback.format_exc())
        say("a" * 30_000 + v + "z" * (65_536 - 30_000))
    several = list(secrets.values())
    with open("work/junit.xml", "w") as f:
        f.write('<testsuite name="s8">' + "".join(
            f'<testcase classname="s8" name={quoteattr(v[:300])}><failure message={quoteattr(v)}>{escape(v)}</failure><system-out>{escape(v)}</system-out></testcase>'
            for v in several) + "</testsuite>")
    with open("work/metrics.json", "w") as f:
        json.dump({v[:60].replace("\n", " "): 1.5 for v in several} | {"auc": 0.5}, f)
    with open("work/plot.json", "w") as f:
        json.dump({"title": several[0], "x": [1, 2], "series": {v: [1, 2] for v in several[:8]}}, f)
    with open("work/plot.csv", "w") as f:
        f.write("x," + several[3] + "\n1,2\n2,3\n")
    with open("work/plot.svg", "w") as f:
        f.write('<svg xmlns="http://www.w3.org/2000/svg"><text>' + escape("\n".join(several[:20])) + "</text></svg>")
    with open(os.environ["LASTRO_SUMMARY"], "w") as f:
        f.write("# Summary\n" + "\n".join(several[:29]))
    with open(os.environ["LASTRO_OUTPUT"], "w") as f:
        f.write("".join(f"v{i}<<END-OF-IT\n{v}\nEND-OF-IT\n" for i, v in enumerate(several[:29])))
    track(several)
    sys.exit("cannot go on without " + several[4])


def track(several):
    base = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/"

    def call(path, body=None):
        req = urllib.request.Request(base + path, json.dumps(body).encode() if body else None,
                                     {"Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"], "Content-Type": "application/json"})
        return json.load(urllib.request.urlopen(req))

    experiment = call("experiments/get-by-name?experiment_name=" + os.environ["MLFLOW_EXPERIMENT_NAME"])["experiment"]["experiment_id"]
    run = call("runs/create", {"experiment_id": experiment, "run_name": several[5], "start_time": int(time.time() * 1000),
                               "tags": [{"key": f"t{i}", "value": v[:4000]} for i, v in enumerate(several)]})["run"]["info"]["run_id"]
    kept = 0
    for i, v in enumerate(several):
        for path, body in (("runs/log-parameter", {"key": f"p{i}", "value": v[:4000]}), ("runs/set-tag", {"key": f"s{i}", "value": json.dumps(v)[:4000]}),
                           ("runs/set-tag", {"key": v[:200], "value": "x"}), ("runs/log-metric", {"key": v[:200], "value": 1, "timestamp": 1})):
            try:
                call(path, {"run_id": run, **body})
                kept += 1
            except urllib.error.HTTPError as e:
                say(f"{path} refused: {e.code}")  # not every text can be a name
    say(f"tracked {kept}")


if __name__ == "__main__":
    make(sys.argv[2]) if sys.argv[1] == "make" else leak()
