// SPDX-License-Identifier: Apache-2.0
// Owns `millrace evm run`: one piece of code, or one call into a prestate, run on its own.
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>

#include <boost/json/serialize.hpp>

#include "evm/core/block_rules.hpp"
#include "host/base/hex.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/commands/trace_options.hpp"
#include "host/node/conformance/fixture.hpp"
#include "host/node/json.hpp"
#include "host/node/run/message_run.hpp"
#include "host/node/run/prestate.hpp"
#include "host/node/run/run_report.hpp"

namespace millrace::node {
namespace {

/// Everything as it was typed; absent options are empty.
struct RunArguments {
    std::string code;
    std::string code_flag;
    std::string code_file;
    std::string input;
    std::string input_file;
    std::string fork = "Osaka";
    std::string gas = "10000000000";
    std::string value;
    std::string price;
    // The right-aligned names "sender" and "receiver", as in geth's `evm`.
    std::string sender = "0x000000000000000000000000000073656e646572";
    std::string receiver = "0x0000000000000000000000007265636569766572";
    bool creates = false;
    std::string prestate;

    std::string number;
    std::string timestamp;
    std::string coinbase;
    std::string prev_randao;
    std::string difficulty;
    std::string gas_limit;
    std::string base_fee;
    std::string blob_base_fee;
    std::string chain_id;
    std::vector<std::string> blob_hashes;

    TraceOptions trace;
    bool dump = false;
    bool bench = false;
    size_t bench_runs = 0;
    bool json = false;

    bool receiver_given = false;
};

template <class T>
Result<T> named(const char* flag, Result<T> r) {
    if (!r) { r.error().message.insert(0, std::string(flag) + ": "); }
    return r;
}

// --- Text to values ---

Result<U256> number_of(const char* flag, const std::string& text) {
    return named(flag, u256_from_text(text));
}

Result<uint64_t> u64_of(const char* flag, const std::string& text) {
    MILLRACE_TRY(const U256 v, number_of(flag, text));
    if (!v.fits_u64()) {
        return fail(ErrorCode::invalid_input, std::string(flag) + ": " + text + " exceeds 64 bits");
    }
    return v.low64();
}

/// Hex digits, with or without 0x, white space anywhere.
Result<Bytes> bytes_of(const std::string& what, std::string_view text) {
    std::string digits;
    digits.reserve(text.size());
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') { continue; }
        const bool prefix = digits == "0" && (c == 'x' || c == 'X');
        const bool digit =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (!digit && !prefix) {
            const bool shown = c > 0x20 && c < 0x7f;
            const std::string seen = shown ? "'" + std::string(1, c) + "'"
                                           : to_hex({reinterpret_cast<const uint8_t*>(&c), 1});
            return fail(ErrorCode::invalid_input,
                        what + ": " + seen + " at byte " + std::to_string(i) + " is no hex digit");
        }
        if (prefix) {
            digits.clear();
        } else {
            digits += c;
        }
    }
    if (digits.size() % 2 != 0) {
        return fail(ErrorCode::invalid_input,
                    what + ": an odd number of hex digits (" + std::to_string(digits.size()) + ")");
    }
    return from_hex(digits);
}

Result<std::string> read_standard_input() {
    std::string text;
    char buffer[1 << 14];
    size_t n = 0;
    while ((n = std::fread(buffer, 1, sizeof buffer, stdin)) != 0) { text.append(buffer, n); }
    if (std::ferror(stdin) != 0) { return fail(ErrorCode::io, "cannot read standard input"); }
    return text;
}

/// The bytes that a file holds as hex; "-" is standard input.
Result<Bytes> bytes_of_file(const std::string& path) {
    if (path == "-") {
        MILLRACE_TRY(const std::string text, read_standard_input());
        return bytes_of("standard input", text);
    }
    MILLRACE_TRY(const std::string text, read_file(path));
    return bytes_of(path, text);
}

// --- Arguments to a message ---

/// The code, when any was given.
Result<std::optional<Bytes>> read_code(const RunArguments& a) {
    const int sources = static_cast<int>(!a.code.empty()) + static_cast<int>(!a.code_flag.empty()) +
                        static_cast<int>(!a.code_file.empty());
    if (sources > 1) {
        return fail(ErrorCode::invalid_input,
                    "the code is given more than once: use one of CODE, --code and --code-file");
    }
    if (a.code == "-" || !a.code_file.empty()) {
        MILLRACE_TRY(Bytes code, bytes_of_file(a.code == "-" ? "-" : a.code_file));
        return code;
    }
    if (sources == 0) { return std::nullopt; }
    auto code = bytes_of("code", a.code.empty() ? a.code_flag : a.code);
    if (!code) {
        code.error().message += "; --code-file reads it from a file";
        return std::unexpected(code.error());
    }
    return *std::move(code);
}

Result<Bytes> read_input(const RunArguments& a) {
    if (!a.input.empty() && !a.input_file.empty()) {
        return fail(ErrorCode::invalid_input,
                    "the input is given twice: use one of --input and --input-file");
    }
    if (a.input_file == "-" && (a.code == "-" || a.code_file == "-")) {
        return fail(ErrorCode::invalid_input,
                    "code and input cannot both come from standard input");
    }
    if (!a.input_file.empty()) { return bytes_of_file(a.input_file); }
    return bytes_of("--input", a.input);
}

Result<evm::Revision> read_fork(const std::string& name) {
    const auto revision = evm::revision_from_text(name);
    if (revision) { return *revision; }
    std::string known;
    for (int i = 0; i < evm::revision_count; ++i) {
        known += (i == 0 ? "" : ", ") + std::string(evm::to_string(static_cast<evm::Revision>(i)));
    }
    return fail(ErrorCode::invalid_input,
                "--fork: unknown fork '" + name + "'; known are " + known);
}

/// The flag's value, or what the prestate says, or else what is there.
Result<void> choose(uint64_t& out, const char* flag, const std::string& text,
                    const std::optional<uint64_t>& from_file) {
    if (from_file) { out = *from_file; }
    if (!text.empty()) { MILLRACE_TRY(out, u64_of(flag, text)); }
    return {};
}
Result<void> choose(U256& out, const char* flag, const std::string& text,
                    const std::optional<U256>& from_file = {}) {
    if (from_file) { out = *from_file; }
    if (!text.empty()) { MILLRACE_TRY(out, number_of(flag, text)); }
    return {};
}

Result<void> read_block(const RunArguments& a, const Prestate& p, MessageRun& run) {
    evm::BlockEnvironment& b = run.block;
    b.gas_limit = static_cast<uint64_t>(run.gas);
    MILLRACE_CHECK(choose(b.number, "--block-number", a.number, p.number));
    MILLRACE_CHECK(choose(b.timestamp, "--timestamp", a.timestamp, p.timestamp));
    MILLRACE_CHECK(choose(b.gas_limit, "--gas-limit", a.gas_limit, p.gas_limit));
    MILLRACE_CHECK(choose(b.difficulty, "--difficulty", a.difficulty, p.difficulty));
    MILLRACE_CHECK(choose(b.base_fee_per_gas, "--base-fee", a.base_fee, p.base_fee_per_gas));
    if (run.rules.at_least(evm::Revision::cancun)) {
        b.blob_base_fee = evm::blob_base_fee(run.rules.blob, p.excess_blob_gas.value_or(0));
    }
    MILLRACE_CHECK(choose(b.blob_base_fee, "--blob-base-fee", a.blob_base_fee));
    if (p.coinbase) { b.coinbase = *p.coinbase; }
    if (!a.coinbase.empty()) {
        MILLRACE_TRY(b.coinbase, named("--coinbase", address_from_hex(a.coinbase)));
    }
    if (p.prev_randao) { b.prev_randao = *p.prev_randao; }
    if (!a.prev_randao.empty()) {
        MILLRACE_TRY(const U256 word, number_of("--prev-randao", a.prev_randao));
        b.prev_randao = to_hash(word);
    }
    return {};
}

Result<MessageRun> read_message(const RunArguments& a, const Prestate& p, Bytes input) {
    MessageRun run;
    MILLRACE_TRY(const evm::Revision revision, read_fork(a.fork));
    uint64_t chain_id = 1;
    MILLRACE_CHECK(choose(chain_id, "--chain-id", a.chain_id, p.chain_id));
    run.rules = evm::ethereum_rules(revision, chain_id);
    MILLRACE_TRY(const uint64_t gas, u64_of("--gas", a.gas));
    // Below the largest number by far more than any single price, so that no sum of them wraps.
    constexpr uint64_t gas_max = std::numeric_limits<int64_t>::max() / 2;
    if (gas > gas_max) {
        return fail(ErrorCode::invalid_input,
                    "--gas: " + a.gas + " is above " + std::to_string(gas_max));
    }
    run.gas = static_cast<int64_t>(gas);
    MILLRACE_TRY(run.sender, named("--sender", address_from_hex(a.sender)));
    MILLRACE_TRY(run.receiver, named("--receiver", address_from_hex(a.receiver)));
    MILLRACE_CHECK(choose(run.value, "--value", a.value));
    MILLRACE_CHECK(choose(run.gas_price, "--price", a.price));
    for (const std::string& text : a.blob_hashes) {
        MILLRACE_TRY(const Hash256 hash, named("--blob-hash", hash_from_hex(text)));
        run.blob_hashes.push_back(hash);
    }
    run.creates = a.creates;
    run.input = std::move(input);
    MILLRACE_CHECK(read_block(a, p, run));
    return run;
}

// --- The run ---

/// Runs once, traced or not, and takes the changes into the state.
Result<RunReport> run_once(const RunArguments& a, const MessageRun& message, Prestate& prestate) {
    RunReport report;
    report.fork = evm::to_string(message.rules.revision);
    std::optional<TraceFile> file;
    if (a.trace.enabled) {
        MILLRACE_TRY(TraceFile opened, TraceFile::open(a.trace));
        file.emplace(std::move(opened));
    }
    std::optional<evm::Eip3155Tracer> tracer;
    if (file) {
        tracer.emplace([&file](std::string_view lines) { file->write(lines); }, a.trace.fields);
    }
    MessageRunner runner{message, prestate.state};
    report.outcome = runner.run(tracer ? &*tracer : nullptr);
    if (a.bench) { report.timing = runner.time(a.bench_runs); }
    const MessageOutcome& o = report.outcome;
    prestate.state.apply(o.changes, message.rules.at_least(evm::Revision::spurious_dragon));
    report.state_root = state_root_of(prestate.state);
    if (a.dump) { report.alloc = alloc_json(prestate.state); }
    if (tracer) {
        const std::string error = failure_text(o);
        tracer->write_summary({.state_root = report.state_root,
                               .output = o.output,
                               .gas_used = static_cast<uint64_t>(o.gas_used),
                               .pass = error.empty(),
                               .error = error,
                               .time_ns = static_cast<uint64_t>(o.cpu_ns),
                               .fork = report.fork});
        MILLRACE_CHECK(file->finish());
    }
    return report;
}

/// Data goes to standard output, words to standard error, neither among the lines of a trace.
void print(const RunArguments& a, const RunReport& r) {
    if (a.json) {
        std::printf("%s\n", report_json(r).c_str());
        return;
    }
    if (!a.trace.on_stdout()) { std::printf("%s\n", to_hex(r.outcome.output).c_str()); }
    if (r.timing) { std::printf("%s\n", timing_text(*r.timing).c_str()); }
    if (r.alloc) { std::printf("%s\n", boost::json::serialize(*r.alloc).c_str()); }
    if (a.trace.on_stderr()) { return; }
    if (const std::string error = failure_text(r.outcome); !error.empty()) {
        std::fprintf(stderr, "error: %s\n", error.c_str());
    }
    std::fprintf(stderr, "gas used: %lld\n", static_cast<long long>(r.outcome.gas_used));
    if (r.outcome.gas_refund != 0) {
        std::fprintf(stderr, "refund counter: %lld\n",
                     static_cast<long long>(r.outcome.gas_refund));
    }
    if (r.outcome.created) {
        std::fprintf(stderr, "created: %s\n", to_hex(*r.outcome.created).c_str());
    }
}

Result<RunReport> run_arguments(const RunArguments& a) {
    MILLRACE_TRY(std::optional<Bytes> code, read_code(a));
    MILLRACE_TRY(Bytes input, read_input(a));
    Prestate prestate = empty_prestate();
    if (!a.prestate.empty()) { MILLRACE_TRY(prestate, load_prestate(a.prestate)); }
    if (a.creates) {
        if (!code) {
            return fail(ErrorCode::invalid_input,
                        "--create needs init code: give CODE, --code or --code-file");
        }
        // The input is what a constructor finds behind its code.
        code->insert(code->end(), input.begin(), input.end());
        input = *std::move(code);
    } else if (!code && a.prestate.empty() && !a.receiver_given) {
        return fail(ErrorCode::invalid_input,
                    "nothing to run: give CODE, --code, --code-file, or a --receiver");
    }
    MILLRACE_TRY(const MessageRun message, read_message(a, prestate, std::move(input)));
    if (code && !a.creates) { prestate.state.set_code(message.receiver, *code); }
    return run_once(a, message, prestate);
}

int run_command(const RunArguments& a) {
    const auto report = run_arguments(a);
    if (!report) {
        std::fprintf(stderr, "millrace: %s\n", report.error().message.c_str());
        return exit_usage;
    }
    print(a, *report);
    if (std::fflush(stdout) != 0) {
        std::fprintf(stderr, "millrace: cannot write to standard output\n");
        return exit_unexpected;
    }
    return exit_ok;
}

/// An empty value is most often a shell variable that was not set.
const CLI::Validator not_empty{
    [](std::string& text) { return text.empty() ? "the value is empty" : std::string{}; }, ""};

void add_message_options(CLI::App& c, const std::shared_ptr<RunArguments>& a) {
    auto add = [&](const char* flag, std::string& into, const char* what, const char* type) {
        return c.add_option(flag, into, what)->type_name(type)->check(not_empty);
    };
    add("CODE", a->code, "Code as hex, white space allowed; - reads standard input", "");
    add("--code", a->code_flag, "Code as hex", "HEX");
    add("--code-file", a->code_file, "File with the code as hex; - for standard input", "FILE");
    c.add_option("--input", a->input, "Call data as hex; with --create, appended to the code")
        ->type_name("HEX");
    add("--input-file", a->input_file, "File with the call data as hex; - for standard input",
        "FILE");
    c.add_flag("--create", a->creates, "Run the code as init code; the output is what it deploys");
    add("--fork", a->fork, "Rules, Frontier to Osaka", "NAME")->capture_default_str();
    add("--gas", a->gas, "Gas of the message; there is no intrinsic gas", "N")
        ->capture_default_str();
    add("--value", a->value, "Wei to send, which the sender must have", "N");
    add("--price,--gas-price", a->price, "What GASPRICE says; no fee is charged", "N");
    add("--sender", a->sender, "Caller and origin", "ADDRESS")->capture_default_str();
    add("--receiver", a->receiver, "Called account, which gets the code if there is any", "ADDRESS")
        ->capture_default_str()
        ->each([a](const std::string&) { a->receiver_given = true; });
    add("--prestate", a->prestate,
        "Accounts and block before the run: a geth-format genesis, or its alloc alone", "FILE");
}

void add_block_options(CLI::App& c, const std::shared_ptr<RunArguments>& a) {
    constexpr const char* group = "Block (before the prestate's)";
    auto add = [&](const char* flag, std::string& into, const char* what, const char* type = "N") {
        c.add_option(flag, into, what)->type_name(type)->check(not_empty)->group(group);
    };
    add("--block-number", a->number, "NUMBER");
    add("--timestamp", a->timestamp, "TIMESTAMP, in seconds");
    add("--coinbase", a->coinbase, "COINBASE", "ADDRESS");
    add("--prev-randao", a->prev_randao, "PREVRANDAO, from Paris on");
    add("--difficulty", a->difficulty, "DIFFICULTY, before Paris");
    add("--gas-limit", a->gas_limit, "GASLIMIT; without it --gas");
    add("--base-fee", a->base_fee, "BASEFEE");
    add("--blob-base-fee", a->blob_base_fee, "BLOBBASEFEE");
    add("--chain-id", a->chain_id, "CHAINID; without it 1");
    c.add_option("--blob-hash", a->blob_hashes, "BLOBHASH of the next index; may be repeated")
        ->type_name("HASH")
        ->expected(1)
        ->take_all()
        ->group(group);
}

}  // namespace

void add_evm_run_command(CLI::App& evm, Run& run) {
    CLI::App* command =
        evm.add_subcommand("run", "Run code, or a call into a prestate, and print what it returns");
    auto a = std::make_shared<RunArguments>();
    add_message_options(*command, a);
    add_block_options(*command, a);
    add_trace_options(*command, a->trace);
    command->add_flag("--dump", a->dump, "Print the state after the run as a genesis alloc");
    CLI::Option* bench = command->add_flag("--bench", a->bench, "Run again and again and time it");
    command->add_option("--bench-runs", a->bench_runs, "Number of timed runs (0: about one second)")
        ->check(CLI::Range(size_t{0}, size_t{100'000'000}))
        ->needs(bench);
    command->add_flag("--json", a->json, "Print the result as one JSON object");
    command->footer("Exit code 0 whatever the code does, also when it reverts or fails; 2 for bad "
                    "arguments and files.");
    command->callback([a, &run] { run = [a] { return run_command(*a); }; });
}

}  // namespace millrace::node
