#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Owns the proof that scripts/check-tree catches what it is for: each mutant of the tree must be reported by its rule."""
import importlib.machinery
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def load():
    loader = importlib.machinery.SourceFileLoader("check_tree", str(ROOT / "scripts/check-tree"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_tree", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


check_tree = load()
HEAD = "// SPDX-License-Identifier: Apache-2.0\n// Owns a mutant of the test.\n"
HEADER = HEAD + "#pragma once\n"

# (rule that must report, file that is written, its text). A source is put in a target and a header is included, so
# that only the rule under test has something to say.
MUTANTS = [
    ("top-level", "misc/README.md", "text\n"),
    ("top-level", "notes.txt", "text\n"),
    ("arrow", "host/base/mutant.cpp", HEAD + '#include "kernels/keccak/keccak.hpp"\n'),
    ("arrow", "kernels/mutant.cpp", HEAD + '#include "evm/tx/transaction.hpp"\n'),
    ("arrow", "storage/mutant.cpp", HEAD + '#include "evm/tx/transaction.hpp"\n'),
    ("arrow", "storage/mutant.cpp", HEAD + '#include <evm/tx/transaction.hpp>\n'),
    ("arrow", "evm/tx/mutant.cpp", HEAD + '#include "evm/core/evm.hpp"\n'),
    ("arrow", "evm/core/mutant.cpp", HEAD + '#include "storage/io/file_system.hpp"\n'),
    ("arrow", "evm/core/mutant.cpp", HEAD + '#include "evm/precompiles/registry.hpp"\n'),
    ("arrow", "net/mutant.cpp", HEAD + '#include "storage/io/file_system.hpp"\n'),
    ("arrow", "net/mutant.cpp", HEAD + '#include "evm/core/evm.hpp"\n'),
    ("arrow", "net/mutant.cpp", HEAD + '#  include "evm/core/evm.hpp"  // spaced\n'),
    ("arrow", "net/mutant.cpp", HEAD + '#ifdef NEVER\n#include "evm/core/evm.hpp"\n#endif\n'),
    ("arrow", "host/sequencer/mutant.cpp", HEAD + '#include "tests/evm/tx/sample_transactions.hpp"\n'),
    ("arrow", "evm/mutant_part/deep/mutant.cpp", HEAD + '#include "net/node_api.hpp"\n'),
    ("arrow", "host/mutant.cpp", HEAD),
    ("rooted", "host/base/mutant.cpp", HEAD + '#include "types.hpp"\n'),
    ("rooted", "host/base/mutant.cpp", HEAD + '#include "../base/types.hpp"\n'),
    ("rooted", "host/base/mutant.cpp", HEAD + '#include "host/base/no_such_file.hpp"\n'),
    ("private-library", "net/mutant.hpp", HEADER + "#include <boost/asio.hpp>\n"),
    ("private-library", "net/mutant.hpp", HEADER + "namespace boost { class x; }\nvoid f(boost::x&);\n"),
    ("private-library", "kernels/mutant.hpp", HEADER + "#include <cuda_runtime.h>\n"),
    ("private-library", "kernels/mutant.hpp", HEADER + "void f(cudaStream_t);\n"),
    ("private-library", "storage/mutant.hpp", HEADER + "#include <liburing.h>\n"),
    ("private-library", "storage/mutant.hpp", HEADER + "struct io_uring;\n"),
    ("private-library", "evm/jit/mutant.hpp", HEADER + "#include <llvm/IR/Module.h>\n"),
    ("private-header", "net/mutant.cpp", HEAD + '#include "kernels/offload/detail/device.hpp"\n'),
    ("freestanding", "evm/core/mutant.cpp", HEAD + "#include <thread>\n"),
    ("freestanding", "evm/core/mutant.cpp", HEAD + "#include <chrono>\n"),
    ("freestanding", "evm/core/mutant.cpp", HEAD + "void f() { throw 1; }\n"),
    ("freestanding", "evm/core/mutant.cpp", HEAD + "void f() { try { f(); } catch (...) { } }\n"),
    ("freestanding", "evm/core/mutant.cpp", HEAD + "thread_local int x;\n"),
    ("freestanding", "evm/tx/mutant.hpp", HEADER + "#include <mutex>\n"),
    ("licence", "net/mutant.cpp", "// Owns a file without a licence line.\nint mutant;\n"),
    ("licence", "net/mutant.cpp", "// SPDX-License-Identifier: Apache-2.0\nint mutant;\n"),
    ("licence", "scripts/mutant", "#!/bin/sh\ntrue\n"),
    ("words", "net/mutant.cpp", HEAD + "// FIX" + "ME later\n"),
    ("words", "net/mutant.cpp", HEAD + "// TO" + "DO later\n"),
    ("words", "net/mutant.cpp", HEAD + "void f() { std::co" + "ut << 1; }\n"),
    ("machine-path", "net/mutant.cpp", HEAD + 'const char* p = "/wo' + 'rk/main/x";\n'),
    ("machine-path", "scripts/mutant", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\ncd /ro" + "ot/x\n"),
    ("readme", "host/replica/mutant.cpp", HEAD),
    ("readme", "net/rpc/README.md", "line\n" * 41),
    ("readme", "net/rpc/README.md", "\n"),
    ("pragma-once", "net/mutant.hpp", HEAD),
]


class CheckTree(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.copy = Path(cls.dir.name) / "tree"
        shutil.copytree(ROOT, cls.copy, ignore=shutil.ignore_patterns("build", "node_modules", ".git", "__pycache__", "corpus"))
        cls.before = set(check_tree.violations(cls.copy))

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def change(self, files):
        """Writes {name: text} over the copy, and gives the violations that are new; the copy is as before after."""
        saved, made = {}, []
        for name, text in files.items():
            path = self.copy / name
            saved[path] = path.read_bytes() if path.exists() else None
            for folder in reversed(path.parents):
                if not folder.exists():
                    folder.mkdir()
                    made.append(folder)
            path.write_text(text)
        found = set(check_tree.violations(self.copy)) - self.before
        for path, data in saved.items():
            path.unlink() if data is None else path.write_bytes(data)
        for folder in reversed(made):
            folder.rmdir()
        return found

    def use(self, name):
        """What puts a file to use: a line in the CMakeLists.txt of its folder, an include in the tests' source."""
        folder = Path(name).parent.as_posix()
        if name.endswith((".cpp", ".cu")):
            cmake = self.copy / folder / "CMakeLists.txt"
            text = cmake.read_text() if cmake.exists() else "# SPDX-License-Identifier: Apache-2.0\n"
            return {f"{folder}/CMakeLists.txt": f"{text}\nset(mutant {Path(name).name})\n"}
        if name == "evm/tx/mutant.hpp":
            core = (self.copy / "evm/core/evm.hpp").read_text()
            return {"evm/core/evm.hpp": f'{core}\n#include "{name}"\n'}
        if name.endswith(".hpp"):
            test = next((self.copy / "tests/host/base").glob("*_test.cpp"))
            return {test.relative_to(self.copy).as_posix(): f'{test.read_text()}\n#include "{name}"\n'}
        return {}

    def test_every_mutant_is_reported_by_its_rule(self):
        for rule, name, text in MUTANTS:
            with self.subTest(rule=rule, name=name, text=text[-60:]):
                found = self.change({**self.use(name), name: text})
                self.assertIn(rule, {violation[2] for violation in found}, f"reported: {sorted(found)}")

    def test_a_harmless_file_is_not_reported(self):
        source = HEAD + "// boost:: and throw in a comment, /* std::co" + "ut */ and \"try\" too.\n" + \
            'const char* mutant = "throw std::co' + 'ut /usr/bin";\nint big = 1\'000;\n#include "host/base/types.hpp"\n'
        for name in ("net/mutant.cpp", "evm/core/mutant.cpp", "kernels/mutant.cpp"):
            self.assertEqual(self.change({**self.use(name), name: source}), set(), name)
        header = HEADER + "#include <boost/asio.hpp>\n"
        private = {"net/detail/mutant.hpp": header, "net/mutant.cpp": HEAD + '#include "net/detail/mutant.hpp"\n'}
        self.assertEqual(self.change({**self.use("net/mutant.cpp"), **private}), set())

    def test_a_source_without_target_and_a_header_without_user_are_reported(self):
        for name, text in {"net/mutant.cpp": HEAD, "net/mutant.hpp": HEADER, "kernels/mutant.cu": HEAD,
                           "tests/e2e/mutant.test.mjs": HEAD}.items():
            found = self.change({name: text})
            self.assertIn((name, "unused"), {(violation[0], violation[2]) for violation in found})

    def test_a_missing_readme_is_reported(self):
        readme = self.copy / "host/base/README.md"
        text = readme.read_text()
        readme.unlink()
        found = set(check_tree.violations(self.copy)) - self.before
        readme.write_text(text)
        self.assertIn("readme", {violation[2] for violation in found})

    def test_every_rule_without_a_compiler_has_a_mutant(self):
        covered = {rule for rule, _, _ in MUTANTS} | {"unused", "header"}
        self.assertEqual(covered, set(check_tree.RULES))

    def test_the_program_reports_and_exits_with_one(self):
        self.change({})
        (self.copy / "net/mutant.hpp").write_text(HEAD)
        done = subprocess.run([sys.executable, ROOT / "scripts/check-tree", "--root", self.copy], capture_output=True, text=True)
        (self.copy / "net/mutant.hpp").unlink()
        self.assertEqual(done.returncode, 1)
        self.assertIn("net/mutant.hpp:1: [pragma-once]", done.stdout)


class Headers(unittest.TestCase):
    """A small tree of its own, so that one compilation decides."""

    def run_check(self, header, twice=False):
        compiler = shutil.which("clang++-19") or shutil.which("clang++") or shutil.which("c++")
        with tempfile.TemporaryDirectory() as name:
            root = Path(name).resolve()
            (root / "net").mkdir()
            (root / "build").mkdir()
            (root / "net/a.hpp").write_text(HEADER + "#include <string>\ninline std::string f() { return {}; }\n")
            (root / "net/b.hpp").write_text(header)
            (root / "net/a.cpp").write_text(HEAD + '#include "net/a.hpp"\n#include "net/b.hpp"\n')
            (root / "build/compile_commands.json").write_text(json.dumps([{
                "directory": str(root / "build"), "file": str(root / "net/a.cpp"),
                "command": f"{compiler} -I{root} -std=c++20 -o a.o -c {root}/net/a.cpp"}]))
            command = [sys.executable, ROOT / "scripts/check-tree", "--root", root, "--headers", root / "build"]
            runs = [subprocess.run(command, capture_output=True, text=True) for _ in range(2 if twice else 1)]
            return runs[-1]

    def test_a_header_that_leans_on_another_is_reported(self):
        done = self.run_check(HEADER + "inline std::string g() { return {}; }\n")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("net/b.hpp:1: [header]", done.stdout)

    def test_headers_that_stand_alone_pass_and_are_not_compiled_again(self):
        done = self.run_check(HEADER + "inline int g() { return 1; }\n", twice=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("0 headers compiled, 2 unchanged", done.stdout)

    def test_a_bad_header_is_reported_again_the_second_time(self):
        done = self.run_check(HEADER + "inline std::string g() { return {}; }\n", twice=True)
        self.assertEqual(done.returncode, 1, done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
