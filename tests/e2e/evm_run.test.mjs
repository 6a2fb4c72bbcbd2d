// SPDX-License-Identifier: Apache-2.0
// Owns the proof of `millrace evm run` and of traces on the command line: sources of code, output, errors, exit codes.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import test from "node:test";

import { millrace_bin, millrace_only, run_program, temporary_dir } from "./harness/node.mjs";

const options = { skip: millrace_only, timeout: 120_000 };
const exit = { clean: 0, usage: 2 };
const evm_run = (args, input = "") =>
    run_program(millrace_bin, ["evm", "run", ...args], { input });
const word = (n) => `0x${BigInt(n).toString(16).padStart(64, "0")}`;
const lines_of = (text) =>
    text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));

// PUSH1 42, PUSH0, MSTORE, PUSH1 32, PUSH0, RETURN
const forty_two = "602a5f5260205ff3";
// Returns the first word of the input plus one.
const add_one = "5f356001015f5260205ff3";
// Adds one to slot 0 and returns it.
const counter = "5f54600101805f555f5260205ff3";

test("code comes from the argument, a flag, a file or standard input", options, async (t) => {
    const file = path.join(temporary_dir(t, "code"), "code.hex");
    writeFileSync(file, `0x${forty_two.slice(0, 7)}\n  ${forty_two.slice(7)}\r\n`);
    const spaced = `\t0X${forty_two.toUpperCase().replaceAll(/../g, "$& ")}\n`;
    for (const [args, input] of [
        [[forty_two]],
        [[`0x${forty_two}`]],
        [["--code", forty_two]],
        [[spaced]],
        [["--code-file", file]],
        [["--code-file", "-"], forty_two],
        [["-"], spaced],
    ]) {
        const done = await evm_run(args, input);
        assert.equal(done.code, exit.clean, done.stderr);
        assert.equal(done.stdout, `${word(42)}\n`);
        assert.match(done.stderr, /^gas used: 16$/m);
    }
});

test("input, value, price, sender and block reach the code", options, async (t) => {
    const file = path.join(temporary_dir(t, "input"), "input.hex");
    writeFileSync(file, word(41));
    assert.equal((await evm_run([add_one, "--input", word(7)])).stdout, `${word(8)}\n`);
    assert.equal((await evm_run([add_one, "--input-file", file])).stdout, `${word(42)}\n`);
    assert.equal((await evm_run([add_one, "--input-file", "-"], "0x00")).stdout, `${word(1)}\n`);
    const address = "0x00000000000000000000000000000000000000aa";
    for (const [opcode, flags, expected] of [
        ["3a", ["--price", "11"], 11],
        ["3a", ["--gas-price", "0x0b"], 11],
        ["33", ["--sender", address], address],
        ["30", ["--receiver", address], address],
        ["41", ["--coinbase", address], address],
        ["42", ["--timestamp", "17"], 17],
        ["43", ["--block-number", "18"], 18],
        ["44", ["--prev-randao", "19"], 19],
        ["44", ["--difficulty", "20", "--fork", "London"], 20],
        ["45", ["--gas-limit", "21"], 21],
        ["46", ["--chain-id", "22"], 22],
        ["48", ["--base-fee", "23"], 23],
        ["4a", ["--blob-base-fee", "24"], 24],
        ["600149", ["--blob-hash", word(25), "--blob-hash", word(26)], 26],
    ]) {
        const done = await evm_run([`${opcode}6000526020 6000f3`, ...flags]);
        assert.equal(done.stdout, `${word(expected)}\n`, `${flags.join(" ")}: ${done.stderr}`);
    }
});

test("a failure is said on standard error and is no failure of the program", options, async () => {
    const invalid = await evm_run(["fe", "--gas", "1000"]);
    assert.deepEqual([invalid.code, invalid.stdout], [exit.clean, "0x\n"]);
    assert.match(invalid.stderr, /^error: invalid opcode$/m);
    assert.match(invalid.stderr, /^gas used: 1000$/m);
    const later = await evm_run(["5f", "--fork", "London"]);
    assert.match(later.stderr, /^error: undefined opcode$/m);
    const poor = await evm_run(["00", "--value", "1"]);
    assert.match(poor.stderr, /^error: insufficient balance for transfer$/m);
    // REVERT with one byte.
    const reverted = JSON.parse((await evm_run(["60ff5f5360015ffd", "--json"])).stdout);
    assert.equal(reverted.pass, false);
    assert.equal(reverted.error, "execution reverted");
    assert.equal(reverted.output, "0xff");
});

test("a prestate is read, changed and dumped so that it can be read again", options, async (t) => {
    const dir = temporary_dir(t, "prestate");
    const receiver = "0x00000000000000000000000000000000000000c0";
    const genesis = path.join(dir, "genesis.json");
    writeFileSync(
        genesis,
        JSON.stringify({
            config: { chainId: 77 },
            number: "0x5",
            alloc: { [receiver]: { balance: "0x1", code: `0x${counter}`, storage: {} } },
        }),
    );
    const first = await evm_run(["--prestate", genesis, "--receiver", receiver, "--dump"]);
    assert.equal(first.code, exit.clean, first.stderr);
    const [output, dump] = first.stdout.trim().split("\n");
    assert.equal(output, word(1));
    const alloc = path.join(dir, "alloc.json");
    writeFileSync(alloc, dump);
    assert.deepEqual(JSON.parse(dump)[receiver], {
        balance: "0x1",
        code: `0x${counter}`,
        storage: { [word(0)]: word(1) },
    });
    const second = await evm_run(["--prestate", alloc, "--receiver", receiver, "--json", "--dump"]);
    const result = JSON.parse(second.stdout);
    assert.equal(result.output, word(2));
    assert.equal(result.alloc[receiver].storage[word(0)], word(2));

    // The file's block holds, and a flag comes before it.
    const read = async (opcode, ...flags) =>
        (await evm_run([`${opcode}5f5260205ff3`, "--prestate", genesis, ...flags])).stdout.trim();
    assert.equal(await read("46"), word(77));
    assert.equal(await read("43"), word(5));
    assert.equal(await read("43", "--block-number", "6"), word(6));
});

test("--create runs init code and gives what it deploys", options, async () => {
    // Copies what follows its 9 bytes, the constructor's input, and returns it.
    const init = "6002600a5f3960025ff3";
    const done = await evm_run([init, "--create", "--input", "6000", "--json", "--dump"]);
    const result = JSON.parse(done.stdout);
    assert.equal(result.output, "0x6000", done.stdout);
    assert.match(result.created, /^0x[0-9a-f]{40}$/);
    assert.equal(result.alloc[result.created].code, "0x6000");
    assert.match((await evm_run([init, "--create"])).stderr, /^created: 0x[0-9a-f]{40}$/m);
});

test("a trace is one JSON object a line with a summary at its end", options, async (t) => {
    const file = path.join(temporary_dir(t, "trace"), "trace.jsonl");
    const traced = await evm_run([forty_two, "--gas", "1000", "--trace"]);
    assert.equal(traced.stdout, `${word(42)}\n`);
    const lines = lines_of(traced.stderr);
    assert.deepEqual(
        lines.slice(0, -1).map((line) => line.opName),
        ["PUSH1", "PUSH0", "MSTORE", "PUSH1", "PUSH0", "RETURN"],
    );
    assert.deepEqual(lines[2], {
        pc: 3,
        op: 0x52,
        gas: "0x3e3",
        gasCost: "0x6",
        stack: ["0x2a", "0x0"],
        depth: 1,
        refund: 0,
        memSize: 0,
        opName: "MSTORE",
    });
    const summary = lines.at(-1);
    assert.equal(summary.output, word(42).slice(2));
    assert.equal(summary.gasUsed, "0x10");
    assert.equal(summary.pass, true);
    assert.equal(summary.fork, "Osaka");
    assert.match(summary.stateRoot, /^0x[0-9a-f]{64}$/);
    assert.equal(typeof summary.time, "number");

    const untimed = (text) => text.replace(/"time":\d+/, "");
    const to_file = await evm_run([forty_two, "--gas", "1000", "--trace-out", file]);
    assert.equal(to_file.stdout, `${word(42)}\n`);
    assert.equal(untimed(readFileSync(file, "utf8")), untimed(traced.stderr));
    const to_stdout = await evm_run([forty_two, "--gas", "1000", "--trace-out", "-"]);
    assert.equal(untimed(to_stdout.stdout), untimed(traced.stderr));

    const all = await evm_run([forty_two, "--trace-memory", "--trace-return-data"]);
    const last = lines_of(all.stderr).at(-2);
    assert.equal(last.memory, word(42));
    assert.equal(last.returnData, "0x");

    const failed = lines_of((await evm_run(["5f56", "--trace"])).stderr);
    assert.equal(failed.at(-2).error, "invalid jump destination");
    assert.equal(failed.at(-1).error, "invalid jump destination");
    assert.equal(failed.at(-1).pass, false);
});

test("--bench times the runs", options, async () => {
    const done = await evm_run([forty_two, "--bench", "--bench-runs", "25"]);
    assert.equal(done.code, exit.clean, done.stderr);
    assert.match(
        done.stdout,
        /^25 runs, CPU time: median [\d.]+ us, min [\d.]+ us, p99 [\d.]+ us; [\d.]+ Mgas\/s$/m,
    );
    const { bench } = JSON.parse(
        (await evm_run([forty_two, "--bench", "--bench-runs", "25", "--json"])).stdout,
    );
    assert.equal(bench.runs, 25);
    assert.ok(bench.min_us > 0 && bench.min_us <= bench.median_us);
    assert.ok(bench.median_us <= bench.p99_us && bench.mgas_per_second > 0);
});

test("bad arguments and files are exit code 2 and are named", options, async (t) => {
    const dir = temporary_dir(t, "bad");
    const file = (name, text) => {
        writeFileSync(path.join(dir, name), text);
        return path.join(dir, name);
    };
    const missing = path.join(dir, "missing");
    for (const [args, message] of [
        [[], /nothing to run/],
        [["zz"], /code: 'z' at byte 0 is no hex digit/],
        [["0x600"], /code: an odd number of hex digits \(3\)/],
        [["00x1"], /'x' at byte 2/],
        [["00", "--code", "00"], /given more than once/],
        [["--code-file", missing], /missing: No such file/],
        [["--code-file", dir], /Is a directory/],
        [["--code-file", file("code", "60\nq")], /code: 'q' at byte 3/],
        [["--code-file", file("binary", "\u0001")], /binary: 0x01 at byte 0/],
        [["-", "--input-file", "-"], /both come from standard input/],
        [["00", "--input", "5"], /--input: an odd number/],
        [["00", "--input", "00", "--input-file", missing], /given twice/],
        [["00", "--fork", "Tokyo"], /--fork: unknown fork 'Tokyo'; known are Frontier, .*Osaka/],
        [["00", "--gas", "much"], /--gas: not a number: "much"/],
        [["00", "--gas", "-1"], /--gas/],
        [["00", "--gas", `0x${"f".repeat(17)}`], /--gas: .* exceeds 64 bits/],
        [["00", "--gas", "0xffffffffffffffff"], /--gas: .* is above/],
        [["00", "--value", `0x1${"0".repeat(64)}`], /--value: .*256 bits/],
        [["00", "--sender", "0x12"], /--sender: address must have 20 bytes/],
        [["00", "--receiver", "me"], /--receiver/],
        [["00", "--coinbase", ""], /--coinbase: the value is empty/],
        [[""], /CODE: the value is empty/],
        [["00", "--timestamp", "soon"], /--timestamp/],
        [["00", "--blob-hash", "0x01"], /--blob-hash: hash must have 32 bytes/],
        [["00", "--prestate", missing], /missing: No such file/],
        [["00", "--prestate", dir], /Is a directory/],
        [["00", "--prestate", file("a.json", "{")], /a\.json: not valid JSON at byte 1/],
        [["00", "--prestate", file("b.json", "{}x")], /b\.json: .*byte 2/],
        [["00", "--prestate", file("c.json", '{"alloc":1}')], /c\.json: alloc: expected an object/],
        [
            ["00", "--prestate", file("d.json", `{"${"aa".repeat(20)}":{"nonce":"x"}}`)],
            /d\.json: alloc\.(aa){20}\.nonce: not a number/,
        ],
        [["--create"], /--create needs init code/],
        [["00", "--trace-out", path.join(missing, "x")], /--trace-out: cannot write/],
        [["00", "--bench-runs", "5"], /--bench/],
        [["00", "--bench", "--bench-runs", "many"], /--bench-runs/],
        [["00", "--no-such-flag"], /no-such-flag/],
        [["00", "01"], /01/],
    ]) {
        const done = await evm_run(args);
        assert.equal(done.code, exit.usage, `${args.join(" ")}: ${done.signal} ${done.stderr}`);
        assert.match(done.stderr, message, args.join(" "));
        assert.equal(done.stdout, "", args.join(" "));
    }
});

test("statetest traces each case and ends it with its state root", options, async (t) => {
    const dir = temporary_dir(t, "statetest");
    const file = path.join(dir, "test.json");
    const sender = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b";
    const target = "0x00000000000000000000000000000000000000bb";
    writeFileSync(
        file,
        JSON.stringify({
            one: {
                env: {
                    currentCoinbase: "0x00000000000000000000000000000000000000cc",
                    currentNumber: "0x1",
                    currentTimestamp: "0x1",
                    currentGasLimit: "0xf4240",
                    currentDifficulty: "0x20000",
                },
                pre: {
                    [sender]: { balance: "0xde0b6b3a7640000", nonce: "0x0", code: "0x" },
                    [target]: { balance: "0x0", nonce: "0x1", code: "0x600100" },
                },
                transaction: {
                    data: ["0x"],
                    gasLimit: ["0x5300"],
                    gasPrice: "0x0a",
                    nonce: "0x0",
                    secretKey: `0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8`,
                    to: target,
                    value: ["0x0"],
                },
                post: {
                    Istanbul: [
                        {
                            hash: word(0),
                            logs: word(0),
                            indexes: { data: 0, gas: 0, value: 0 },
                        },
                    ],
                },
            },
        }),
    );
    const done = await run_program(millrace_bin, ["evm", "statetest", file, "--trace"]);
    // The expected hashes are wrong on purpose; the trace is there all the same.
    assert.equal(done.code, 1, done.stderr);
    const lines = lines_of(done.stderr);
    assert.deepEqual(
        lines.slice(0, -1).map(({ pc, gas, gasCost, opName }) => [pc, gas, gasCost, opName]),
        [
            [0, "0xf8", "0x3", "PUSH1"],
            [2, "0xf5", "0x0", "STOP"],
        ],
    );
    const { stateRoot, ...summary } = lines.at(-1);
    assert.match(stateRoot, /^0x[0-9a-f]{64}$/);
    assert.deepEqual(summary, { output: "", gasUsed: "0x520b", pass: true, fork: "Istanbul" });
});
