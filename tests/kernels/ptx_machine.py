# SPDX-License-Identifier: Apache-2.0
"""Owns a machine for PTX: it runs kernels one thread at a time, as the PTX ISA 9.0 defines their instructions.

It knows the instructions that our kernels are made of and refuses any other. A kernel becomes one Python function whose
locals are its registers; memory is a list of regions, and an address is a region's number times 2^32 plus an offset.
"""
import re

REGION_SHIFT = 32
BITS = {"u8": 8, "u16": 16, "s16": 16, "b16": 16, "u32": 32, "s32": 32, "b32": 32, "u64": 64, "s64": 64, "b64": 64}


class Unknown(Exception):
    pass


class Memory:
    """Byte regions, and regions that are computed when read (`lazy`: number to function of offset and size)."""

    def __init__(self):
        self.regions = {}
        self.lazy = {}

    def add(self, size):
        """The address of a new region."""
        number = len(self.regions) + len(self.lazy) + 1
        self.regions[number] = bytearray(size)
        return number << REGION_SHIFT

    def add_lazy(self, read):
        number = len(self.regions) + len(self.lazy) + 1
        self.lazy[number] = read
        return number << REGION_SHIFT

    def load(self, address, size):
        number, offset = address >> REGION_SHIFT, address & 0xFFFFFFFF
        if number in self.lazy:
            return int.from_bytes(self.lazy[number](offset, size), "little")
        data = self.regions[number]
        if offset + size > len(data) or offset % size:
            raise IndexError(f"load of {size} bytes at {offset} of region {number}, which has {len(data)}")
        return int.from_bytes(data[offset:offset + size], "little")

    def store(self, address, size, value):
        number, offset = address >> REGION_SHIFT, address & 0xFFFFFFFF
        data = self.regions[number]
        if offset + size > len(data) or offset % size:
            raise IndexError(f"store of {size} bytes at {offset} of region {number}, which has {len(data)}")
        data[offset:offset + size] = value.to_bytes(size, "little")


def lop3(a, b, c, table):
    """Bit by bit what the table has at the number that the bits of a, b and c make."""
    result = 0
    for row in range(8):
        if table >> row & 1:
            result |= (a if row & 4 else ~a) & (b if row & 2 else ~b) & (c if row & 1 else ~c)
    return result & 0xffffffff


def permuted(a, b, selector):
    """The bytes of b and a that the nibbles of the selector name; their top bit, which repeats a sign, is not known here."""
    if selector & 0x8888:
        raise Unknown("prmt with a sign")
    octets = (b << 32 | a).to_bytes(8, "little")
    return int.from_bytes(bytes(octets[selector >> 4 * i & 7] for i in range(4)), "little")


def mask(bits):
    return hex((1 << bits) - 1)


class Translator:
    """PTX of one kernel to the source of a Python function."""

    def __init__(self, name, parameters, symbols):
        self.name, self.parameters, self.symbols = name, parameters, symbols

    def operand(self, text):
        text = text.strip()
        special = {"%tid.x": "tid", "%ctaid.x": "ctaid", "%nctaid.x": "nctaid", "%nctaid.z": "1", "%ntid.x": "ntid"}
        if text in special:
            return special[text]
        if text.startswith("%"):
            return re.sub(r"\W", "_", text[1:])
        if text in self.parameters:
            return f"parameters + {self.parameters[text]}"
        if text in self.symbols:
            return str(self.symbols[text])
        return str(int(text, 0))

    def address(self, text):
        name, _, offset = text.strip("[] ").partition("+")
        return f"{self.operand(name)} + {offset or 0}"

    def signed(self, value, bits):
        return f"(({value}) ^ {1 << bits - 1}) - {1 << bits - 1}"

    def value(self, text, kind):
        """A source operand, immediates reduced to the width of the type."""
        value = self.operand(text)
        return str(int(value) & int(mask(BITS[kind]), 16)) if re.fullmatch(r"-?\d+", value) else value

    def statement(self, opcode, operands):
        parts = opcode.split(".")
        head, kind = parts[0], parts[-1]
        d = None if operands[0].startswith(("[", "{")) else self.operand(operands[0])
        if head in ("ld", "st"):
            return self.memory_access(head, parts, operands)
        if kind == "pred":
            a = [self.operand(x) for x in operands[1:]]
            return {"mov": lambda: f"{d} = bool({a[0]})", "and": lambda: f"{d} = {a[0]} and {a[1]}",
                    "or": lambda: f"{d} = {a[0]} or {a[1]}", "not": lambda: f"{d} = not {a[0]}"}[head]()
        if opcode == "mov.b64" and operands[0].startswith("{"):
            low, high = (self.operand(x) for x in operands[0].strip("{}").split(","))
            return f"x = {self.operand(operands[1])}; {low} = x & 0xffffffff; {high} = x >> 32"
        if opcode == "mov.b64" and operands[1].startswith("{"):
            low, high = (self.operand(x) for x in operands[1].strip("{}").split(","))
            return f"{d} = {low} | {high} << 32"
        if head == "cvta":
            return f"{d} = {self.operand(operands[1])}"
        if head == "cvt":
            return self.conversion(parts, d, operands)
        bits = BITS.get(kind)
        if bits is None:
            raise Unknown(opcode)
        if head in ("setp", "selp"):
            return self.predicate(head, parts, kind, bits, d, operands)
        a = [self.value(x, kind) for x in operands[1:]]
        m = mask(bits)
        if head in ("add", "addc", "sub", "subc", "mad", "madc") and ("cc" in parts or head.endswith("c")):
            return self.carry(head, parts, d, a)
        if opcode == "shf.l.wrap.b32":
            return f"{d} = (({a[1]} << 32 | {a[0]}) << ({a[2]} & 31) >> 32) & {m}"
        if opcode == "lop3.b32":
            return f"{d} = lop3({a[0]}, {a[1]}, {a[2]}, {a[3]})"
        if opcode == "prmt.b32":
            return f"{d} = permuted({a[0]}, {a[1]}, {a[2]})"
        if head in ("add", "sub", "neg", "and", "or", "xor", "not", "shl", "shr", "bfi", "mov", "mul", "mad"):
            return self.arithmetic(head, parts, kind, bits, m, d, a)
        raise Unknown(opcode)

    def memory_access(self, head, parts, operands):
        if parts[1] not in ("global", "const", "param") or not set(parts[2:-1]) <= {"nc", "v2", "v4"}:
            raise Unknown(".".join(parts))
        size = BITS[parts[-1]] // 8
        where, registers = (operands[1], operands[0]) if head == "ld" else (operands[0], operands[1])
        address = self.address(where)
        names = [self.value(x, parts[-1]) for x in registers.strip("{}").split(",")]
        if head == "ld":
            return "; ".join(f"{n} = load({address} + {i * size}, {size})" for i, n in enumerate(names))
        return "; ".join(f"store({address} + {i * size}, {size}, {n} & {mask(8 * size)})" for i, n in enumerate(names))

    def conversion(self, parts, d, operands):
        to, source = parts[1], parts[2]
        value = self.value(operands[1], source)
        if source.startswith("s"):
            value = f"({self.signed(f'{value} & {mask(BITS[source])}', BITS[source])})"
        return f"{d} = {value} & {mask(min(BITS[to], BITS[source]) if not source.startswith('s') else BITS[to])}"

    def predicate(self, head, parts, kind, bits, d, operands):
        a = [self.value(x, kind) for x in operands[1:3]]
        if head == "selp":
            return f"{d} = {a[0]} if {self.operand(operands[3])} else {a[1]}"
        if kind.startswith("s"):
            a = [self.signed(f"{x} & {mask(bits)}", bits) for x in a]
        comparison = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}[parts[1]]
        return f"{d} = ({a[0]}) {comparison} ({a[1]})"

    def carry(self, head, parts, d, a):
        """The instructions on CC.CF, all of 32 bits; a borrow is a carry for subtractions."""
        if parts[-1] != "u32":
            raise Unknown(".".join(parts))
        flag = " {} cf" if head.endswith("c") else ""
        if head.startswith("mad"):
            half = f"({a[0]} * {a[1]} & 0xffffffff)" if "lo" in parts else f"({a[0]} * {a[1]} >> 32)"
            total = f"{half} + {a[2]}" + flag.format("+")
        elif head.startswith("add"):
            total = f"{a[0]} + {a[1]}" + flag.format("+")
        else:
            total = f"{a[0]} - {a[1]}" + flag.format("-")
        write = "; cf = x >> 32 & 1" if "cc" in parts else ""
        return f"x = {total}; {d} = x & 0xffffffff{write}"

    def arithmetic(self, head, parts, kind, bits, m, d, a):
        signed = kind.startswith("s")
        if head == "mul" and parts[1] == "wide":
            factors = [self.signed(x, bits) if signed else x for x in a]
            return f"{d} = (({factors[0]}) * ({factors[1]})) & {mask(2 * bits)}"
        if head == "shr":
            value = f"({self.signed(a[0], bits)})" if signed else a[0]
            return f"{d} = ({value} >> min({a[1]}, {bits})) & {m}"
        if head == "shl":
            return f"{d} = ({a[0]} << min({a[1]}, {bits})) & {m}"
        if head == "bfi":
            return f"x = (1 << {a[3]}) - 1 << {a[2]}; {d} = ({a[1]} & ~x | {a[0]} << {a[2]} & x) & {m}"
        if head in ("mul", "mad") and parts[1] != "lo":
            raise Unknown(".".join(parts))
        return f"{d} = " + {
            "add": "({0} + {1}) & {m}", "sub": "({0} - {1}) & {m}", "neg": "-{0} & {m}", "and": "{0} & {1}", "or": "{0} | {1}",
            "xor": "{0} ^ {1}", "not": "~{0} & {m}", "mov": "{0}", "mul": "({0} * {1}) & {m}",
            "mad": "({0} * {1} + {2}) & {m}"}[head].format(*a, m=m)

    def function(self, body):
        """Basic blocks in order, each behind a test of the block to run; a branch sets it and starts over."""
        blocks, labels = [[]], {}
        for line in body:
            label = re.fullmatch(r"(\$\w+):", line)
            if label:
                if blocks[-1]:
                    blocks.append([])
                labels[label.group(1)] = len(blocks) - 1
                continue
            blocks[-1].append(line)
            if re.search(r"\bbra\b|\bret\b", line):
                blocks.append([])
        source = ["def kernel(parameters, load, store, tid, ctaid, nctaid, ntid):", " block = 0; cf = 0", " while True:"]
        for number, lines in enumerate(blocks):
            source.append(f"  if block == {number}:")
            source += ["   " + self.line(line, labels) for line in lines]
            source.append(f"   block = {number + 1}")
        return "\n".join(source)

    def line(self, line, labels):
        guard, opcode, rest = re.fullmatch(r"(?:@(!?%\w+)\s+)?([\w.]+)\s*(.*?);", line).groups()
        operands = [x.strip() for x in re.findall(r"\{[^}]*\}|\[[^\]]*\]|[^,\s][^,]*", rest)]
        if opcode in ("bra", "bra.uni"):
            text = f"block = {labels[operands[0]]}; continue"
        elif opcode == "ret":
            text = "return"
        else:
            text = self.statement(opcode, operands)
        if guard is None:
            return text
        condition = self.operand(guard.lstrip("!"))
        return f"if {'not ' if guard.startswith('!') else ''}{condition}: {text}"


def parameter_offsets(declarations):
    """Offsets of the parameters, each at its alignment, as the launch lays them out."""
    offsets, at = {}, 0
    for align, kind, name, count in re.findall(r"\.param(?: \.align (\d+))? \.(\w+) (\w+)(?:\[(\d+)\])?", declarations):
        size = int(count) if count else BITS[kind] // 8
        alignment = int(align) if align else size
        at = -(-at // alignment) * alignment
        offsets[name] = at
        at += size
    return offsets


class Module:
    """The kernels of a PTX text; .const arrays get regions of `memory`, by name in `symbols`."""

    def __init__(self, text, memory):
        text = re.sub(r"//[^\n]*", "", text)
        self.memory, self.symbols, self.kernels = memory, {}, {}
        for name, size in re.findall(r"^\.const (?:\.align \d+ )?\.b8 (\w+)\[(\d+)\];", text, re.M):
            self.symbols[name] = memory.add(int(size))
        for name, declarations, body in re.findall(r"\.entry (\w+)\((.*?)\)\n[^{]*\{\n(.*?)\n\}", text, re.S):
            lines = [line.strip() for line in body.split("\n")]
            self.kernels[name] = (parameter_offsets(declarations),
                                  [x for x in lines if x not in ("", "{", "}") and not x.startswith((".reg", ".pragma"))])

    def kernel(self, part):
        """A function (parameters, threads, blocks, block size) for the kernel whose mangled name contains `part`."""
        (name,) = [n for n in self.kernels if part in n]
        offsets, body = self.kernels[name]
        scope = {"lop3": lop3, "permuted": permuted}
        exec(compile(Translator(name, offsets, self.symbols).function(body), part, "exec"), scope)  # our own translation

        def run(parameters, threads, blocks, block_threads):
            place = self.memory.add(len(parameters))
            self.memory.regions[place >> REGION_SHIFT][:] = parameters
            for thread in threads:
                scope["kernel"](place, self.memory.load, self.memory.store, thread % block_threads,
                                thread // block_threads, blocks, block_threads)
        return run
