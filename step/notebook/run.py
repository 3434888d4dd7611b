# SPDX-License-Identifier: Apache-2.0
"""Executes a notebook with parameters, for the step kind notebook.

usage: run.py JOB

JOB is a JSON file: notebook (path), out (path of the executed copy), params (name: value) and result (path). When
something is wrong, result becomes a JSON object with problem and what belongs to it, and the exit status is 1. What
cells print goes to standard output as it comes.
"""
import importlib.util
import json
import keyword
import os
import re
import sys
import tempfile

PACKAGES = ["nbclient", "nbformat", "ipykernel"]
PARAMETERS, INJECTED = "parameters", "injected-parameters"  # papermill's tags


class Problem(Exception):
    """What the person who wrote the notebook can mend."""

    def __init__(self, problem, **more):
        super().__init__(problem)
        self.document = {"problem": problem, **more}


def main(job):
    missing = [p for p in PACKAGES if importlib.util.find_spec(p) is None]
    if missing:
        raise Problem("packages", missing=missing)
    nb = read(job["notebook"])
    inject(nb, job["params"])
    execute(nb, job["out"], kernel_of(nb))


def read(path):
    import nbformat
    try:
        with open(path, encoding="utf-8") as f:
            nb = nbformat.reader.reads(f.read())
        nb = nbformat.convert(nb, 4)
        nbformat.validate(nb)
        return nb
    except Exception as e:
        raise Problem("unreadable", why=str(e).splitlines()[0][:300] if str(e) else type(e).__name__) from e


def kernel_of(nb):
    """Returns the name of the notebook's kernel, which must be one of this environment."""
    from jupyter_client.kernelspec import KernelSpecManager
    own = KernelSpecManager(kernel_dirs=[os.path.join(sys.prefix, "share", "jupyter", "kernels")])
    known = sorted(own.find_kernel_specs())
    name = nb.metadata.get("kernelspec", {}).get("name", "")
    if name not in known:
        raise Problem("kernel", name=name, known=known)
    return name


def inject(nb, params):
    """Puts the parameters after the cell with the tag parameters, or at the top; an older injection is replaced."""
    import nbformat
    wrong = [n for n in params if not n.isidentifier() or keyword.iskeyword(n)]
    if wrong:
        raise Problem("params", names=wrong)
    nb.cells = [c for c in nb.cells if INJECTED not in c.metadata.get("tags", [])]
    for number, cell in enumerate(nb.cells, 1):
        cell.metadata["lastro_cell"] = number  # taken out again before the copy is written
    if not params:
        return
    source = "# Parameters\n" + "\n".join(f"{name} = {value!r}" for name, value in params.items())
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": [INJECTED]})
    cell["id"] = INJECTED  # not a random one: equal runs give equal copies
    if nb.nbformat == 4 and nb.nbformat_minor < 5:
        del cell["id"]
    tagged = [i for i, c in enumerate(nb.cells) if PARAMETERS in c.metadata.get("tags", [])]
    nb.cells.insert(tagged[0] + 1 if tagged else 0, cell)


def execute(nb, out, kernel):
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    total = len([c for c in nb.cells if "lastro_cell" in c.metadata])

    def name(cell):
        number = cell.metadata.get("lastro_cell")
        return f"cell {number} of {total}" if number else "the parameters that were injected"

    class Client(NotebookClient):
        running = None

        def output(self, outs, msg, display_id, cell_index):
            show(msg)
            return super().output(outs, msg, display_id, cell_index)

    def begin(cell, cell_index, **_):
        Client.running = cell
        if cell.cell_type == "code" and cell.source.strip():
            print(f"--- {name(cell)}", flush=True)

    # Timing would make the copies of equal runs differ. The limit is the step's own.
    specs = KernelSpecManager(kernel_dirs=[os.path.join(sys.prefix, "share", "jupyter", "kernels")])
    manager = AsyncKernelManager(kernel_name=kernel, kernel_spec_manager=specs)
    # Sockets in the step's own folder, which nobody else can enter. An address holds 107 bytes: from here it is short.
    sockets = os.path.join(os.path.relpath(tempfile.gettempdir()), "kernel")
    if len(sockets) < 90:
        manager.transport, manager.ip = "ipc", sockets
    client = Client(nb, km=manager, timeout=None, record_timing=False, on_cell_start=begin, resources={"metadata": {"path": os.getcwd()}})
    try:
        client.execute()
    except CellExecutionError as e:
        raise Problem("cell", cell=name(Client.running), error=e.ename) from None
    except DeadKernelError:
        raise Problem("died", cell=name(Client.running) if Client.running else "") from None
    except (RuntimeError, OSError) as e:  # OSError: the kernel's own program is not there, or cannot be started
        raise Problem("start", why=(str(e) or type(e).__name__).splitlines()[0][:300]) from e
    finally:
        for cell in nb.cells:
            cell.metadata.pop("lastro_cell", None)
        write(nb, out)


def write(nb, out):
    import nbformat
    os.makedirs(os.path.dirname(out), exist_ok=True)
    with open(out, "w", encoding="utf-8") as f:
        nbformat.write(nb, f)


ansi = re.compile(r"\x1b\[[0-9;]*m")


def show(msg):
    """Prints what a cell prints, as text."""
    content = msg["content"]
    kind = msg["msg_type"]
    if kind == "stream":
        text = content["text"]
    elif kind in ("execute_result", "display_data"):
        text = content["data"].get("text/plain", "") + "\n"
    elif kind == "error":
        text = ansi.sub("", "\n".join(content["traceback"])) + "\n"
    else:
        return
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file
    with open(sys.argv[1], encoding="utf-8") as f:
        given = json.load(f)
    try:
        main(given)
    except Problem as p:
        with open(given["result"], "w", encoding="utf-8") as f:
            json.dump(p.document, f)
        sys.exit(1)
